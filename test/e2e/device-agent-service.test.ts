/** The service on board of `postern agent`: reached through the tunnel alone, by the token or by people whom the gateway's web front knows. */
import assert from "node:assert/strict";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { run } from "#test/support/child";
import { gateOf, startAgent, type TestAgent } from "#test/support/device-agent";
import { password, startWebStand, type WebStand } from "#test/support/device-web";
import { freePort } from "#test/support/ports";
import { descendants } from "#test/support/processes";
import { spawnSsh } from "#test/support/ssh";
import { missing, stranger } from "#test/support/strangers";
import { tempDir, type TempDir } from "#test/support/temp-dir";
import { until } from "#test/support/waiting";

const skip = missing("ssh", "sshd", "openssl", "curl");
let web: WebStand;
let agent: TestAgent;
let programs: TempDir;
let token = "";

before(async () => {
  if (skip !== false) return;
  programs = await tempDir();
  for (const name of ["systemctl", "journalctl"])
    await writeFile(programs.at(name), `#!/bin/sh\necho ${name} "$@"\n`, { mode: 0o755 });
  // As one that has changed the agent's file would.
  const script = `kill -HUP $PPID\nwhile [ ! -e ${programs.at("go")} ]; do sleep 0.05; done\necho updated "$1"\n`;
  await writeFile(programs.at("update"), `#!/bin/sh\n${script}`, { mode: 0o755 });
  web = await startWebStand();
  const words = ["-p", "22", "-p", "80", "--web", "login"];
  const join = await web.stand.office<{ token: string }>("token", "create", ...words);
  agent = await startAgent(
    {
      name: "board1",
      gates: [gateOf(web.stand.gateway, { token: join.token })],
      forwards: [{ port: 22, to: `127.0.0.1:${web.stand.sshd.port}` }],
      service: {
        port: 80,
        users: ["ada"],
        restart: ["web.service"],
        logs: ["web.service"],
        update: { command: [programs.at("update"), "a b"] },
      },
    },
    { env: { PATH: `${programs.path}:${process.env["PATH"]}` } },
  );
  await agent.event("tunnel-held", 2);
  token = (await readFile(agent.folder.at("state", "service-token"), "utf8")).trim();
});
after(async () => {
  await agent?.[Symbol.asyncDispose]();
  await web?.[Symbol.asyncDispose]();
  await programs?.[Symbol.asyncDispose]();
});

interface Reply {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

function replyOf(stdout: Buffer, stderr: string): Reply {
  const text = stdout.toString();
  const at = text.lastIndexOf("\n");
  try {
    return { status: Number(text.slice(at)), body: JSON.parse(text.slice(0, at)) as Reply["body"] };
  } catch (cause) {
    throw new Error(`no JSON: ${text}${stderr}`, { cause });
  }
}

const withStatus = ["-w", "\n%{http_code}"];
const basic = ["-u", `ada:${password}`];

async function byWeb(path: string, flags: readonly string[] = []): Promise<Reply> {
  const { stdout, stderr } = await web.curl("board1", path, [...withStatus, ...basic, ...flags]);
  return replyOf(stdout, stderr);
}

test("ssh -L through the gateway, and curl with the token", { skip }, async () => {
  const port = await freePort();
  const flags = ["-N", "-L", `127.0.0.1:${port}:board1:80`];
  await using _ = spawnSsh(web.stand.person, [], { flags, options: ["ExitOnForwardFailure=yes"] });
  const curl = async (path: string, ...more: readonly string[]): Promise<Reply> => {
    const words = ["-sS", "--noproxy", "*", "--retry", "20", "--retry-connrefused", ...withStatus, ...more];
    const { stdout, stderr } = await run(stranger("curl"), [...words, `http://127.0.0.1:${port}${path}`]);
    return replyOf(stdout, stderr);
  };
  const bearer = ["-H", `Authorization: Bearer ${token}`];
  const { status, body } = await curl("/status", ...bearer);
  assert.equal(status, 200);
  assert.equal(body["name"], "board1");
  const [gate] = body["gates"] as readonly { state: string; ports: readonly number[] }[];
  assert.deepEqual([gate?.state, gate?.ports], ["up", [22, 80]]);
  assert.equal((await curl("/status")).status, 401);
  assert.equal((await curl("/status", "-H", "Authorization: Bearer x")).status, 401);
  const restarted = await curl("/restart?unit=web.service", "-X", "POST", ...bearer);
  assert.equal(restarted.body["output"], "systemctl --no-ask-password restart -- web.service\n");
  assert.equal((await curl("/restart?unit=ssh.service", "-X", "POST", ...bearer)).status, 403);
  const evil = ["-H", "Origin: https://evil.example"];
  assert.equal((await curl("/restart?unit=web.service", "-X", "POST", ...bearer, ...evil)).status, 403);
  const logs = await curl("/logs?unit=web.service&lines=5", ...bearer);
  assert.deepEqual([logs.status, (logs.body["lines"] as readonly string[]).length], [200, 1]);
  assert.ok(!agent.child.stderr.includes(token));
});

test("by its web address, for people who are named, and for no other site's page", { skip }, async () => {
  assert.equal((await byWeb("/status")).body["name"], "board1");
  const origin = web.url("board1", "").replace(/\/$/, "");
  for (const [flags, status] of [
    [["-H", `Origin: ${origin}`], 200],
    [["-H", "Sec-Fetch-Site: same-origin"], 200],
    [["-H", "Origin: https://open1.devices.example"], 403],
    [["-H", "Sec-Fetch-Site: cross-site"], 403],
  ] as const) {
    const reply = await byWeb("/restart?unit=web.service", ["-X", "POST", ...flags]);
    assert.equal(reply.status, status, flags.join(" "));
  }
  // Whoever has no login at the gateway cannot become anybody by a header.
  const forged = await web.curl("board1", "/status", [...withStatus, "-H", "X-Forwarded-User: ada"]);
  assert.match(forged.stdout.toString(), /\n401$/);
  const requests = agent.events("service-request").filter(({ status }) => status === 403);
  assert.ok(requests.some(({ by, method }) => by === "nobody" && method === "POST"));
});

test("an update runs by its words, outlives a reload that it asked for, and tells what came of it", {
  skip,
}, async () => {
  assert.equal((await byWeb("/update", ["-X", "POST"])).status, 202);
  await agent.event("agent-reloaded");
  assert.equal((await byWeb("/update", ["-X", "POST"])).status, 409);
  await writeFile(programs.at("go"), "");
  const ended = await until("end of the update", async () => {
    const { body } = await byWeb("/update");
    return body["state"] === "running" ? undefined : body;
  });
  assert.deepEqual([ended["state"], ended["output"]], ["done", "updated a b\n"]);
});

test("nothing listens on the device: the agent has no socket for others to reach", { skip }, async () => {
  const pids = [agent.child.pid, ...(await descendants(agent.child.pid))];
  // As the kernel has it: 0A is LISTEN, and a UNIX socket that listens has the flag 00010000.
  const inodes = new Set<string>();
  for (const file of ["tcp", "tcp6", "udp", "udp6", "unix"]) {
    const lines = await readFile(`/proc/net/${file}`, "utf8").catch(() => "");
    for (const line of lines.split("\n").slice(1)) {
      const words = line.trim().split(/\s+/);
      const listens = file === "unix" ? words[3] === "00010000" : file.startsWith("udp") || words[3] === "0A";
      if (listens) inodes.add((file === "unix" ? words[6] : words[9]) ?? "");
    }
  }
  assert.ok(inodes.size > 0, "the gateway listens");
  for (const pid of pids) {
    const { stdout } = await run("sh", ["-c", `readlink /proc/${pid}/fd/* || true`]);
    const held = [...stdout.toString().matchAll(/socket:\[(\d+)\]/g)].map(([, inode]) => inode ?? "");
    assert.ok(held.length > 0, "the connection to the gateway");
    assert.deepEqual(
      held.filter((inode) => inodes.has(inode)),
      [],
    );
  }
});

test("a token that others may read is not taken: the agent says so and ends with 78", { skip }, async () => {
  await chmod(agent.folder.at("state", "service-token"), 0o644);
  const { code, stderr } = await run(process.execPath, [
    new URL("../../bin/postern.js", import.meta.url).pathname,
    "agent",
    "-c",
    agent.file,
  ]);
  await chmod(agent.folder.at("state", "service-token"), 0o600);
  assert.equal(code, 78, stderr);
  assert.match(stderr, /service-token: others may read it; .*chmod 600/);
});
