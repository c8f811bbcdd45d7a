import assert from "node:assert/strict";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  decodeAnyKey,
  decodePublicKey,
  fingerprint,
  formatPublicKey,
  generatePrivateKey,
  parsePublicKeyLine,
  publicKeyTypes,
} from "#ssh/keys";
import { Writer } from "#ssh/wire";
import { checkDecoder, code } from "#test/support/decoder";
import { missing } from "#test/support/strangers";
import { tempDir } from "#test/support/temp-dir";
import { keyKinds, makeKey } from "#test/support/test-keys";

const fixture = (name: string): string => readFileSync(new URL(`fixtures/${name}`, import.meta.url), "utf8");

function rsaBlob(e: Uint8Array, n: Uint8Array): Uint8Array {
  return new Writer().string("ssh-rsa").mpint(e).mpint(n).bytes();
}

function ecdsa(q: Uint8Array, curve = "nistp256", type = "ecdsa-sha2-nistp256"): Uint8Array {
  return new Writer().string(type).string(curve).string(q).bytes();
}

function pointOf(key: KeyObject): Buffer {
  const { x, y } = key.export({ format: "jwk" });
  return Buffer.concat([Buffer.of(4), Buffer.from(x ?? "", "base64url"), Buffer.from(y ?? "", "base64url")]);
}

test("public keys of fixed fixtures: type, size, comment, fingerprint, and back to text", () => {
  const expected = [
    [
      "id_ed25519.pub",
      "ssh-ed25519",
      256,
      "fixture ed25519",
      "SHA256:DhRTJXYZmQ2bZ0bFSnUuuWZ+e/15jp33LTOad9fgMNo",
    ],
    ["id_rsa.pub", "ssh-rsa", 2048, "fixture rsa", "SHA256:GrwU+0TuIwwZrj+RHtTvT6dpc+ypSC7a4jkFGrugxsc"],
    [
      "ca.pub",
      "ecdsa-sha2-nistp384",
      384,
      "fixture ecdsa",
      "SHA256:jfgCKh4Im+oT3a2xtbm/p4cbAvAy3csqgz6meK6EkKo",
    ],
  ] as const;
  for (const [file, type, bits, comment, print] of expected) {
    const text = fixture(file);
    const { key, comment: read } = parsePublicKeyLine(text);
    assert.ok(!("key" in key));
    assert.deepEqual([key.type, key.bits, read, fingerprint(key.blob)], [type, bits, comment, print]);
    assert.equal(formatPublicKey(key.blob, comment), text.trim());
  }
});

test("public keys by ssh-keygen of every kind", { skip: missing("ssh") }, async () => {
  await using folder = await tempDir();
  for (const kind of keyKinds) {
    const files = makeKey(folder.at(kind), kind);
    const { key } = parsePublicKeyLine(files.publicLine);
    assert.equal(fingerprint(key.blob), files.fingerprint);
    assert.equal(formatPublicKey(key.blob, `test ${kind}`), files.publicLine);
    const again = checkDecoder(decodePublicKey, key.blob, "PEER_KEY_INVALID");
    assert.ok(again.keyObject.equals(decodePublicKey(key.blob).keyObject));
  }
});

test("FIDO keys carry their application", () => {
  const x = Buffer.from(
    generateKeyPairSync("ed25519").publicKey.export({ format: "jwk" }).x ?? "",
    "base64url",
  );
  const ed25519 = new Writer().string("sk-ssh-ed25519@openssh.com").string(x).string("ssh:work").bytes();
  const point = pointOf(generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey);
  const fidoEcdsa = new Writer()
    .string("sk-ecdsa-sha2-nistp256@openssh.com")
    .string("nistp256")
    .string(point)
    .string("ssh:")
    .bytes();
  assert.equal(checkDecoder(decodePublicKey, ed25519, "PEER_KEY_INVALID").application, "ssh:work");
  assert.equal(checkDecoder(decodePublicKey, fidoEcdsa, "PEER_KEY_INVALID").application, "ssh:");
});

test("the blob is a copy: the bytes it came from may be used again", () => {
  const bytes = Uint8Array.from(generatePrivateKey("ssh-ed25519").blob);
  const { blob } = decodePublicKey(bytes);
  const before = Buffer.from(blob).toString("hex");
  bytes.fill(0);
  assert.equal(Buffer.from(blob).toString("hex"), before);
});

test("keys whose numbers make no sense are refused", () => {
  const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 1024 });
  const jwk = publicKey.export({ format: "jwk" });
  const n = Buffer.from(jwk.n ?? "", "base64url");
  const e = Buffer.from(jwk.e ?? "", "base64url");
  assert.equal(decodePublicKey(rsaBlob(e, n)).bits, 1024);
  const even = Buffer.from(n);
  even[n.length - 1] = 0;
  const shorter = Buffer.from(n);
  shorter[0] = 0x7f;
  const point = pointOf(generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey);
  const offCurve = Buffer.from(point);
  offCurve[40] = (offCurve[40] ?? 0) ^ 1;
  const compressed = Buffer.concat([Buffer.of(2), point.subarray(1, 33)]);
  assert.equal(decodePublicKey(ecdsa(point)).bits, 256);
  const bad: Record<string, Uint8Array> = {
    "1023 bits": rsaBlob(e, shorter),
    "an even modulus": rsaBlob(e, even),
    "exponent 0": rsaBlob(Buffer.alloc(0), n),
    "exponent 1": rsaBlob(Buffer.of(1), n),
    "exponent 2": rsaBlob(Buffer.of(2), n),
    "an exponent of 65 bits": rsaBlob(Buffer.from("010000000000000001", "hex"), n),
    "16392 bits": rsaBlob(e, Buffer.alloc(2049, 0xff)),
    "a point off the curve": ecdsa(offCurve),
    "a compressed point": ecdsa(compressed),
    "no point": ecdsa(Buffer.alloc(0)),
    infinity: ecdsa(Buffer.of(0)),
    "another curve": ecdsa(point, "nistp384"),
    "a point of another curve": ecdsa(point, "nistp384", "ecdsa-sha2-nistp384"),
    "ed25519 of 31 bytes": new Writer().string("ssh-ed25519").string(Buffer.alloc(31)).bytes(),
    "an unknown type": new Writer().string("ssh-dss").string("x").bytes(),
  };
  for (const [what, blob] of Object.entries(bad)) {
    assert.throws(() => decodePublicKey(blob), code("PEER_KEY_INVALID"), what);
    assert.throws(() => decodeAnyKey(blob), code("PEER_KEY_INVALID"), what);
  }
});

test("a certificate is no plain key", () => {
  const { key } = parsePublicKeyLine(fixture("id_ed25519-cert.pub"));
  assert.throws(() => decodePublicKey(key.blob), code("PEER_KEY_INVALID"));
});

test("lines that are no public key say what is wrong", () => {
  const good = fixture("id_ed25519.pub").trim();
  const [type = "", base64 = ""] = good.split(" ");
  assert.equal(parsePublicKeyLine(`  ${type}\t ${base64}  `).comment, "");
  assert.equal(parsePublicKeyLine(`${type} ${base64} two  words \r\n`).comment, "two  words");
  const invalid = [
    "",
    " ",
    type,
    `${type} `,
    `${type} ${base64.slice(0, -1)}`,
    `${type} ${base64.slice(0, -4)}`,
    `${type} ${base64}AAAA`,
    `${type} !!!!`,
    `ssh-rsa ${base64}`,
    `${type}-cert-v01@openssh.com ${base64}`,
    `${good}\n${good}`,
  ];
  for (const line of invalid)
    assert.throws(() => parsePublicKeyLine(line), code("OPERATOR_KEY_INVALID"), line);
  for (const line of [`ssh-dss ${base64}`, "not a key", `${type}x ${base64}`]) {
    assert.throws(() => parsePublicKeyLine(line), code("OPERATOR_KEY_UNSUPPORTED"), line);
  }
});

test("a comment cannot end the line", () => {
  const { blob } = generatePrivateKey("ssh-ed25519");
  const line = formatPublicKey(blob, "one\nssh-rsa AAAA\r\ntwo");
  assert.ok(!/[\r\n]/.test(line));
  assert.equal(parsePublicKeyLine(line).comment, "one ssh-rsa AAAA two");
});

test("every type has its name in the table", () => {
  assert.equal(publicKeyTypes.length, 7);
});
