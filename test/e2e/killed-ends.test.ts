/** Either end may die at any moment, by a signal or in silence: its own session ends, and nothing else suffers. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Child } from "#test/support/child";
import { descendants, isAlive } from "#test/support/processes";
import { spawnSsh, type SshTarget } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { until } from "#test/support/waiting";
import { startWorld, type World } from "#test/support/world";

const skip = missing("ssh", "sshd");
let world: World;
let target: SshTarget;
let neighbour: Child;
let lines = 0;

before(async () => {
  if (skip !== false) return;
  world = await startWorld({ config: { keepalive: { intervalSeconds: 1, maxMissed: 2 } } });
  target = world.gateway.target(world.user.name, world.identity.path);
  neighbour = spawnSsh(target, ["cat"], { stdin: "open" });
  await talk(neighbour);
});
after(async () => {
  await neighbour?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});

/** A line there and back. */
async function talk(ssh: Child): Promise<void> {
  lines += 1;
  const line = `line ${lines}\n`;
  ssh.stdin.write(line);
  await ssh.waitFor("an echo", () => ssh.stdout.includes(line));
}

/** A session with a command upstream that writes down its process number. */
async function session(command = "cat"): Promise<{ ssh: Child; pid: number }> {
  const ssh = spawnSsh(target, [`echo pid $$; ${command}`], { stdin: "open", discard: false });
  const pid = Number((await ssh.waitForStdout(/pid (\d+)/))[1]);
  return { ssh, pid };
}

/** The sshd processes of one session: the command's ancestors below the listener. */
async function sshdOf(pid: number): Promise<number[]> {
  const all = await descendants(world.sshd.child.pid);
  const above: number[] = [];
  for (const each of all) if ((await descendants(each)).includes(pid)) above.push(each);
  return above;
}

for (const signal of ["SIGKILL", "SIGTERM"] as const) {
  test(`a client ended by ${signal}: its command upstream ends, the neighbour does not notice`, {
    skip,
  }, async () => {
    const { ssh, pid } = await session();
    ssh.kill(signal);
    await until("the command's end", () => !isAlive(pid));
    await ssh.ended;
    await talk(neighbour);
  });
}

test("a client killed in the middle of a download", { skip }, async () => {
  await using ssh = spawnSsh(target, ["cat /dev/zero"], { discard: true });
  await ssh.waitFor("data", () => ssh.stdoutBytes > 20_000_000);
  const before = (await descendants(world.sshd.child.pid)).length;
  ssh.kill("SIGKILL");
  await until(
    "the upstream session's end",
    async () => (await descendants(world.sshd.child.pid)).length < before,
  );
  await talk(neighbour);
});

test("an upstream session killed: the client is told, and ends", { skip }, async () => {
  const { ssh, pid } = await session();
  await using held = new AsyncDisposableStack();
  held.use(ssh);
  // All of them: with privilege separation either half alone would keep the connection open.
  for (const each of await sshdOf(pid)) process.kill(each, "SIGKILL");
  const { code, stderr } = await ssh.outcome();
  assert.equal(code, 255);
  assert.match(stderr, /behind (this|the) gateway/);
  await talk(neighbour);
});

test("an upstream killed in the middle of an upload", { skip }, async () => {
  await using ssh = spawnSsh(target, ["echo pid $$; cat > /dev/null"], { stdin: "open" });
  const pid = Number((await ssh.waitForStdout(/pid (\d+)/))[1]);
  const chunk = Buffer.alloc(1 << 20);
  const feed = (): void => {
    while (ssh.running && ssh.stdin.write(chunk));
  };
  ssh.stdin.on("drain", feed);
  feed();
  // All of them: with privilege separation either half alone would keep the connection open.
  for (const each of await sshdOf(pid)) process.kill(each, "SIGKILL");
  assert.equal((await ssh.outcome()).code, 255);
  await talk(neighbour);
});

test("a client that falls silent is noticed by keepalives, and its upstream session ends", {
  skip,
}, async () => {
  const { ssh, pid } = await session();
  await using held = new AsyncDisposableStack();
  held.use(ssh);
  ssh.kill("SIGSTOP");
  await until("the command's end", () => !isAlive(pid));
  await world.gateway.waitForLog("who is to blame", (line) => JSON.stringify(line).includes("PEER_SILENT"));
  ssh.kill("SIGCONT");
  assert.equal((await ssh.outcome()).code, 255);
  await talk(neighbour);
});

test("an upstream that falls silent is noticed by keepalives, and the client is told", { skip }, async () => {
  const { ssh, pid } = await session();
  await using held = new AsyncDisposableStack();
  held.use(ssh);
  const stopped = await sshdOf(pid);
  for (const each of stopped) process.kill(each, "SIGSTOP");
  const { code, stderr } = await ssh.outcome();
  for (const each of stopped) process.kill(each, "SIGKILL");
  assert.equal(code, 255);
  assert.match(stderr, /behind the gateway no longer answers/);
  await world.gateway.waitForLog("who is to blame", (line) =>
    JSON.stringify(line).includes("UPSTREAM_SILENT"),
  );
  await talk(neighbour);
});

/** How many clients were found silent so far. */
function silent(): number {
  return JSON.stringify(world.gateway.logs()).split("PEER_SILENT").length - 1;
}

test("a client that answers keepalives lives, however long it says nothing", { skip }, async () => {
  const { ssh } = await session();
  await using held = new AsyncDisposableStack();
  held.use(ssh);
  // Three rounds of keepalives pass meanwhile: another session that fell silent has just been ended by two.
  await using dead = spawnSsh(target, ["cat"], { stdin: "open" });
  await talk(dead);
  dead.kill("SIGSTOP");
  const before = silent();
  await until("the other's end", () => silent() > before);
  await talk(ssh);
});

function ids(event: string): string[] {
  return world.gateway.events(event).map((line) => String(line["session"]));
}

test("every session that ended has its own end in the log", { skip }, async () => {
  await until("all ends", () => {
    const ended = new Set(ids("session-ended"));
    return ids("session-opened").filter((id) => !ended.has(id)).length === 1;
  });
});
