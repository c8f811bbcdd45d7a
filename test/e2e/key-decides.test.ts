/** The key or certificate that a client shows decides where it goes: several people, one user name. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { copyFile } from "node:fs/promises";
import { startAgent } from "#test/support/agent";
import { postern, type Pieces } from "#test/support/gateway";
import { runSsh, type SshOptions } from "#test/support/ssh";
import { startSshd, type Sshd } from "#test/support/sshd";
import { missing } from "#test/support/strangers";
import { bareKey, certify, type KeyFiles } from "#test/support/test-keys";
import { startWorld, upstreamTo, type World } from "#test/support/world";

const skip = missing("ssh", "sshd");
let world: World;
let second: Sshd;
let ada: KeyFiles;
let bob: KeyFiles;
let eve: KeyFiles;
let authority: KeyFiles;
before(async () => {
  if (skip !== false) return;
  world = await startWorld({ sshd: { config: ["SetEnv TARGET=first"] }, rules: () => [] });
  const { keys, gateway, gatewayKey } = world;
  second = await startSshd({ config: ["SetEnv TARGET=second"], authorizedKeys: [gatewayKey.publicLine] });
  [ada, bob, eve, authority] = ["ada", "bob", "eve", "authority"].map((name) =>
    keys.key("ed25519", name),
  ) as [KeyFiles, KeyFiles, KeyFiles, KeyFiles];
  const matched = [{ kind: "publickey", matched: true }];
  const to = (sshd: Sshd, more: Pieces = {}): Pieces => upstreamTo({ ...world, sshd }, more);
  const authorities = [bareKey(authority.publicLine)];
  await gateway.rewrite([
    { name: "ada", match: { user: "git", key: [ada.publicLine] }, login: matched, upstream: to(world.sshd) },
    {
      name: "bob",
      match: { user: "git", fingerprint: [bob.fingerprint] },
      login: matched,
      upstream: to(second),
    },
    {
      name: "team",
      match: { user: "git", certificate: { authorities, principals: ["team-two"] } },
      login: matched,
      upstream: to(second),
    },
    {
      name: "by-id",
      match: { user: "home", certificate: { authorities, keyId: "(?<person>[a-z0-9]+)@office" } },
      login: matched,
      upstream: to(world.sshd, { user: "{person}" }),
    },
    {
      name: "down",
      match: { user: "down", key: [ada.publicLine] },
      login: matched,
      upstream: { ...to(world.sshd), addresses: ["127.0.0.1:1"] },
    },
  ]);
  gateway.signal("SIGHUP");
  await gateway.waitForLog("reload", ({ event }) => event === "reloaded");
});
after(async () => {
  await second?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});

const ssh = (user: string, identity?: string, more: SshOptions = {}): ReturnType<typeof runSsh> =>
  runSsh(world.gateway.target(user, identity), ["echo $TARGET $USER"], more);

/** A certificate of its own for a key that has been copied, so that no test finds another's. */
async function certified(
  name: string,
  principals: readonly string[],
  more: readonly string[] = [],
): Promise<{ readonly identity: string; readonly options: readonly string[] }> {
  const key = world.keys.key("ed25519", `holder-${name}`);
  const made = certify(authority, key, { principals, more });
  const certificate = world.keys.folder.at(`${name}.cert`);
  await copyFile(made, certificate);
  return { identity: key.path, options: [`CertificateFile=${certificate}`] };
}

test("two people, one user name, two hosts", { skip }, async () => {
  for (const [key, target] of [
    [ada, "first"],
    [bob, "second"],
  ] as const) {
    const { stdout, stderr } = await ssh("git", key.path);
    assert.equal(stdout.toString(), `${target} ${world.user.name}\n`, stderr);
  }
});

test("a key that no rule names, and no key at all: as with any other name", { skip }, async () => {
  for (const [user, key] of [
    ["git", eve],
    ["other", ada],
    ["home", ada],
  ] as const) {
    const { code, stderr } = await ssh(user, key.path);
    assert.equal(code, 255);
    assert.match(stderr, /Permission denied \(publickey\)/, user);
  }
  const none = await ssh("git", undefined, { options: ["PubkeyAuthentication=no"] });
  assert.match(none.stderr, /Permission denied \(publickey\)/);
});

test("an agent with many keys: the one that a rule names decides", { skip }, async () => {
  const strangers = ["s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8"];
  const paths = strangers.map((name) => world.keys.key("ed25519", name).path);
  await using agent = await startAgent([...paths, bob.path, ada.path]);
  const { stdout, stderr } = await ssh("git", undefined, {
    options: [`IdentityAgent=${agent.socket}`, "IdentitiesOnly=no"],
  });
  assert.equal(stdout.toString(), `second ${world.user.name}\n`, stderr);
});

test("a certificate: its principals, and what its key id says", { skip }, async () => {
  const team = await certified("team", ["team-two"]);
  assert.equal((await ssh("git", team.identity, team)).stdout.toString(), `second ${world.user.name}\n`);
  const id = await certified("id", ["home"], ["-I", `${world.user.name}@office`]);
  const { stdout, stderr } = await ssh("home", id.identity, id);
  assert.equal(stdout.toString(), `first ${world.user.name}\n`, stderr);
});

test("certificates that are not good here choose nothing", { skip }, async () => {
  const other = world.keys.key("ed25519", "other-authority");
  const foreign = certify(other, world.keys.key("ed25519", "foreign"), { principals: ["team-two"] });
  const cases = [
    await certified("principal", ["team-one"]),
    await certified("old", ["team-two"], ["-V", "20200101:20210101"]),
    await certified("elsewhere", ["team-two"], ["-O", "source-address=10.0.0.0/8"]),
    { identity: world.keys.key("ed25519", "foreign").path, options: [`CertificateFile=${foreign}`] },
  ];
  for (const each of cases) assert.match((await ssh("git", each.identity, each)).stderr, /Permission denied/);
});

test("force-command of a certificate holds by way of the rule", { skip }, async () => {
  const forced = await certified("forced", ["team-two"], ["-O", "force-command=echo forced"]);
  assert.equal((await ssh("git", forced.identity, forced)).stdout.toString(), "forced\n");
});

test("who only asks about a key is led nowhere", { skip }, async () => {
  // The public half alone: ssh asks about the key, is told that it would do, and cannot sign.
  const half = world.keys.folder.at("half.pub");
  await copyFile(`${ada.path}.pub`, half);
  const { stderr } = await ssh("down", half, { flags: ["-v"] });
  assert.match(stderr, /Server accepts key/);
  assert.match(stderr, /Permission denied/);
  assert.equal(world.gateway.events("upstream-address-failed").length, 0);
  assert.match((await ssh("down", ada.path)).stderr, /could not be reached|cannot be reached|not reach/i);
});

test("explain and check know such rules", { skip }, async () => {
  const { configFile } = world.gateway;
  const explain = (...args: readonly string[]): ReturnType<typeof postern> =>
    postern(["explain", "-c", configFile, ...args]);
  const asked = await explain("git", "--key", `${bob.path}.pub`);
  assert.equal(asked.code, 0, asked.stderr);
  const said = asked.stdout.toString();
  assert.match(said, /^- ada .*skipped: the key is none of its keys/m);
  assert.match(said, /^\* bob .*matched: the name is "git", the key is one of its keys/m);
  assert.match(said, new RegExp(`goes to 127\\.0\\.0\\.1:${second.port} as `));
  const without = await explain("git");
  assert.equal(without.code, 1);
  assert.match(without.stdout.toString(), /skipped: it is for those who show its key/);
  const team = await certified("explained", ["team-two"]);
  const certificate = team.options[0]?.split("=")[1] ?? "";
  assert.match(
    (await explain("git", "--key", certificate)).stdout.toString(),
    /^\* team .*certificate is as it asks/m,
  );
  const wrong = await explain("git", "--key", bob.path);
  assert.match(wrong.stderr, /file of one public key/);
  assert.equal((await postern(["check", "-c", configFile])).code, 0);
});
