import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import {
  type Certificate,
  type CertificateDemands,
  certificateOptions,
  checkCertificate,
  decodeAnyKey,
  decodeCertificate,
  decodePublicKey,
  formatPublicKey,
  generatePrivateKey,
  parsePublicKeyLine,
  type PrivateKey,
  type PublicKey,
} from "#ssh/keys";
import { Writer } from "#ssh/wire";
import { checkDecoder, code } from "#test/support/decoder";
import { missing } from "#test/support/strangers";
import { tempDir } from "#test/support/temp-dir";
import { certify, type KeyFiles, keyKinds, makeKey } from "#test/support/test-keys";

const fixture = (name: string): string => readFileSync(new URL(`fixtures/${name}`, import.meta.url), "utf8");
const forever = 2n ** 64n - 1n;
const now = 1_700_000_000;

function asCertificate(line: string): Certificate {
  const { key } = parsePublicKeyLine(line);
  assert.ok("key" in key);
  return key;
}

function read(path: string): Certificate {
  return asCertificate(readFileSync(path, "utf8"));
}

/** A certificate made here, to have what ssh-keygen would not make. */
interface Making {
  readonly key?: PublicKey;
  readonly authority?: PrivateKey;
  readonly kind?: number;
  readonly principals?: readonly string[];
  readonly validAfter?: bigint;
  readonly validBefore?: bigint;
  readonly critical?: readonly (readonly [string, Uint8Array])[];
  readonly extensions?: readonly (readonly [string, Uint8Array])[];
}

const authority = generatePrivateKey("ssh-ed25519");
const subject = generatePrivateKey("ssh-ed25519");

function pairs(options: readonly (readonly [string, Uint8Array])[]): Uint8Array {
  const writer = new Writer();
  for (const [name, data] of options) writer.string(name).string(data);
  return writer.bytes();
}

function inString(text: string): Uint8Array {
  return new Writer().string(text).bytes();
}

function makeBlob(making: Making = {}): Uint8Array {
  const signer = making.authority ?? authority;
  const principals = new Writer();
  for (const name of making.principals ?? ["alice"]) principals.string(name);
  const body = new Writer()
    .string("ssh-ed25519-cert-v01@openssh.com")
    .string(Buffer.alloc(32, 7))
    .string((making.key ?? subject.publicKey).blob.subarray(-32))
    .u64(9n)
    .u32(making.kind ?? 1)
    .string("id")
    .string(principals.bytes())
    .u64(making.validAfter ?? 0n)
    .u64(making.validBefore ?? forever)
    .string(pairs(making.critical ?? []))
    .string(pairs(making.extensions ?? []))
    .string("")
    .string(signer.blob)
    .bytes();
  const signature = signer.sign(signer.algorithms[0] ?? "", body);
  assert.ok(signature instanceof Uint8Array);
  return new Writer().raw(body).string(signature).bytes();
}

const make = (making: Making = {}): Certificate => decodeCertificate(makeBlob(making));

function demands(changes: Partial<CertificateDemands> = {}): CertificateDemands {
  return { kind: "user", principal: "alice", nowSeconds: now, authorities: [authority.blob], ...changes };
}

test("the certificate of the fixtures, field by field", () => {
  const certificate = asCertificate(fixture("id_ed25519-cert.pub"));
  assert.equal(certificate.type, "ssh-ed25519-cert-v01@openssh.com");
  assert.equal(certificate.kind, "user");
  assert.equal(certificate.keyId, "fixture certificate");
  assert.equal(certificate.serial, 42n);
  assert.deepEqual(certificate.principals, ["alice", "bob"]);
  assert.equal(certificate.validAfter, BigInt(Date.UTC(2020, 0, 1) / 1000));
  assert.equal(certificate.validBefore, BigInt(Date.UTC(2100, 0, 1) / 1000));
  assert.deepEqual(certificate.key.blob, parsePublicKeyLine(fixture("id_ed25519.pub")).key.blob);
  assert.deepEqual(certificate.authority.blob, parsePublicKeyLine(fixture("ca.pub")).key.blob);
  assert.equal(certificate.signatureAlgorithm, "ecdsa-sha2-nistp384");
  assert.deepEqual(certificateOptions(certificate), {
    forceCommand: 'echo "hi"',
    sourceAddress: "10.0.0.0/8,2001:db8::/32",
    verifyRequired: false,
    touchRequired: true,
    agentForwarding: true,
    portForwarding: true,
    pty: true,
    userRc: true,
    x11Forwarding: false,
  });
});

test("a certificate whole, short, and long", () => {
  const { blob } = asCertificate(fixture("id_ed25519-cert.pub"));
  const certificate = checkDecoder(decodeCertificate, blob, "PEER_CERTIFICATE_INVALID");
  assert.deepEqual(certificate.blob, blob);
  assert.throws(() => decodeCertificate(subject.blob), code("PEER_CERTIFICATE_INVALID"));
  assert.ok("key" in decodeAnyKey(blob));
  assert.ok(!("key" in decodeAnyKey(subject.blob)));
});

test("a forged certificate never verifies, whichever byte was changed", () => {
  for (const blob of [makeBlob(), asCertificate(fixture("id_ed25519-cert.pub")).blob]) {
    for (let at = 0; at < blob.length; at++) {
      for (const mask of [1, 0x80]) {
        const forged = Uint8Array.from(blob);
        forged[at] = (forged[at] ?? 0) ^ mask;
        assert.throws(() => decodeAnyKey(forged), /PEER_(CERTIFICATE|KEY)_INVALID/, `byte ${at}`);
      }
    }
  }
});

test("contents that make no sense are refused, though the signature is right", () => {
  const empty = Buffer.alloc(0);
  const bad: Record<string, Making> = {
    "kind 0": { kind: 0 },
    "kind 3": { kind: 3 },
    "an option twice": {
      critical: [
        ["force-command", inString("a")],
        ["force-command", inString("b")],
      ],
    },
    "an extension twice": {
      extensions: [
        ["permit-pty", empty],
        ["permit-pty", empty],
      ],
    },
    "a principal with NUL": { principals: ["root\0x"] },
    "257 principals": { principals: Array.from({ length: 257 }, (_, n) => `p${n}`) },
  };
  for (const [what, making] of Object.entries(bad)) {
    assert.throws(() => make(making), code("PEER_CERTIFICATE_INVALID"), what);
  }
  assert.equal(make({ principals: Array.from({ length: 256 }, (_, n) => `p${n}`) }).principals.length, 256);
});

test("an authority cannot itself be a certificate", () => {
  const signer = { ...authority, blob: makeBlob() };
  assert.throws(() => make({ authority: signer }), code("PEER_CERTIFICATE_INVALID"));
});

function check(making: Making, changes: Partial<CertificateDemands> = {}): string | undefined {
  return checkCertificate(make(making), demands(changes));
}

test("kind, authority, time and principal decide", () => {
  assert.equal(check({}), undefined);
  assert.equal(check({}, { authorities: (blob) => Buffer.compare(blob, authority.blob) === 0 }), undefined);
  assert.match(check({}, { authorities: [] }) ?? "", /not trusted/);
  assert.match(check({}, { authorities: [subject.blob] }) ?? "", /not trusted/);
  assert.match(check({}, { authorities: () => false }) ?? "", /not trusted/);
  assert.match(check({ kind: 2 }) ?? "", /a host certificate where a user certificate is due/);
  assert.match(check({}, { kind: "host" }) ?? "", /a user certificate where a host certificate is due/);

  const from = BigInt(now);
  assert.equal(check({ validAfter: from }), undefined);
  assert.match(check({ validAfter: from + 1n }) ?? "", /not yet/);
  assert.equal(check({ validBefore: from + 1n }), undefined);
  assert.match(check({ validBefore: from }) ?? "", /expired/);

  assert.match(check({}, { principal: "bob" }) ?? "", /principals/);
  assert.match(check({}, { principal: "Alice" }) ?? "", /principals/);
  assert.match(check({}, { principal: "" }) ?? "", /principals/);
  assert.match(check({}, { principal: [] }) ?? "", /principals/);
  assert.equal(check({}, { principal: ["bob", "alice"] }), undefined);
  // Good for nobody, as OpenSSH since 10.3.
  assert.match(check({ principals: [] }) ?? "", /no principals/);
  assert.match(check({ principals: [], kind: 2 }, { kind: "host" }) ?? "", /no principals/);
});

test("wildcards count in host certificates only", () => {
  const host = make({ kind: 2, principals: ["*.example.org", "gate"] });
  const check = (principal: string): string | undefined =>
    checkCertificate(host, demands({ kind: "host", principal }));
  assert.equal(check("web.example.org"), undefined);
  assert.equal(check("WEB.Example.ORG"), undefined);
  assert.equal(check("gate"), undefined);
  assert.match(check("example.org") ?? "", /principals/);
  assert.match(check("gate.example.com") ?? "", /principals/);
  assert.match(checkCertificate(make({ principals: ["*"] }), demands()) ?? "", /principals/);
});

test("critical options: the known ones are obeyed, any other refuses; extensions may be unknown", () => {
  const empty = Buffer.alloc(0);
  const check = (making: Making, sourceAddress?: string): string | undefined =>
    checkCertificate(make(making), demands(sourceAddress === undefined ? {} : { sourceAddress }));
  assert.equal(check({ critical: [["force-command", inString("true")]] }), undefined);
  assert.equal(check({ critical: [["verify-required", empty]] }), undefined);
  assert.match(check({ critical: [["new-restriction@example.org", empty]] }) ?? "", /not known/);
  assert.match(check({ critical: [["force-command", empty]] }) ?? "", /malformed/);
  assert.match(check({ critical: [["force-command", Buffer.from("true")]] }) ?? "", /malformed/);
  assert.match(check({ critical: [["verify-required", Buffer.of(1)]] }) ?? "", /with data/);
  assert.equal(check({ extensions: [["unknown@example.org", Buffer.of(1)]] }), undefined);
  assert.match(check({ extensions: [["permit-pty", Buffer.of(1)]] }) ?? "", /with data/);

  const bound: Making = { critical: [["source-address", inString("10.0.0.0/8,2001:db8::/32")]] };
  assert.equal(check(bound, "10.255.0.1"), undefined);
  assert.equal(check(bound, "::ffff:10.0.0.1"), undefined);
  assert.equal(check(bound, "2001:db8:1::5"), undefined);
  assert.match(check(bound, "11.0.0.1") ?? "", /from this address/);
  assert.match(check(bound, "/run/socket") ?? "", /from this address/);
  assert.match(check(bound) ?? "", /not known/);
  for (const list of ["", "10.0.0.0/8,", "10.0.0.1/8", "!10.0.0.0/8", "10.*", "10.0.0.0/33"]) {
    assert.match(
      check({ critical: [["source-address", inString(list)]] }, "10.0.0.1") ?? "",
      /malformed/,
      list,
    );
  }
  const host: Making = { kind: 2, critical: [["force-command", inString("true")]] };
  assert.match(checkCertificate(make(host), demands({ kind: "host" })) ?? "", /critical options/);
});

test("every kind of key, certified by every kind of authority", { skip: missing("ssh") }, async () => {
  await using folder = await tempDir();
  const nowSeconds = Date.now() / 1000;
  const authorities: KeyFiles[] = keyKinds.map((kind) => makeKey(folder.at(`ca-${kind}`), kind));
  for (const kind of keyKinds) {
    const files = makeKey(folder.at(kind), kind);
    for (const [index, ca] of authorities.entries()) {
      const host = index % 2 === 1;
      const certificate = read(certify(ca, files, { host, principals: ["one", "two"], more: ["-V", "+1h"] }));
      const verdict = checkCertificate(certificate, {
        kind: host ? "host" : "user",
        principal: "two",
        nowSeconds,
        authorities: [parsePublicKeyLine(ca.publicLine).key.blob],
      });
      assert.equal(verdict, undefined, `${kind} by ${ca.path}`);
      assert.deepEqual(certificate.key.blob, parsePublicKeyLine(files.publicLine).key.blob);
      assert.equal(
        formatPublicKey(certificate.blob, `test ${kind}`),
        readFileSync(`${files.path}-cert.pub`, "utf8").trim(),
      );
      if (index === 0) checkDecoder(decodeCertificate, certificate.blob, "PEER_CERTIFICATE_INVALID");
    }
  }
});

test("an authority that signs with SHA-1, or is too short, is refused with that reason", {
  skip: missing("ssh"),
}, async () => {
  await using folder = await tempDir();
  const ca = makeKey(folder.at("ca"), "rsa", "", ["-b", "1024"]);
  const files = makeKey(folder.at("key"));
  const check = (algorithm: string): string | undefined => {
    const certificate = read(certify(ca, files, { principals: ["alice"], more: ["-t", algorithm] }));
    assert.equal(certificate.signatureAlgorithm, algorithm);
    return checkCertificate(certificate, demands({ authorities: [certificate.authority.blob] }));
  };
  assert.match(check("rsa-sha2-512") ?? "", /1024 bits/);
  assert.match(check("ssh-rsa") ?? "", /ssh-rsa are not allowed/);
});

test("options that ssh-keygen writes are read", { skip: missing("ssh") }, async () => {
  await using folder = await tempDir();
  const ca = makeKey(folder.at("ca"));
  const files = makeKey(folder.at("key"));
  const options = (...list: string[]): Certificate =>
    read(certify(ca, files, { principals: ["alice"], more: list.flatMap((option) => ["-O", option]) }));
  const strict = options("clear", "force-command=ls -l", "source-address=192.0.2.0/24", "verify-required");
  assert.deepEqual(certificateOptions(strict), {
    forceCommand: "ls -l",
    sourceAddress: "192.0.2.0/24",
    verifyRequired: true,
    touchRequired: true,
    agentForwarding: false,
    portForwarding: false,
    pty: false,
    userRc: false,
    x11Forwarding: false,
  });
  const loose = certificateOptions(options("no-touch-required", "extension:note@example.org=hello"));
  assert.ok(!loose.touchRequired && loose.pty && loose.x11Forwarding);
  const unknown = options("critical:note@example.org=hello");
  assert.match(
    checkCertificate(unknown, demands({ authorities: [unknown.authority.blob] })) ?? "",
    /not known/,
  );
});

test("certificates of FIDO keys", { skip: missing("ssh") }, async () => {
  await using folder = await tempDir();
  const ca = makeKey(folder.at("ca"));
  const { x, y } = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "jwk" });
  const point = Buffer.concat([
    Buffer.of(4),
    Buffer.from(x ?? "", "base64url"),
    Buffer.from(y ?? "", "base64url"),
  ]);
  const blobs = [
    new Writer()
      .string("sk-ecdsa-sha2-nistp256@openssh.com")
      .string("nistp256")
      .string(point)
      .string("ssh:")
      .bytes(),
    new Writer()
      .string("sk-ssh-ed25519@openssh.com")
      .string(subject.blob.subarray(-32))
      .string("ssh:")
      .bytes(),
  ];
  for (const blob of blobs) {
    writeFileSync(folder.at("sk.pub"), `${formatPublicKey(blob, "sk")}\n`);
    execFileSync("ssh-keygen", ["-q", "-s", ca.path, "-I", "sk", "-n", "alice", folder.at("sk.pub")]);
    const certificate = read(folder.at("sk-cert.pub"));
    assert.deepEqual(certificate.key.blob, decodePublicKey(blob).blob);
    assert.equal(certificate.key.application, "ssh:");
    checkDecoder(decodeCertificate, certificate.blob, "PEER_CERTIFICATE_INVALID");
  }
});
