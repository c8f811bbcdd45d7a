/** Policy: what a rule does not name is refused, in a way that real clients understand; what it names works. */
import assert from "node:assert/strict";
import { connect, createServer, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { chmod, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import type { AuditRecord } from "#contract";
import { auditLines } from "#test/support/audit-lines";
import { startAgent } from "#test/support/agent";
import { type Listener, startListener } from "#test/support/echo-server";
import { run, succeed } from "#test/support/child";
import { runSsh, spawnSsh, sshReady, sshSettings, sshPlace, type SshOptions } from "#test/support/ssh";
import { freePort } from "#test/support/ports";
import { noTerminal } from "#test/support/pty";
import { missing } from "#test/support/strangers";
import { bareKey } from "#test/support/test-keys";
import { isRoot } from "#test/support/test-user";
import { until } from "#test/support/waiting";
import { keyRule, startWorld, type World } from "#test/support/world";

const skip = missing("ssh", "sshd");
let world: World;
let echo: Listener;
let echoPort = 0;

/** Names of rules and what they allow. */
const policies = (port: number): Readonly<Record<string, object>> => ({
  nothing: {},
  shell: { shell: true },
  terminal: { shell: true, pty: true },
  commands: { exec: ["echo *", "git-upload-pack *"], env: ["LC_*"] },
  any: { exec: true, env: true },
  sftp: { sftp: true },
  scp: { scp: true },
  greeted: { subsystems: ["gre?t"] },
  sockets: { exec: true, forwardLocal: ["/*/through"], forwardRemote: ["/*/through-back"] },
  through: { shell: true, forwardLocal: ["127.0.0.1:1"] },
  tunnel: { forwardLocal: [`127.0.0.1:${port}`] },
  listen: { exec: true, forwardRemote: ["localhost:*"] },
  elsewhere: { exec: true, forwardRemote: ["localhost:1"] },
  agent: { exec: true, agent: true },
  x11: { exec: true, x11: true },
  forced: {
    forcedCommand: 'echo "forced: $SSH_ORIGINAL_COMMAND by $POSTERN_USER from $POSTERN_CLIENT, $TEAM"',
    tellUpstream: true,
    setEnv: { TEAM: "team of {user}" },
    env: true,
  },
  told: { shell: true, exec: true, env: true, tellUpstream: true, setEnv: { TEAM: "team of {user}" } },
  jailed: { forcedCommand: "internal-sftp" },
  others: { exec: true, other: true },
});

before(async () => {
  if (skip !== false) return;
  echo = await startListener((socket) => socket.end("hello\n"));
  echoPort = echo.port;
  world = await startWorld({
    config: { audit: [{ kind: "jsonl", file: "audit.jsonl" }] },
    sshd: { config: ["AcceptEnv LC_* POSTERN_* SSH_ORIGINAL_COMMAND TEAM", "Subsystem greet echo hello"] },
    rules: (parts) => [
      ...Object.entries(policies(echoPort)).map(([name, policy]) => keyRule(parts, name, { policy })),
      keyRule(parts, "free"),
      keyRule(parts, "numbered", {
        login: [{ kind: "publickey", keys: [`tunnel="7" ${bareKey(parts.identity.publicLine)}`] }],
      }),
    ],
  });
  const { sshd, keys } = world;
  await writeFile(
    sshd.authorizedKeysFile,
    [keys.key("ed25519", "client"), keys.key("ed25519", "gateway")]
      .map((key) => `${key.publicLine}\n`)
      .join(""),
  );
});
after(async () => {
  await world?.[Symbol.asyncDispose]();
  await echo?.[Symbol.asyncDispose]();
});

/** What came until the other side closed. */
async function closedBy(socket: Socket): Promise<string> {
  let said = "";
  socket
    .on("error", () => {})
    .on("data", (chunk: Buffer) => {
      said += chunk.toString();
    });
  await new Promise((resolve) => socket.once("close", resolve));
  return said;
}

const target = (user: string): ReturnType<World["gateway"]["target"]> =>
  world.gateway.target(user, world.identity.path);
const ssh = (user: string, command: readonly string[], options: SshOptions = {}): ReturnType<typeof runSsh> =>
  runSsh(target(user), command, options);

test("a shell", { skip }, async () => {
  const allowed = await ssh("shell", [], { stdin: { data: "echo in $((40 + 2))\n" } });
  assert.equal(allowed.stdout.toString(), "in 42\n", allowed.stderr);
  const refused = await ssh("commands", []);
  assert.equal(refused.stdout.toString(), "");
  assert.match(refused.stderr, /A shell is not allowed here\./);
  assert.notEqual(refused.code, 0);
});

test("a terminal", { skip: skip || noTerminal }, async () => {
  const stdin = { data: "tty; exit\n" };
  const allowed = await ssh("terminal", [], { stdin, flags: ["-tt"] });
  assert.match(allowed.stdout.toString(), /\/dev\/pts\/\d+/);
  const refused = await ssh("shell", [], { stdin, flags: ["-tt"] });
  assert.match(refused.stderr, /PTY allocation request failed/);
  assert.equal(refused.stdout.toString(), "");
});

test("commands by pattern, and never what a shell would make more of", { skip }, async () => {
  assert.equal((await ssh("commands", ["echo one two"])).stdout.toString(), "one two\n");
  for (const command of ["id", "echo x; id", "echo $(id)", "echo x\nid", "echo x > /dev/null"]) {
    const { code, stdout, stderr } = await ssh("commands", [command]);
    assert.notEqual(code, 0, command);
    assert.equal(stdout.toString(), "", command);
    assert.match(stderr, /This command is not allowed here\./, command);
  }
  const { stdout } = await ssh("any", ["echo $((1 + 1)); echo x"]);
  assert.equal(stdout.toString(), "2\nx\n");
});

test("environment by name", { skip }, async () => {
  const env = { LC_POSTERN: "yes", POSTERN_TEST: "yes" };
  const options = ["SendEnv=LC_POSTERN POSTERN_TEST"];
  const command = ["echo $LC_POSTERN-$POSTERN_TEST"];
  assert.equal((await ssh("any", command, { env, options })).stdout.toString(), "yes-yes\n");
  const { stdout } = await ssh("commands", ["echo nothing"], { env, options });
  assert.equal(stdout.toString(), "nothing\n");
});

test("sftp and scp", { skip }, async () => {
  const { gateway } = world;
  const file = gateway.folder.at("sent");
  await writeFile(file, "sent\n");
  const copy = async (
    user: string,
    ...flags: readonly string[]
  ): Promise<{ code: number | null; stderr: string }> => {
    const to = gateway.folder.at(`copied-${user}${flags.join("")}`);
    const settings = [...sshSettings(target(user)), "-P", String(gateway.port)];
    // From the upstream to here: the test's user need not be able to write anywhere.
    const outcome = await run("scp", [...flags, ...settings, `${sshPlace(target(user))}:/etc/hostname`, to]);
    if (outcome.code === 0) assert.deepEqual(await readFile(to), await readFile("/etc/hostname"));
    return outcome;
  };
  assert.equal((await copy("scp")).code, 0);
  assert.equal((await copy("scp", "-O")).code, 0);
  assert.equal((await copy("sftp")).code, 0);
  assert.equal((await copy("jailed")).code, 0, "a forced internal-sftp serves SFTP");
  const old = await copy("sftp", "-O");
  assert.match(old.stderr, /This command is not allowed here\./);
  for (const user of ["commands", "shell"]) {
    const { code, stderr } = await copy(user);
    assert.notEqual(code, 0);
    assert.match(stderr, /File transfer is not allowed here\./);
  }
  for (const command of ["scp -t x; id", "scp -S /bin/sh -t x", "id"])
    assert.match((await ssh("scp", [command])).stderr, /not allowed/, command);
});

test("connections through the upstream", { skip }, async () => {
  const through = (user: string, to: string): ReturnType<typeof runSsh> =>
    ssh(user, [], { flags: ["-W", to] });
  assert.equal((await through("tunnel", `127.0.0.1:${echoPort}`)).stdout.toString(), "hello\n");
  for (const [user, to] of [
    ["tunnel", "127.0.0.1:22"],
    ["tunnel", `localhost:${echoPort}`],
    ["any", `127.0.0.1:${echoPort}`],
  ] as const) {
    const { stdout, stderr } = await through(user, to);
    assert.equal(stdout.toString(), "");
    assert.match(stderr, /administratively prohibited: Connections to .* are not allowed here\./, to);
  }
});

test("connections beside a session that runs", { skip }, async () => {
  const port = await freePort();
  const flags = ["-v", "-L", `127.0.0.1:${port}:127.0.0.1:${echoPort}`];
  await using session = spawnSsh(target("through"), [], { flags, stdin: "open" });
  await sshReady(session);
  assert.equal(await closedBy(connect({ host: "127.0.0.1", port })), "", "nothing came");
  await session.waitForStderr(/administratively prohibited: Connections to .* are not allowed here\./);
  session.stdin.write("echo still $((40 + 2))\n");
  await session.waitForStdout(/still 42/);
});

test("subsystems by name", { skip }, async () => {
  assert.equal((await ssh("greeted", ["greet"], { flags: ["-s"] })).stdout.toString(), "hello\n");
  for (const [user, name] of [
    ["greeted", "netconf"],
    ["any", "greet"],
  ] as const) {
    const { code, stdout, stderr } = await ssh(user, [name], { flags: ["-s"] });
    assert.notEqual(code, 0);
    assert.equal(stdout.toString(), "");
    assert.match(stderr, new RegExp(`The subsystem "${name}" is not allowed here\\.`));
  }
});

test("UNIX sockets, in both directions", { skip }, async () => {
  const folder = `/tmp/policy-${process.pid}`;
  await mkdir(folder, { mode: 0o777 });
  await chmod(folder, 0o777);
  const far = createServer((socket) => socket.on("error", () => {}).end("hello\n"));
  try {
    await new Promise<void>((resolve) => far.listen(`${folder}/through`, resolve));
    await chmod(`${folder}/through`, 0o777);
    for (const [name, said] of [
      ["through", "hello\n"],
      ["elsewhere", ""],
    ] as const) {
      const port = await freePort();
      const flags = ["-v", "-N", "-L", `127.0.0.1:${port}:${folder}/${name}`];
      await using session = spawnSsh(target("sockets"), [], { flags });
      await sshReady(session);
      assert.equal(await closedBy(connect({ host: "127.0.0.1", port })), said);
      if (said === "") await session.waitForStderr(/Connections to \S+elsewhere are not allowed here\./);
    }
    const back = ["-v", "-N", "-o", "ExitOnForwardFailure=yes"];
    await using allowed = spawnSsh(target("sockets"), [], {
      flags: [...back, "-R", `${folder}/through-back:${folder}/through`],
    });
    await sshReady(allowed);
    assert.equal(await closedBy(connect(`${folder}/through-back`)), "hello\n");
    const refused = await ssh("sockets", [], {
      flags: [...back, "-R", `${folder}/not:${folder}/through`],
    });
    assert.match(refused.stderr, /remote port forwarding failed/);
  } finally {
    far.close();
    await rm(folder, { recursive: true, force: true });
  }
});

test("everything at once is refused in order, each in its own words", {
  skip: skip === false ? missing("xauth") : skip,
}, async () => {
  const { gateway } = world;
  await using agent = await startAgent([world.identity.path]);
  const env = { DISPLAY: "127.0.0.1:98", XAUTHORITY: gateway.folder.at("xauthority-all"), LC_POSTERN: "yes" };
  await succeed("xauth", ["add", env.DISPLAY, "MIT-MAGIC-COOKIE-1", "00".repeat(16)], { env });
  const { code, stdout, stderr } = await ssh("nothing", ["id"], {
    env,
    flags: ["-Y", "-A", "-R", `0:127.0.0.1:${echoPort}`],
    options: [`IdentityAgent=${agent.socket}`, "SendEnv=LC_POSTERN"],
  });
  assert.notEqual(code, 0);
  assert.equal(stdout.toString(), "");
  const words = [
    /remote port forwarding failed/,
    /X11 forwarding request failed/,
    /This command is not allowed here\./,
  ].map((each) => stderr.search(each));
  assert.ok(
    words.every((at) => at >= 0),
    stderr,
  );
  const asked = (): AuditRecord[] =>
    auditLines(gateway.folder.at("audit.jsonl")).filter(({ user }) => user === "nothing");
  await until("the end in the audit", () => asked().some(({ event }) => event === "end"));
  const refused = asked().flatMap((record) =>
    record.event === "request" && record.outcome === "refused" ? [record.type] : [],
  );
  assert.deepEqual(refused.toSorted(), [
    "auth-agent-req@openssh.com",
    "env",
    "exec",
    "tcpip-forward",
    "x11-req",
  ]);
});

test("listening at the upstream", { skip }, async () => {
  const flags = ["-v", "-N", "-o", "ExitOnForwardFailure=yes", "-R", `0:127.0.0.1:${echoPort}`];
  await using allowed = spawnSsh(target("listen"), [], { flags });
  await sshReady(allowed);
  const [, port = ""] = /Allocated port (\d+)/.exec(allowed.stderr) ?? [];
  const { stdout } = await ssh(
    "free",
    [`exec 3<>/dev/tcp/127.0.0.1/${port}; cat <&3`].map((line) => `bash -c '${line}'`),
  );
  assert.equal(stdout.toString(), "hello\n");
  const refused = await ssh("elsewhere", [], { flags });
  assert.match(refused.stderr, /remote port forwarding failed/);
});

test("the agent goes where it is named alone", { skip }, async () => {
  await using agent = await startAgent([world.identity.path]);
  const list = (user: string): ReturnType<typeof runSsh> =>
    ssh(user, ["ssh-add -l"], { flags: ["-A"], options: [`IdentityAgent=${agent.socket}`] });
  assert.match((await list("agent")).stdout.toString(), /SHA256:/);
  assert.equal((await list("any")).stdout.toString(), "");
});

test("X11 goes where it is named alone", { skip: skip === false ? missing("xauth") : skip }, async () => {
  const env = { DISPLAY: "127.0.0.1:99", XAUTHORITY: world.gateway.folder.at("xauthority") };
  await succeed("xauth", ["add", env.DISPLAY, "MIT-MAGIC-COOKIE-1", "00".repeat(16)], { env });
  const show = (user: string): ReturnType<typeof runSsh> =>
    ssh(user, ["echo ${DISPLAY:-none}"], { flags: ["-Y"], env });
  assert.match((await show("x11")).stdout.toString(), /localhost:/);
  const refused = await show("any");
  assert.equal(refused.stdout.toString(), "none\n");
  assert.match(refused.stderr, /X11 forwarding request failed/);
});

test("network tunnels (-w): refused in words without `other`, and all but the number that a key has", {
  skip: isRoot ? skip : "needs root: makes network interfaces",
}, async (t) => {
  const open = async (user: string, remote: string): Promise<string> => {
    const { stderr, stdout } = await ssh(user, ["echo fine"], {
      flags: ["-w", `any:${remote}`],
      options: ["Tunnel=point-to-point"],
    });
    if (!/Tunnel device open failed/.test(stderr)) assert.equal(stdout.toString(), "fine\n", stderr);
    return stderr;
  };
  const refused = await open("any", "any");
  if (/Tunnel device open failed/.test(refused)) {
    t.skip("this machine does not permit tunnel devices");
    return;
  }
  assert.match(refused, /administratively prohibited: Tunnels are not allowed here\./);
  assert.match(await open("numbered", "3"), /Your key does not allow this tunnel\./);
  // The upstream says no in its own words, because its sshd permits no tunnels: so it was asked.
  for (const [user, unit] of [
    ["others", "any"],
    ["numbered", "7"],
  ] as const) {
    const before = world.sshd.count(/tun\.[a-z]+|tun@openssh\.com/);
    const stderr = await open(user, unit);
    assert.match(stderr, /open failed/);
    assert.doesNotMatch(stderr, /not allow/);
    assert.ok(world.sshd.count(/tun\.[a-z]+|tun@openssh\.com/) > before, user);
  }
});

test("a forced command runs in place of all else, and knows what was asked and by whom", {
  skip,
}, async () => {
  for (const [command, original] of [
    [["rm -rf /"], "rm -rf /"],
    [[], ""],
  ] as const) {
    const env = { POSTERN_USER: "root" };
    const { stdout } = await ssh("forced", command, { env, options: ["SendEnv=POSTERN_USER"] });
    assert.equal(stdout.toString(), `forced: ${original} by forced from 127.0.0.1, team of forced\n`);
  }
});

test("the upstream is told who it is, in commands and shells alike, and no client can say otherwise", {
  skip,
}, async () => {
  const show = "echo $POSTERN_USER, $POSTERN_CLIENT, $POSTERN_RULE, $TEAM";
  const env = { POSTERN_USER: "root", POSTERN_CLIENT: "nobody", POSTERN_RULE: "other", TEAM: "mine" };
  const options = ["SendEnv=POSTERN_* TEAM"];
  const expected = "told, 127.0.0.1, told, team of told\n";
  const command = await ssh("told", [show], { env, options });
  assert.equal(command.stdout.toString(), expected, command.stderr);
  const shell = await ssh("told", [], { env, options, stdin: { data: `${show}\n` } });
  assert.equal(shell.stdout.toString(), expected, shell.stderr);
  // Who is not asked to tell tells nothing.
  const untold = await ssh("any", ["echo [$POSTERN_USER]"]);
  assert.equal(untold.stdout.toString(), "[]\n");
});

test("a refusal ends nothing: other channels of the same connection go on", { skip }, async () => {
  const control = world.gateway.folder.at("control");
  await using master = spawnSsh(target("commands"), [], {
    flags: ["-v", "-M", "-N"],
    options: [`ControlPath=${control}`],
  });
  await master.waitForStderr(/Entering interactive session/);
  const shared = { options: [`ControlPath=${control}`] };
  for (let round = 0; round < 3; round++) {
    assert.match((await ssh("commands", ["id"], shared)).stderr, /not allowed/);
    assert.equal((await ssh("commands", ["echo fine"], shared)).stdout.toString(), "fine\n");
  }
});
