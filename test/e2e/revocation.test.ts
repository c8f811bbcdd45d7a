/** Keys that are out: KRLs made by ssh-keygen, and lists, for one rule and for all. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, test } from "node:test";
import { rm, writeFile } from "node:fs/promises";
import { postern } from "#test/support/gateway";
import { runSsh } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { bareKey, certify, type KeyFiles } from "#test/support/test-keys";
import { keyLogin, startWorld, upstreamTo, type World } from "#test/support/world";

const skip = missing("ssh", "sshd");
let world: World;
let forAll: string;
let forOne: string;
let ada: KeyFiles;
let bob: KeyFiles;
let authority: KeyFiles;
before(async () => {
  if (skip !== false) return;
  world = await startWorld({ rules: () => [] });
  const { keys, gateway } = world;
  [ada, bob, authority] = ["ada", "bob", "authority"].map((name) => keys.key("ed25519", name)) as [
    KeyFiles,
    KeyFiles,
    KeyFiles,
  ];
  forAll = gateway.folder.at("revoked.krl");
  forOne = gateway.folder.at("revoked.keys");
  await writeFile(forAll, "");
  await writeFile(forOne, "");
  const login = [
    keyLogin(ada, bob),
    { kind: "publickey", keys: [`cert-authority ${bareKey(authority.publicLine)}`] },
  ];
  await gateway.rewrite(
    [
      { name: "strict", match: { user: "strict" }, login, upstream: upstreamTo(world), revoked: [forOne] },
      { name: "plain", match: { user: "plain" }, login, upstream: upstreamTo(world) },
    ],
    { revoked: [forAll] },
  );
  gateway.signal("SIGHUP");
  await gateway.waitForLog("reload", ({ event }) => event === "reloaded");
});
after(async () => {
  await world?.[Symbol.asyncDispose]();
});

/** Whether a key, or a certificate for it, logs in. */
async function admitted(user: string, key: KeyFiles, certificate?: string): Promise<boolean> {
  const options = certificate === undefined ? [] : [`CertificateFile=${certificate}`];
  const { code, stderr } = await runSsh(world.gateway.target(user, key.path), ["true"], { options });
  if (code !== 0) assert.match(stderr, /Permission denied \(/);
  return code === 0;
}

const krl = (...args: readonly string[]): void => {
  execFileSync("ssh-keygen", ["-q", "-k", "-f", forAll, ...args]);
};

test("keys of a list, for one rule; the file is read at each login", { skip }, async () => {
  assert.equal(await admitted("strict", ada), true);
  await writeFile(forOne, `# gone\n${ada.publicLine}\n`);
  assert.deepEqual([await admitted("strict", ada), await admitted("plain", ada)], [false, true]);
  await writeFile(forOne, `${bob.fingerprint}\n`);
  assert.deepEqual([await admitted("strict", ada), await admitted("strict", bob)], [true, false]);
  await writeFile(forOne, "");
});

test("a KRL for all rules, updated by ssh-keygen -u", { skip }, async () => {
  krl(`${bob.path}.pub`);
  assert.deepEqual([await admitted("plain", ada), await admitted("plain", bob)], [true, false]);
  krl("-u", `${ada.path}.pub`);
  assert.deepEqual([await admitted("plain", ada), await admitted("strict", bob)], [false, false]);
  const reasons = world.gateway.events("auth-denied").map(({ reason }) => String(reason));
  assert.ok(reasons.includes(`${forAll}: the key is revoked`), reasons.join("\n"));
  await writeFile(forAll, "");
});

test("certificates by serial and by key id; their keys, and their authority", { skip }, async () => {
  const holder = world.keys.key("ed25519", "holder");
  const make = (serial: number, id: string): string =>
    certify(authority, holder, { principals: ["plain"], more: ["-z", String(serial), "-I", id] });
  const spec = world.gateway.folder.at("spec");
  const revoke = async (text: string): Promise<void> => {
    await writeFile(spec, text);
    krl("-s", `${authority.path}.pub`, spec);
  };
  await revoke("serial: 5\nserial: 10-20\nid: lost laptop\n");
  for (const [serial, id, expected] of [
    [4, "laptop", true],
    [5, "laptop", false],
    [15, "laptop", false],
    [21, "laptop", true],
    [21, "lost laptop", false],
  ] as const) {
    assert.equal(await admitted("plain", holder, make(serial, id)), expected, `${serial} ${id}`);
  }
  const certificate = make(4, "laptop");
  for (const line of [
    `key: ${holder.publicLine}`,
    `sha256: ${holder.publicLine}`,
    `sha1: ${authority.publicLine}`,
  ]) {
    await revoke(`${line}\n`);
    assert.equal(await admitted("plain", holder, certificate), false, line);
  }
  await writeFile(forAll, "");
  assert.equal(await admitted("plain", holder, certificate), true);
});

test("a list that cannot be read lets no key in, and is the operator's to mend", { skip }, async () => {
  for (const broken of ["SSHKRL\n\0 and no more", "no key at all\n", undefined]) {
    if (broken === undefined) await rm(forAll);
    else await writeFile(forAll, broken);
    assert.equal(await admitted("plain", ada), false, broken ?? "no file");
    const check = await postern(["check", "-c", world.gateway.configFile]);
    assert.equal(check.code, 1);
    assert.match(`${check.stdout.toString()}${check.stderr}`, /revoked/);
  }
  assert.ok(world.gateway.events("revocation-list-unusable").length >= 3);
  await writeFile(forAll, "");
  assert.equal(await admitted("plain", ada), true);
});
