import assert from "node:assert/strict";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import {
  checkCertificate,
  fingerprint,
  formatPrivateKey,
  formatPublicKey,
  generatePrivateKey,
  parsePrivateKey,
  parsePublicKeyLine,
} from "#ssh/keys";
import { code } from "#test/support/decoder";
import { asksForList, fakeAgent, failureReply, listOf } from "#test/support/fake-agent";
import { tempDir } from "#test/support/temp-dir";
import { finishRotation, initAuthority, rotateAuthority, showAuthority, signHostKeys } from "./authority.ts";

const noPassphrase = async (): Promise<string> => {
  throw new Error("no passphrase was to be asked for");
};

test("init makes a key that only its owner may read, and never over another", async () => {
  await using folder = await tempDir();
  const file = folder.at("made", "user_ca_key");
  const made = await initAuthority(file, "user", "");
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(statSync(`${file}.pub`).mode & 0o777, 0o644);
  assert.match(made.comment, /^postern user CA /);
  const { publicKey } = await parsePrivateKey(readFileSync(file));
  assert.deepEqual(publicKey.blob, made.key.blob);
  assert.deepEqual(
    (await showAuthority(file)).map(({ key }) => key.blob),
    [made.key.blob],
  );
  await assert.rejects(initAuthority(file, "user", ""), code("OPERATOR_CA_EXISTS"));
  assert.deepEqual((await parsePrivateKey(readFileSync(file))).blob, publicKey.blob);
  await assert.rejects(showAuthority(folder.at("none")), code("OPERATOR_CA_MISSING"));
});

test("a rotation: the new key is the current one, the old one stays in show until it is finished", async () => {
  await using folder = await tempDir();
  const file = folder.at("user_ca_key");
  await assert.rejects(rotateAuthority(file, "user", ""), code("OPERATOR_CA_MISSING"));
  const first = await initAuthority(file, "user", "");
  await assert.rejects(finishRotation(file), code("OPERATOR_CA_MISSING"));
  // Left over from a run that was cut short.
  writeFileSync(`${file}.new`, "half a key");
  const lines = await rotateAuthority(file, "user", "new secret");
  assert.deepEqual(lines, await showAuthority(file));
  assert.deepEqual(
    lines.map(({ old }) => old),
    [false, true],
  );
  assert.deepEqual(lines[1]?.key.blob, first.key.blob);
  const current = await parsePrivateKey(readFileSync(file), "new secret");
  assert.deepEqual(current.blob, lines[0]?.key.blob);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.deepEqual((await parsePrivateKey(readFileSync(`${file}.old`))).blob, first.key.blob);
  assert.equal(statSync(`${file}.old`).mode & 0o777, 0o600);
  await assert.rejects(rotateAuthority(file, "user", ""), code("OPERATOR_CA_ROTATING"));
  assert.deepEqual(await showAuthority(file), lines, "a refused rotation changes nothing");
  assert.deepEqual((await finishRotation(file)).key.blob, first.key.blob);
  assert.deepEqual(await showAuthority(file), lines.slice(0, 1));
  assert.equal((await rotateAuthority(file, "user", "")).length, 2);
});

test("host keys are certified, private or public, for the names that are given", async () => {
  await using folder = await tempDir();
  const file = folder.at("host_ca_key");
  const authority = await initAuthority(file, "host", "secret");
  const [one, two] = [generatePrivateKey("ssh-ed25519"), generatePrivateKey("ecdsa-sha2-nistp256")];
  writeFileSync(folder.at("one"), await formatPrivateKey(one));
  writeFileSync(folder.at("two.pub"), `${formatPublicKey(two.blob, "two")}\n`);
  const request = {
    files: [folder.at("one"), folder.at("two.pub")],
    names: ["*.gate.example", "gate.example"],
    validSeconds: 3600,
  };
  for (let run = 0; run < 2; run++) {
    const signed = await signHostKeys({ file, passphrase: async () => "secret" }, request);
    assert.deepEqual(
      signed.map((each) => each.file),
      [folder.at("one-cert.pub"), folder.at("two-cert.pub")],
    );
    for (const [at, key] of [one, two].entries()) {
      const certificate = signed[at]?.certificate;
      assert.ok(certificate !== undefined);
      assert.deepEqual(certificate.key.blob, key.blob);
      const demands = {
        kind: "host",
        nowSeconds: Date.now() / 1000,
        authorities: [authority.key.blob],
      } as const;
      assert.equal(checkCertificate(certificate, { ...demands, principal: "web.gate.example" }), undefined);
      assert.match(
        checkCertificate(certificate, { ...demands, principal: "other.example" }) ?? "",
        /principals/,
      );
      const written = readFileSync(signed[at]?.file ?? "", "utf8");
      assert.deepEqual(parsePublicKeyLine(written.trim()).key.blob, certificate.blob);
    }
  }
  const wrong = { ...request, files: [folder.at("one-cert.pub")] };
  await assert.rejects(
    signHostKeys({ file, passphrase: async () => "secret" }, wrong),
    code("OPERATOR_HOST_CERTIFICATE_UNUSABLE"),
  );
  const missing = { ...request, files: [folder.at("none")] };
  await assert.rejects(
    signHostKeys({ file, passphrase: async () => "secret" }, missing),
    code("OPERATOR_HOST_KEY_MISSING"),
  );
  await assert.rejects(
    signHostKeys({ file, passphrase: async () => "wrong" }, request),
    code("OPERATOR_KEY_PASSPHRASE_WRONG"),
  );
  await assert.rejects(
    signHostKeys({ file: folder.at("none"), passphrase: noPassphrase }, request),
    code("OPERATOR_CA_MISSING"),
  );
});

test("an agent that refuses to sign a host key leaves no file", async () => {
  await using folder = await tempDir();
  const authority = generatePrivateKey("ssh-ed25519");
  await using agent = await fakeAgent((payload) => (asksForList(payload) ? listOf(authority) : failureReply));
  const key = generatePrivateKey("ssh-ed25519");
  writeFileSync(folder.at("key.pub"), formatPublicKey(key.blob));
  const request = { files: [folder.at("key.pub")], names: ["gate"], validSeconds: 60 };
  await assert.rejects(
    signHostKeys({ socket: agent.socket, key: fingerprint(authority.blob) }, request),
    code("OPERATOR_AGENT_REFUSED"),
  );
  assert.throws(() => statSync(folder.at("key-cert.pub")), /ENOENT/);
});
