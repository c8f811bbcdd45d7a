import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import {
  certificateOptions,
  type CertificateContents,
  checkCertificate,
  formatPublicKey,
  generatePrivateKey,
  type GeneratedType,
  parsePrivateKey,
  signCertificate,
  withCertificate,
} from "#ssh/keys";
import { code } from "#test/support/decoder";
import { missing } from "#test/support/strangers";
import { tempDir } from "#test/support/temp-dir";
import { keyKinds, makeKey } from "#test/support/test-keys";

const from = BigInt(Date.UTC(2026, 0, 1) / 1000);
const subject = generatePrivateKey("ssh-ed25519");
const authority = generatePrivateKey("ssh-ed25519");
const contents: CertificateContents = {
  kind: "user",
  key: subject.publicKey,
  serial: 2n ** 64n - 1n,
  keyId: "ada session k3j2",
  principals: ["ada", "web-admin"],
  validAfter: from,
  validBefore: from + 300n,
  criticalOptions: new Map([
    ["source-address", "192.0.2.0/24,2001:db8::/32"],
    ["force-command", "echo 'only this'"],
  ]),
  extensions: ["permit-user-rc", "permit-pty", "permit-X11-forwarding"],
};

test("a certificate says what it was told to say, and stands the check", async () => {
  const certificate = await signCertificate(contents, authority);
  assert.equal(certificate.type, "ssh-ed25519-cert-v01@openssh.com");
  assert.equal(certificate.serial, contents.serial);
  assert.equal(certificate.keyId, contents.keyId);
  assert.deepEqual(certificate.principals, contents.principals);
  assert.deepEqual(certificate.authority.blob, authority.blob);
  assert.deepEqual(certificate.key.blob, subject.blob);
  const { forceCommand, sourceAddress, pty, userRc, x11Forwarding, portForwarding, agentForwarding } =
    certificateOptions(certificate);
  assert.equal(forceCommand, "echo 'only this'");
  assert.equal(sourceAddress, "192.0.2.0/24,2001:db8::/32");
  assert.deepEqual([pty, userRc, x11Forwarding], [true, true, true]);
  assert.deepEqual([portForwarding, agentForwarding], [false, false]);
  const demands = {
    kind: "user",
    principal: "ada",
    authorities: [authority.blob],
    sourceAddress: "192.0.2.9",
  } as const;
  assert.equal(checkCertificate(certificate, { ...demands, nowSeconds: Number(from) }), undefined);
  assert.match(
    checkCertificate(certificate, { ...demands, nowSeconds: Number(from) + 300 }) ?? "",
    /expired/,
  );
  assert.match(checkCertificate(certificate, { ...demands, nowSeconds: Number(from) - 1 }) ?? "", /not yet/);
});

test("two certificates of the same contents differ: the authority signs no bytes that others chose", async () => {
  const [one, two] = [await signCertificate(contents, authority), await signCertificate(contents, authority)];
  assert.notDeepEqual(one.blob, two.blob);
});

test("contents that no certificate should have are refused", async () => {
  const wrong: readonly Partial<CertificateContents>[] = [
    { principals: [] },
    { principals: ["ada", ""] },
    { principals: ["root\0ada"] },
    { principals: Array.from({ length: 257 }, (_, at) => `name${at}`) },
    { keyId: "a\0b" },
    { validBefore: from },
    { extensions: ["permit-pty", "permit-pty"] },
    { kind: "host" },
  ];
  for (const change of wrong) {
    await assert.rejects(
      signCertificate({ ...contents, ...change }, authority),
      code("BUG_CERTIFICATE_CONTENTS"),
    );
  }
});

test("an authority that signs something else is found out", async () => {
  const liar = { ...authority, sign: () => authority.sign("ssh-ed25519", Buffer.from("something else")) };
  await assert.rejects(signCertificate(contents, liar), code("PEER_CERTIFICATE_INVALID"));
});

test("ssh-keygen reads it, for every kind of key, and by every kind of authority", {
  skip: missing("ssh"),
}, async () => {
  await using folder = await tempDir();
  const types: readonly GeneratedType[] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
  ];
  const keys = types.map((type) => generatePrivateKey(type));
  for (const kind of keyKinds) {
    const files = makeKey(folder.at(`ca-${kind}`), kind);
    const signer = await parsePrivateKey(readFileSync(files.path));
    for (const key of kind === "ed25519" ? keys : keys.slice(0, 1)) {
      const certificate = await signCertificate({ ...contents, key: key.publicKey }, signer);
      writeFileSync(folder.at("cert.pub"), `${formatPublicKey(certificate.blob, "test")}\n`);
      const shown = execFileSync("ssh-keygen", ["-L", "-f", folder.at("cert.pub")], {
        encoding: "utf8",
        env: { ...process.env, TZ: "UTC" },
      });
      for (const line of [
        "user certificate",
        `Signing CA: ${kind.startsWith("ecdsa") ? "ECDSA" : kind.toUpperCase()} ${files.fingerprint}`,
        'Key ID: "ada session k3j2"',
        "Serial: 18446744073709551615",
        "Valid: from 2026-01-01T00:00:00 to 2026-01-01T00:05:00",
        "force-command echo 'only this'",
        "source-address 192.0.2.0/24,2001:db8::/32",
      ]) {
        assert.ok(shown.includes(line), `${line} in\n${shown}`);
      }
      const lines = shown.split("\n").map((line) => line.trim());
      assert.deepEqual(
        lines.slice(lines.indexOf("Principals:") + 1, lines.indexOf("Critical Options:")),
        contents.principals,
      );
      assert.deepEqual(
        lines.slice(lines.indexOf("Extensions:") + 1).filter((line) => line !== ""),
        ["permit-X11-forwarding", "permit-pty", "permit-user-rc"],
        "in the order of their names",
      );
      assert.ok(withCertificate(key, certificate).algorithms.every((name) => name.includes("-cert-v01@")));
    }
  }
});
