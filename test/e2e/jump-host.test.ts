/** The jump host: `ssh -J`, `ssh -W`, `nc` and `nc -U`, to targets by our names; no shell, no process. */
import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { userInfo } from "node:os";
import { after, before, test } from "node:test";
import { Child, type ChildOptions, type Outcome, run, succeed } from "#test/support/child";
import { sha256, testBytes } from "#test/support/data";
import { type EntryWorld, startEntryWorld } from "#test/support/entries";
import { freePort } from "#test/support/ports";
import { missing, stranger } from "#test/support/strangers";
import { until } from "#test/support/waiting";
import { bareKey, knownHostsLine } from "#test/support/test-keys";
import { keyLogin } from "#test/support/world";

const skip = missing("ssh", "sshd");
const account = userInfo().username;
let world: EntryWorld;
let config: string;
/** Answers each connection with what it is sent, and ends when the other side does. */
let echo: Server;
const echoed = new Set<Socket>();

before(async () => {
  if (skip !== false) return;
  const echoPort = await freePort();
  echo = createServer({ allowHalfOpen: true }, (socket) => {
    echoed.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => echoed.delete(socket));
    socket.pipe(socket);
  }).listen(echoPort, "127.0.0.1");
  world = await startEntryWorld({
    listener: {},
    more: [
      { name: "echo", host: "127.0.0.1", port: echoPort, tags: ["test"] },
      { name: "inner", mode: "terminate" },
    ],
    names: ["web1.gate.example"],
    config: { audit: [{ kind: "jsonl", file: "audit.jsonl" }], limits: { maxChannels: 200 } },
    terminated: "recorded",
    rules: (identity, sshds) => [
      {
        name: "jump",
        match: { user: "ada" },
        login: [keyLogin(identity)],
        serve: "jump",
        targets: ["web1", "web2", "gone", "tag:test"],
      },
      {
        name: "restricted",
        match: { user: "bob" },
        login: [
          {
            kind: "publickey",
            keys: [`restrict,port-forwarding,permitopen="web1:22" ${bareKey(identity.publicLine)}`],
          },
        ],
        serve: "jump",
        targets: ["web1", "web2"],
      },
      {
        name: "forced",
        match: { user: "cleo" },
        login: [{ kind: "publickey", keys: [`command="ls" ${bareKey(identity.publicLine)}`] }],
        serve: "jump",
        targets: ["web2"],
      },
      {
        name: "strict",
        match: { user: "dan" },
        login: [keyLogin(identity)],
        serve: "jump",
        targets: ["web1", "web2"],
        policy: { forwardLocal: ["web2:22"] },
      },
      {
        name: "outer",
        match: { user: "hop" },
        login: [keyLogin(identity)],
        serve: "jump",
        targets: ["inner", "recorded"],
      },
      {
        name: "recorded",
        match: { userPattern: "as-(?<account>[a-z]+)", targets: ["recorded"] },
        login: [keyLogin(identity)],
        upstream: {
          user: "{account}",
          credentials: [{ kind: "key", file: identity.path }],
          hostKey: { keys: sshds.map(({ hostKeys: [key] }) => bareKey(key?.publicLine ?? "")) },
        },
        policy: { exec: [show], setEnv: { POSTERN_AT: "{target}" } },
      },
    ],
  });
  config = world.gateway.folder.at("ssh_config");
  const gatewayKey = world.gateway.hostKeys[0]?.publicLine ?? "";
  const inside = world.gateway.folder.at("known_inside");
  const lines = ["inner", "recorded"].map((name) => knownHostsLine(name, 22, gatewayKey));
  await writeFile(inside, `${lines.join("\n")}\n`);
  const settings = [
    "Host gate",
    "  HostName 127.0.0.1",
    `  Port ${world.gateway.port}`,
    "  User ada",
    "Host host-*",
    `  ProxyCommand ssh -F ${config} gate nc -U /home/host/%h.sock`,
    "Host sock-*",
    `  ProxyCommand ssh -F ${config} gate nc -U /home/host/%h`,
    "Host host-1 sock-1",
    "  HostName web1",
    "Host host-2",
    "  HostName web2",
    "Host *",
    `  User ${account}`,
    `  UserKnownHostsFile ${world.knownHosts} ${world.gateway.knownHosts} ${inside}`,
    `  IdentityFile ${world.identity.path}`,
    "  IdentitiesOnly yes",
    "  IdentityAgent none",
    "  BatchMode yes",
    "  StrictHostKeyChecking yes",
    "  GlobalKnownHostsFile none",
  ];
  await writeFile(config, `${settings.join("\n")}\n`);
});
after(async () => {
  await world?.[Symbol.asyncDispose]();
  echo?.close();
  for (const socket of echoed) socket.destroy();
});

async function ssh(args: readonly string[], options: ChildOptions = {}): Promise<Outcome> {
  return await run(stranger("ssh"), ["-F", config, ...args], options);
}

const show = 'printf %s "$TARGET"';
const ways: readonly (readonly [name: string, args: () => string[]])[] = [
  ["ssh -J", () => ["-J", "ada@gate"]],
  ["ssh -J, host and port", () => ["-J", `ada@127.0.0.1:${world.gateway.port}`]],
  ["ssh -W as ProxyCommand", () => ["-o", `ProxyCommand=ssh -F ${config} -W %h:%p ada@gate`]],
  ["nc", () => ["-o", `ProxyCommand=ssh -F ${config} gate nc %h %p`]],
  ["nc with options", () => ["-o", `ProxyCommand=ssh -F ${config} gate exec nc -w 5 %h %p 2>/dev/null`]],
  ["nc -U", () => ["-o", `ProxyCommand=ssh -F ${config} gate nc -U /home/host/%h.sock`]],
];
for (const [name, args] of ways)
  test(`${name}: the session is the target's`, { skip }, async () => {
    for (const target of ["web1", "web2"]) {
      const { code, stdout } = await ssh([...args(), target, show]);
      assert.equal(stdout.toString(), target);
      assert.equal(code, 0);
    }
  });

test("scp, sftp, rsync and git go by -J", {
  skip: skip === false ? missing("rsync", "git") : skip,
}, async () => {
  const at = (...parts: string[]): string => world.gateway.folder.at(...parts);
  await mkdir(at("up"));
  const data = testBytes(3_000_000, 5);
  await writeFile(at("up", "big"), data);
  const jump = ["-F", config, "-o", "ProxyJump=ada@gate"];
  await succeed("scp", [...jump, "-q", at("up", "big"), `web1:${at("scp")}`]);
  assert.equal(sha256(await readFile(at("scp"))), sha256(data));
  await succeed("sftp", [...jump, "-q", `web1:${at("scp")}`, at("sftp")]);
  assert.equal(sha256(await readFile(at("sftp"))), sha256(data));
  const command = `${stranger("ssh")} -F ${config} -J ada@gate`;
  await succeed("rsync", ["-a", "-e", command, `${at("up")}/`, `web2:${at("rsync")}/`]);
  assert.equal(sha256(await readFile(at("rsync", "big"))), sha256(data));
  const git = async (...args: string[]): Promise<void> => {
    const env = { GIT_SSH_COMMAND: command, GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_SYSTEM: "/dev/null" };
    await succeed("git", ["-c", "user.name=a", "-c", "user.email=a@example.org", ...args], { env });
  };
  await git("init", "-q", "--bare", at("there.git"));
  await git("clone", "-q", `web1:${at("there.git")}`, at("clone"));
  await git("-C", at("clone"), "commit", "-q", "--allow-empty", "-m", "one");
  await git("-C", at("clone"), "push", "-q", "origin", "HEAD");
  assert.match(await succeed("git", ["-C", at("there.git"), "log", "--all", "--format=%s"]), /^one$/m);
});

test("the lines of a reverse jump host's ssh_config work as they stand, with .sock and without", {
  skip,
}, async () => {
  // Their Hostname is for host keys here: the path holds the name that was typed, which is no target of this world.
  const socket = (name: string): string => `ProxyCommand=ssh -F ${config} gate nc -U /home/host/${name}`;
  for (const name of ["web1.sock", "web1", "web1.gate.example.sock"]) {
    const { stdout } = await ssh(["-o", socket(name), "web1", show]);
    assert.equal(stdout.toString(), "web1", name);
  }
});

test("a name that is not there and one that is not for her are refused in the same words", {
  skip,
}, async () => {
  const words: string[] = [];
  for (const name of ["nowhere", "secret", "localhost", "127.0.0.1", "web1 ", "web1/../web2", "%68ost"]) {
    const { code, stderr } = await ssh(["-W", `[${name}]:22`, "gate"]);
    assert.notEqual(code, 0, name);
    assert.match(stderr, /administratively prohibited/, name);
    words.push(stderr.replace(/^channel \d+: /, ""));
    if (name.endsWith(" ")) continue;
    const netcat = await ssh(["gate", `nc ${name} 22`]);
    assert.notEqual(netcat.code, 0, name);
  }
  assert.equal(new Set(words).size, 1, words.join("|"));
  const netcats = await Promise.all(["nowhere", "secret"].map((name) => ssh(["gate", `nc ${name} 22`])));
  assert.equal(new Set(netcats.map(({ stderr }) => stderr)).size, 1);
  assert.match(netcats[0]?.stderr ?? "", /no such target here, or it is not for you/);
});

test("a port that is not the target's is refused, and a target that is down is told so", {
  skip,
}, async () => {
  assert.match((await ssh(["-W", "web1:23", "gate"])).stderr, /administratively prohibited/);
  assert.match((await ssh(["-W", "gone:22", "gate"])).stderr, /connect failed/);
  const { code, stderr } = await ssh(["gate", "nc gone 22"]);
  assert.equal(code, 1);
  assert.match(stderr, /cannot be reached/);
});

test("there is no shell, no command, no subsystem, no listening, and words for each", { skip }, async () => {
  const shell = await ssh(["-T", "gate"]);
  assert.equal(shell.code, 1);
  assert.match(shell.stderr, /ssh -J GATE user@TARGET/);
  const terminal = await ssh(["-tt", "gate"]);
  assert.match(terminal.stdout.toString(), /has no shell[^\n]*\r\n/);
  const command = await ssh(["gate", "cat", "/etc/passwd"]);
  assert.equal(command.code, 127);
  assert.match(command.stderr, /no such commands/);
  const subsystem = await ssh(["-s", "gate", "sftp"]);
  assert.equal(subsystem.code, 1);
  assert.match(subsystem.stderr, /use -J/);
  const forward = await ssh(["-o", "ExitOnForwardFailure=yes", "-N", "-R", "0:127.0.0.1:1", "gate"]);
  assert.match(forward.stderr, /remote port forwarding failed/);
  assert.equal(forward.code, 255);
});

test("ls prints what this person may reach, and no other", { skip }, async () => {
  const { code, stdout } = await ssh(["gate", "ls"]);
  assert.equal(code, 0);
  assert.equal(stdout.toString(), "web1  web1.gate.example\nweb2\ngone\necho  #test\n");
  const json = await ssh(["gate", "ls", "--json"]);
  assert.deepEqual(JSON.parse(json.stdout.toString()), {
    version: 1,
    targets: [
      { name: "web1", names: ["web1.gate.example"], tags: [] },
      { name: "web2", names: [], tags: [] },
      { name: "gone", names: [], tags: [] },
      { name: "echo", names: [], tags: ["test"] },
    ],
  });
});

test("each direction ends by itself, and bytes arrive whole: -W and nc", { skip }, async () => {
  const data = testBytes(6_000_000, 9);
  for (const args of [
    ["-W", "echo:22", "gate"],
    ["gate", "nc -N echo 22"],
  ]) {
    const { code, stdout } = await ssh(args, { stdin: { data } });
    assert.equal(code, 0, args.join(" "));
    assert.equal(sha256(stdout), sha256(data), args.join(" "));
  }
});

test("a hundred channels at once in one login", { skip }, async () => {
  const port = await freePort();
  await using forwarding = new Child(stranger("ssh"), [
    "-v",
    "-F",
    config,
    "-N",
    "-L",
    `${port}:echo:22`,
    "gate",
  ]);
  await forwarding.waitForStderr(/Entering interactive session/);
  const sockets = Array.from({ length: 100 }, () => connect({ host: "127.0.0.1", port }));
  const texts = sockets.map(() => "");
  for (const [at, socket] of sockets.entries()) {
    socket.on("error", () => {});
    socket.on("data", (chunk) => (texts[at] += chunk.toString()));
    socket.write(`hello ${at}`);
  }
  await until("all echoes", () => texts.every((text, at) => text === `hello ${at}`));
  await until("all connections at the target", () => echoed.size === 100);
  for (const socket of sockets) socket.end();
  await until("the ends at the target", () => echoed.size === 0);
});

test("whichever end is killed, the other is told", { skip }, async () => {
  const client = new Child(stranger("ssh"), ["-F", config, "-W", "echo:22", "gate"], { stdin: "open" });
  client.process.stdin?.write("x");
  await until("an echo", () => client.stdout.toString() === "x");
  client.kill("SIGKILL");
  await until("the end at the target", () => echoed.size === 0);
  await client.outcome();

  await using second = new Child(stranger("ssh"), ["-F", config, "-W", "echo:22", "gate"], { stdin: "open" });
  second.process.stdin?.write("x");
  await until("an echo", () => second.stdout.toString() === "x");
  for (const socket of echoed) socket.resetAndDestroy();
  second.process.stdin?.end();
  await second.outcome();
});

test("the audit tells who was led where, and what was refused", { skip }, async () => {
  await ssh(["-W", "echo:22", "gate"], { stdin: { data: "hello" } });
  await ssh(["-W", "nowhere:22", "gate"]);
  const file = world.gateway.folder.at("audit.jsonl");
  const records = async (): Promise<Record<string, unknown>[]> =>
    (await readFile(file, "utf8"))
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const found = (event: string, fields: Record<string, unknown>) => async (): Promise<boolean> =>
    (await records()).some(
      (record) =>
        record["event"] === event && Object.entries(fields).every(([name, value]) => record[name] === value),
    );
  const common = { user: "ada" };
  await until(
    "an opening",
    found("target", {
      ...common,
      entry: "jump",
      name: "echo",
      target: "echo",
      rule: "jump",
      outcome: "opened",
      stream: 1,
    }),
  );
  await until(
    "its end",
    found("target-end", { ...common, target: "echo", bytesFromClient: 5, bytesToClient: 5, stream: 1 }),
  );
  await until("a refusal", found("target", { ...common, name: "nowhere", outcome: "refused" }));
  await until(
    "a failure",
    found("target", { ...common, name: "gone", outcome: "failed", reason: "UPSTREAM_UNREACHABLE" }),
  );
});

test("a jump within a jump: the gateway as its own target", { skip }, async () => {
  const { code, stdout } = await ssh(["-J", "hop@gate,ada@inner", "web2", show]);
  assert.equal(stdout.toString(), "web2");
  assert.equal(code, 0);
  // Who may go to the inner gateway may not go on from the outer one.
  const direct = await ssh(["-J", "hop@gate", "web2", show]);
  assert.match(direct.stderr, /administratively prohibited/);
});

test("jumps do not go on without end", { skip }, async () => {
  const hops = Array.from({ length: 9 }, () => "hop@inner").join(",");
  const { code, stderr } = await ssh(["-J", `hop@gate,${hops}`, "web2", show]);
  assert.equal(code, 255);
  assert.match(stderr, /closed/);
});

test("a target whose SSH ends at the gateway: the rule for it decides, with its policy", {
  skip,
}, async () => {
  const at = (user: string, command: string): Promise<Outcome> =>
    ssh(["-J", "hop@gate", "-l", user, "recorded", command]);
  const { code, stdout } = await at(`as-${account}`, show);
  assert.equal(stdout.toString(), "web1");
  assert.equal(code, 0);
  assert.match((await at(`as-${account}`, "id")).stderr, /not allowed here/);
  // Rules for other ways in are not for who comes by a target, and the other way round.
  assert.match((await at("ada", show)).stderr, /Permission denied/);
  assert.match((await ssh(["-l", `as-${account}`, "gate", show])).stderr, /Permission denied/);
});

test("what a key or a policy forbids is refused, and a command that a key forces is what runs", {
  skip,
}, async () => {
  for (const user of ["bob", "dan"]) {
    const [right, wrong] = user === "bob" ? ["web1", "web2"] : ["web2", "web1"];
    const args = (name: string): string[] => ["-o", "User=" + user, "-W", `${name}:22`, "gate"];
    assert.match((await ssh(args(right))).stdout.toString(), /^SSH-2\.0-OpenSSH/, user);
    assert.match((await ssh(args(wrong))).stderr, /administratively prohibited/, user);
    const netcat = await ssh(["-o", "User=" + user, "gate", `nc ${wrong} 22`]);
    assert.match(netcat.stderr, /not allow/, user);
  }
  const forced = await ssh(["-o", "User=cleo", "gate", "nc web2 22"]);
  assert.equal(forced.stdout.toString(), "web2\n");
});

test("a drain lets connections through the jump go on, and no new one come", { skip }, async () => {
  await using client = new Child(stranger("ssh"), ["-F", config, "-W", "echo:22", "gate"], { stdin: "open" });
  client.process.stdin?.write("a");
  await until("an echo", () => client.stdout.toString() === "a");
  world.gateway.signal("SIGTERM");
  await world.gateway.waitForLog("the drain", ({ event }) => event === "stopping");
  const late = await ssh(["-W", "echo:22", "gate"]);
  assert.notEqual(late.code, 0);
  client.process.stdin?.write("b");
  await until("another echo", () => client.stdout.toString() === "ab");
  client.process.stdin?.end();
  assert.equal((await client.outcome()).code, 0);
  assert.equal((await world.gateway.child.outcome()).code, 0);
});
