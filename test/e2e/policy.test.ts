/** Policy: what a rule does not name is refused, in a way that real clients understand; what it names works. */
import assert from "node:assert/strict";
import { createServer, type Server } from "node:net";
import { after, before, test } from "node:test";
import { readFile, writeFile } from "node:fs/promises";
import { startAgent } from "#test/support/agent";
import { run, succeed } from "#test/support/child";
import { runSsh, spawnSsh, sshReady, sshSettings, sshPlace, type SshOptions } from "#test/support/ssh";
import { noTerminal } from "#test/support/pty";
import { missing } from "#test/support/strangers";
import { keyRule, startWorld, type World } from "#test/support/world";

const skip = missing("ssh", "sshd");
let world: World;
let echo: Server;
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
  jailed: { forcedCommand: "internal-sftp" },
});

before(async () => {
  if (skip !== false) return;
  echo = createServer((socket) => socket.on("error", () => {}).end("hello\n"));
  await new Promise<void>((resolve) => echo.listen(0, "127.0.0.1", resolve));
  const address = echo.address();
  echoPort = typeof address === "object" && address !== null ? address.port : 0;
  world = await startWorld({
    sshd: { config: ["AcceptEnv LC_* POSTERN_* SSH_ORIGINAL_COMMAND TEAM"] },
    rules: (parts) => [
      ...Object.entries(policies(echoPort)).map(([name, policy]) => keyRule(parts, name, { policy })),
      keyRule(parts, "free"),
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
  echo?.close();
});

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
