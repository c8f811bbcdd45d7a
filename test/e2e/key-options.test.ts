/** Options of authorized_keys and of certificates, obeyed at the gateway. The upstream itself would allow everything. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { mkdir, writeFile } from "node:fs/promises";
import { startAgent } from "#test/support/agent";
import { type Listener, startListener } from "#test/support/echo-server";
import { runSsh, spawnSsh, sshReady, type SshOptions } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { certify, type KeyFiles } from "#test/support/test-keys";
import { startWorld, upstreamTo, type World } from "#test/support/world";

const skip = missing("ssh", "sshd");
let world: World;
let folder: string;
let authority: KeyFiles;
let echo: Listener;
let echoPort = 0;
before(async () => {
  if (skip !== false) return;
  echo = await startListener((socket) => socket.end("hello\n"));
  echoPort = echo.port;
  world = await startWorld({
    sshd: { config: ["AcceptEnv TEAM SSH_ORIGINAL_COMMAND"] },
    rules: () => [],
  });
  folder = world.gateway.folder.at("keys");
  await mkdir(folder);
  authority = world.keys.key("ed25519", "authority");
  const rule = (name: string, more: object = {}): Record<string, unknown> => ({
    name,
    match: { userPattern: `${name}-[a-z0-9-]+` },
    login: [{ kind: "publickey", files: [`${folder}/{user}`] }],
    upstream: upstreamTo(world),
    ...more,
  });
  await world.gateway.rewrite([
    rule("free"),
    rule("policed", { policy: { exec: ["echo *"], forwardLocal: [`127.0.0.1:${echoPort}`, "127.0.0.1:1"] } }),
  ]);
  world.gateway.signal("SIGHUP");
  await world.gateway.waitForLog("reload", ({ event }) => event === "reloaded");
});
after(async () => {
  await world?.[Symbol.asyncDispose]();
  await echo?.[Symbol.asyncDispose]();
});

/** Runs ssh with the client's key, in front of which these options stand. */
async function ssh(
  user: string,
  options: string,
  command: readonly string[],
  more: SshOptions = {},
): ReturnType<typeof runSsh> {
  await writeFile(`${folder}/${user}`, `${options} ${world.identity.publicLine}\n`.trimStart());
  return await runSsh(world.gateway.target(user, world.identity.path), command, more);
}

/** The same with a certificate that has these options. */
async function certified(
  user: string,
  options: readonly string[],
  command: readonly string[],
  more: SshOptions = {},
  line = "cert-authority",
): ReturnType<typeof runSsh> {
  await writeFile(`${folder}/${user}`, `${line} ${authority.publicLine}\n`);
  const holder = world.keys.key("ed25519", user);
  const flags = options.flatMap((option) => ["-O", option]);
  const certificate = certify(authority, holder, { principals: [user], more: flags });
  return await runSsh(world.gateway.target(user, holder.path), command, {
    ...more,
    options: [`CertificateFile=${certificate}`, ...(more.options ?? [])],
  });
}

const stdin = { data: "tty; exit\n" };

test("no-pty, and restrict with pty given back", { skip }, async () => {
  for (const [user, options, terminal] of [
    ["free-pty", "", true],
    ["free-no-pty", "no-pty", false],
    ["free-restrict", "restrict", false],
    ["free-restrict-pty", "restrict,pty", true],
  ] as const) {
    const { stdout, stderr } = await ssh(user, options, [], { flags: ["-tt"], stdin });
    assert.equal(stdout.toString().includes("/dev/pts/"), terminal, options);
    assert.equal(stderr.includes("PTY allocation request failed"), !terminal, options);
  }
});

test("commands: one in place of all that is asked, shell and file transfer included", { skip }, async () => {
  const options = 'command="echo \\"forced: $SSH_ORIGINAL_COMMAND\\""';
  for (const [command, flags, original] of [
    [["rm -rf /"], [], "rm -rf /"],
    [[], ["-T"], ""],
    [["sftp"], ["-s"], "sftp"],
  ] as const) {
    const { stdout, stderr } = await ssh("free-command", options, command, { flags });
    assert.equal(stdout.toString(), `forced: ${original}\n`, stderr);
  }
});

test("environment", { skip }, async () => {
  const env = { TEAM: "the client's" };
  const { stdout } = await ssh("free-env", 'environment="TEAM=blue"', ["echo $TEAM"], {
    env,
    options: ["SendEnv=TEAM"],
  });
  assert.equal(stdout.toString(), "blue\n");
});

test("permitopen, no-port-forwarding", { skip }, async () => {
  for (const [user, options, reached] of [
    ["free-open-yes", `permitopen="127.0.0.1:${echoPort}"`, true],
    ["free-open-no", 'permitopen="127.0.0.1:1"', false],
    ["free-open-none", "no-port-forwarding", false],
    ["free-open-restrict", `restrict,permitopen="127.0.0.1:${echoPort}"`, false],
    ["free-open-back", `restrict,port-forwarding,permitopen="127.0.0.1:${echoPort}"`, true],
  ] as const) {
    const { stdout, stderr } = await ssh(user, options, [], { flags: ["-W", `127.0.0.1:${echoPort}`] });
    assert.equal(stdout.toString(), reached ? "hello\n" : "", options);
    if (!reached) assert.match(stderr, /administratively prohibited: Your key does not allow forwarding of/);
  }
});

test("permitlisten", { skip }, async () => {
  const flags = ["-v", "-N", "-o", "ExitOnForwardFailure=yes", "-R", `localhost:0:127.0.0.1:${echoPort}`];
  const refused = await ssh("free-listen-no", 'permitlisten="localhost:1"', [], { flags });
  assert.match(refused.stderr, /remote port forwarding failed/);
  await writeFile(`${folder}/free-listen-yes`, `permitlisten="localhost:*" ${world.identity.publicLine}\n`);
  await using allowed = spawnSsh(world.gateway.target("free-listen-yes", world.identity.path), [], { flags });
  await sshReady(allowed);
});

test("no-agent-forwarding and no-X11-forwarding", { skip }, async () => {
  await using agent = await startAgent([world.identity.path]);
  const more = { flags: ["-A"], options: [`IdentityAgent=${agent.socket}`] };
  assert.match((await ssh("free-agent", "", ["ssh-add -l"], more)).stdout.toString(), /SHA256:/);
  assert.equal(
    (await ssh("free-no-agent", "no-agent-forwarding", ["ssh-add -l"], more)).stdout.toString(),
    "",
  );
});

test("key and rule: what passes both passes", { skip }, async () => {
  const forced = await ssh("policed-command", 'command="echo by the key"', ["echo mine"]);
  assert.equal(forced.stdout.toString(), "by the key\n");
  const beyond = await ssh("policed-beyond", 'command="id"', ["echo mine"]);
  assert.match(beyond.stderr, /This command is not allowed here\./);
  const through = (user: string, options: string): ReturnType<typeof ssh> =>
    ssh(user, options, [], { flags: ["-W", `127.0.0.1:${echoPort}`] });
  assert.equal(
    (await through("policed-open", `permitopen="127.0.0.1:${echoPort}"`)).stdout.toString(),
    "hello\n",
  );
  assert.match(
    (await through("policed-other", 'permitopen="127.0.0.1:1"')).stderr,
    /Your key does not allow/,
  );
});

test("from and expiry-time", { skip }, async () => {
  for (const [user, options, admitted] of [
    ["free-from", 'from="127.0.0.0/8"', true],
    ["free-not-from", 'from="10.0.0.0/8"', false],
    ["free-negated", 'from="*,!127.0.0.1"', false],
    ["free-fresh", 'expiry-time="20991231Z"', true],
    ["free-expired", 'expiry-time="20200101Z"', false],
  ] as const) {
    const { stdout, stderr } = await ssh(user, options, ["echo in"]);
    assert.equal(stdout.toString(), admitted ? "in\n" : "", options);
    if (!admitted) assert.match(stderr, /Permission denied \(/);
  }
});

test("a certificate: force-command, extensions that are not there, source-address", { skip }, async () => {
  const forced = await certified("free-cert-force", ["force-command=echo by the authority"], ["id"]);
  assert.equal(forced.stdout.toString(), "by the authority\n", forced.stderr);
  const noPty = await certified("free-cert-pty", ["no-pty"], [], { flags: ["-tt"], stdin });
  assert.match(noPty.stderr, /PTY allocation request failed/);
  const clear = await certified("free-cert-clear", ["clear"], [], { flags: ["-W", `127.0.0.1:${echoPort}`] });
  assert.match(clear.stderr, /Your certificate does not allow forwarding/);
  const plain = await certified("free-cert-plain", [], [], { flags: ["-W", `127.0.0.1:${echoPort}`] });
  assert.equal(plain.stdout.toString(), "hello\n");
  const elsewhere = await certified("free-cert-from", ["source-address=10.0.0.0/8"], ["echo in"]);
  assert.match(elsewhere.stderr, /Permission denied \(/);
});

test("the options of the authority's line hold beside those of the certificate", { skip }, async () => {
  const line = (options: string): string => `cert-authority,${options}`;
  const both = await certified("free-both", [], ["id"], {}, line('command="echo by the line"'));
  assert.equal(both.stdout.toString(), "by the line\n", both.stderr);
  const differ = await certified("free-differ", ["force-command=true"], ["id"], {}, line('command="false"'));
  assert.match(differ.stderr, /Permission denied \(/);
  const named = await certified("free-named", [], ["echo in"], {}, line('principals="free-named,other"'));
  assert.equal(named.stdout.toString(), "in\n");
  const unnamed = await certified("free-unnamed", [], ["echo in"], {}, line('principals="other"'));
  assert.match(unnamed.stderr, /Permission denied \(/);
});
