/** Much data: 1 GiB each way with keys exchanged every few megabytes, and readers that stop. */
import assert from "node:assert/strict";
import { createHash, type Hash } from "node:crypto";
import { after, before, test } from "node:test";
import { Child } from "#test/support/child";
import { descendants } from "#test/support/processes";
import type { Gateway } from "#test/support/gateway";
import { runSsh, sshCommand, spawnSsh, type SshTarget } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { until } from "#test/support/waiting";
import { startWorld, type World } from "#test/support/world";

const skip = missing("ssh", "sshd");
const gibibyte = 2 ** 30;
const mebibyte = 2 ** 20;
/** Bytes that do not repeat and cost little: a keystream. */
const stream = (bytes: number): string =>
  `openssl enc -aes-128-ctr -nosalt -K 000102030405060708090a0b0c0d0e0f -iv 0 -in /dev/zero 2>/dev/null | head -c ${bytes}`;

let world: World;
let target: SshTarget;
before(async () => {
  if (skip !== false) return;
  world = await startWorld({
    // All three rekey, each at its own pace, so that exchanges meet.
    sshd: { config: ["RekeyLimit 7M"] },
    config: {
      limits: {
        rekeyBytes: 11 * mebibyte,
        startups: { start: 1000, full: 1000 },
        maxStartupsPerSource: 1000,
      },
    },
  });
  target = world.gateway.target(world.user.name, world.identity.path);
});
after(async () => {
  await world?.[Symbol.asyncDispose]();
});

const slow = { skip, timeout: 200_000 };

test("1 GiB from the upstream, keys exchanged every few megabytes", slow, async () => {
  await using ssh = new Child(
    "ssh",
    sshCommand(target, [stream(gibibyte)], { flags: ["-v"], options: ["RekeyLimit=5M"] }),
    {
      discard: true,
    },
  );
  const hash = hashOf(ssh);
  const { code, stderr } = await ssh.outcome(180_000);
  assert.equal(code, 0, stderr.slice(-500));
  assert.equal(ssh.stdoutBytes, gibibyte);
  assert.equal(hash.digest("hex"), await streamHash(gibibyte));
  assert.ok((stderr.match(/SSH2_MSG_NEWKEYS received/g)?.length ?? 0) > 100);
});

test("1 GiB to the upstream, keys exchanged every few megabytes", slow, async () => {
  const ssh = ["ssh", ...sshCommand(target, ["sha256sum"], { flags: ["-v"], options: ["RekeyLimit=5M"] })];
  await using pipeline = new Child("sh", ["-c", `${stream(gibibyte)} | "$@"`, "sh", ...ssh]);
  const { code, stdout, stderr } = await pipeline.outcome(180_000);
  assert.equal(code, 0, stderr.slice(-500));
  assert.equal(stdout.toString().split(" ")[0], await streamHash(gibibyte));
  assert.ok((stderr.match(/SSH2_MSG_NEWKEYS received/g)?.length ?? 0) > 100);
});

test("both ways at once through one channel, all three rekeying", slow, async () => {
  const bytes = 200 * mebibyte;
  const ssh = ["ssh", ...sshCommand(target, ["cat"], { options: ["RekeyLimit=3M"] })];
  await using pipeline = new Child("sh", ["-c", `${stream(bytes)} | "$@"`, "sh", ...ssh], { discard: true });
  const hash = hashOf(pipeline);
  const { code, stderr } = await pipeline.outcome(180_000);
  assert.equal(code, 0, stderr);
  assert.equal(hash.digest("hex"), await streamHash(bytes));
});

function hashOf(child: Child): Hash {
  const hash = createHash("sha256");
  child.process.stdout?.on("data", (chunk: Buffer) => hash.update(chunk));
  return hash;
}

const hashes = new Map<number, Promise<string>>();
function streamHash(bytes: number): Promise<string> {
  const made =
    hashes.get(bytes) ??
    (async () => {
      await using child = new Child("sh", ["-c", `${stream(bytes)} | sha256sum`]);
      return (await child.outcome()).stdout.toString().split(" ")[0] ?? "";
    })();
  hashes.set(bytes, made);
  return made;
}

/** Waits until the gateway does nothing any more, and gives its memory then. */
async function settledBytes(gateway: Gateway): Promise<number> {
  let last = await gateway.cpuSeconds();
  let still = 0;
  await until("the gateway at rest", async () => {
    const now = await gateway.cpuSeconds();
    // Keepalives may cost a tick now and then; a flow of data costs more than one in each look.
    still = now - last <= 0.01 ? still + 1 : 0;
    last = now;
    return still >= 25;
  });
  return await gateway.rssBytes();
}

/** Room for ten stalled sessions: far below what one second of an unbounded queue would take. */
const maxGrowthBytes = 96 * mebibyte;

test("clients that stop reading: memory stays flat, and others go on", slow, async () => {
  await using held = new AsyncDisposableStack();
  const { gateway } = world;
  const before = await gateway.rssBytes();
  const clients = Array.from({ length: 10 }, () =>
    held.use(spawnSsh(target, ["cat /dev/zero"], { stdin: "open", discard: true })),
  );
  for (const client of clients) {
    await client.waitFor("data", () => client.stdoutBytes > 2 * mebibyte);
    // Stopped, not only unread: so the channel's window is open and the socket itself fills.
    client.kill("SIGSTOP");
  }
  const grown = (await settledBytes(gateway)) - before;
  assert.ok(grown < maxGrowthBytes, `${grown} bytes for 10 stalled downloads`);
  assert.equal((await runSsh(target, ["echo alive"])).stdout.toString(), "alive\n");
  const sizes = clients.map((client) => client.stdoutBytes);
  for (const client of clients) client.kill("SIGCONT");
  for (const [index, client] of clients.entries()) {
    await client.waitFor("more data", () => client.stdoutBytes > (sizes[index] ?? 0) + 4 * mebibyte);
  }
});

test("upstreams that stop reading: memory stays flat, and the flow resumes", slow, async () => {
  await using held = new AsyncDisposableStack();
  const { gateway, sshd } = world;
  const sessions = async (): Promise<number[]> => await descendants(sshd.child.pid);
  await until("an idle upstream", async () => (await sessions()).length === 0);
  const before = await gateway.rssBytes();
  const pipelines = Array.from({ length: 5 }, () => {
    const ssh = ["ssh", ...sshCommand(target, ["echo ready; cat > /dev/null"])];
    return held.use(new Child("sh", ["-c", `head -c ${100 * mebibyte} /dev/zero | "$@"`, "sh", ...ssh]));
  });
  // Stopped in the middle of its start, sshd would drop the connection.
  for (const pipeline of pipelines) await pipeline.waitForStdout(/ready/);
  const stopped = await sessions();
  for (const pid of stopped) process.kill(pid, "SIGSTOP");
  try {
    const grown = (await settledBytes(gateway)) - before;
    assert.ok(grown < maxGrowthBytes, `${grown} bytes for 5 stalled uploads`);
    assert.ok(
      pipelines.every((pipeline) => pipeline.running),
      "an upload had ended before it could be stalled",
    );
  } finally {
    for (const pid of stopped) process.kill(pid, "SIGCONT");
  }
  for (const pipeline of pipelines) {
    const { code, stderr } = await pipeline.outcome(120_000);
    assert.equal(code, 0, stderr);
  }
});
