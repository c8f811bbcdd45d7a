/** The upstream's host key is always checked, and a mismatch is told as what it is. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { readFile, writeFile } from "node:fs/promises";
import { succeed } from "#test/support/child";
import type { Pieces } from "#test/support/gateway";
import { runSsh } from "#test/support/ssh";
import { startSshd, type Sshd } from "#test/support/sshd";
import { missing } from "#test/support/strangers";
import { bareKey, certify, knownHostsLine, makeKey, type KeyFiles } from "#test/support/test-keys";
import { keyRule, startWorld, upstreamTo, type World } from "#test/support/world";

const skip = missing("ssh", "sshd");
let world: World;
let certified: Sshd;
let authority: KeyFiles;
let [ed25519, ecdsa, rsa, other]: KeyFiles[] = [];

function bare(key: KeyFiles | undefined): string {
  return bareKey(key?.publicLine ?? "");
}

function fingerprint(key: KeyFiles | undefined): string {
  return key?.fingerprint ?? "";
}

/** A rule for each way to check, and whether the upstream passes it. */
function ways(): readonly (readonly [name: string, hostKey: Pieces, passes: boolean, sshd?: Sshd])[] {
  const { sshd, gateway } = world;
  const { folder } = gateway;
  return [
    ["known-hosts", { knownHosts: sshd.knownHosts }, true],
    ["only-rsa-known", { knownHosts: folder.at("only_rsa") }, true],
    ["only-ecdsa-known", { knownHosts: folder.at("only_ecdsa") }, true],
    ["hashed-names", { knownHosts: folder.at("hashed") }, true],
    ["two-files", { knownHosts: [folder.at("empty"), sshd.knownHosts] }, true],
    ["another-known", { knownHosts: folder.at("other") }, false],
    ["nothing-known", { knownHosts: folder.at("empty") }, false],
    ["revoked", { knownHosts: [sshd.knownHosts, folder.at("revoked")] }, false],
    ["fingerprint", { fingerprints: [fingerprint(ed25519)] }, true],
    ["fingerprint-rsa", { fingerprints: [fingerprint(rsa)] }, true],
    ["fingerprint-wrong", { fingerprints: [fingerprint(other)] }, false],
    ["key", { keys: [bare(ed25519)] }, true],
    ["key-rsa", { keys: [bare(rsa)] }, true],
    ["key-wrong", { keys: [bare(other)] }, false],
    ["authority", { authorities: [bare(authority)] }, true, certified],
    ["authority-in-known-hosts", { knownHosts: folder.at("authority") }, true, certified],
    ["authority-wrong", { authorities: [bare(other)] }, false, certified],
    ["authority-without-certificate", { authorities: [bare(authority)] }, false],
    ["any", { dangerouslyAcceptAny: true }, true],
    ["accept-new", { acceptNew: folder.at("accepted") }, true],
    ["accept-new-changed", { acceptNew: folder.at("other") }, false],
  ];
}

before(async () => {
  if (skip !== false) return;
  world = await startWorld({ sshd: { hostKeys: ["ed25519", "ecdsa-256", "rsa"] }, rules: () => [] });
  const { sshd, gateway, keys } = world;
  [ed25519, ecdsa, rsa] = [...sshd.hostKeys];
  other = keys.key("ed25519", "other");
  authority = keys.key("ed25519", "authority");
  const host = makeKey(gateway.folder.at("certified_host"));
  const certificate = certify(authority, host, { host: true, principals: ["127.0.0.1", "localhost"] });
  certified = await startSshd({
    hostKeyFiles: [host],
    config: [`HostCertificate ${certificate}`],
    authorizedKeys: [world.gatewayKey.publicLine],
  });
  const line = (key: KeyFiles | undefined): string =>
    knownHostsLine(sshd.host, sshd.port, key?.publicLine ?? "");
  const write = (name: string, text: string): Promise<void> =>
    writeFile(gateway.folder.at(name), `${text}\n`);
  await write("only_rsa", line(rsa));
  await write("only_ecdsa", line(ecdsa));
  await write("other", line(other));
  await write("empty", "# nobody");
  await write("revoked", `@revoked * ${bareKey(ed25519?.publicLine ?? "")}`);
  await write("authority", `@cert-authority * ${bareKey(authority.publicLine)}`);
  await write("hashed", line(ed25519));

  await succeed("ssh-keygen", ["-q", "-H", "-f", gateway.folder.at("hashed")]);
  await gateway.rewrite(
    ways().map(([name, hostKey, , upstream]) =>
      keyRule(world, name, { upstream: upstreamTo({ ...world, sshd: upstream ?? sshd }, { hostKey }) }),
    ),
  );
  gateway.signal("SIGHUP");
  await gateway.waitForLog("reload", (entry) => entry.event === "reloaded");
});
after(async () => {
  await certified?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});

const login = (user: string) => runSsh(world.gateway.target(user, world.identity.path), ["id -un"]);

const names: readonly (readonly [string, boolean])[] = [
  ["known-hosts", true],
  ["only-rsa-known", true],
  ["only-ecdsa-known", true],
  ["hashed-names", true],
  ["two-files", true],
  ["fingerprint", true],
  ["fingerprint-rsa", true],
  ["key", true],
  ["key-rsa", true],
  ["authority", true],
  ["authority-in-known-hosts", true],
  ["any", true],
  ["another-known", false],
  ["nothing-known", false],
  ["revoked", false],
  ["fingerprint-wrong", false],
  ["key-wrong", false],
  ["authority-wrong", false],
  ["authority-without-certificate", false],
  ["accept-new-changed", false],
];

for (const [name, passes] of names) {
  test(`${name}: the upstream is ${passes ? "entered" : "refused, in words"}`, { skip }, async () => {
    assert.equal(ways().find(([way]) => way === name)?.[2], passes);
    const { code, stdout, stderr } = await login(name);
    if (passes) {
      assert.equal(code, 0, stderr);
      assert.equal(stdout.toString(), `${world.user.name}\n`);
    } else {
      assert.equal(code, 255);
      assert.match(stderr, /host key of the server behind this gateway/i);
      assert.match(stderr, /administrator/);
    }
  });
}

test("a mismatch is logged with both fingerprints", { skip }, async () => {
  await login("another-known");
  const line = await world.gateway.waitForLog("the mismatch", (entry) => {
    const text = JSON.stringify(entry);
    return text.includes("UPSTREAM_HOST_KEY_MISMATCH") && text.includes(other?.fingerprint ?? "?");
  });
  const text = JSON.stringify(line);
  assert.ok(
    [ed25519, ecdsa, rsa].some((key) => text.includes(key?.fingerprint ?? "?")),
    text,
  );
});

test("a refused upstream is never sent a login", { skip }, async () => {
  const accepted = world.sshd.count(/Accepted publickey/);
  await login("another-known");
  await login("revoked");
  assert.equal(world.sshd.count(/Accepted publickey/), accepted);
});

test("accept-new writes the first key down, and holds to it", { skip }, async () => {
  const { gateway, sshd } = world;
  assert.equal((await login("accept-new")).code, 0);
  const file = gateway.folder.at("accepted");
  const written = await readFile(file, "utf8");
  assert.ok(written.includes(`[${sshd.host}]:${sshd.port} `), written);
  assert.ok(
    [ed25519, ecdsa, rsa].some((key) => written.includes(bareKey(key?.publicLine ?? "?"))),
    written,
  );
  assert.equal((await login("accept-new")).code, 0);
  assert.equal(await readFile(file, "utf8"), written);
  await writeFile(file, `${knownHostsLine(sshd.host, sshd.port, other?.publicLine ?? "")}\n`);
  const refused = await login("accept-new");
  assert.equal(refused.code, 255);
  assert.match(refused.stderr, /host key of the server behind this gateway/i);
});
