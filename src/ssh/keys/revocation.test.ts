import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { hash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import {
  type Certificate,
  fingerprint,
  formatPublicKey,
  generatePrivateKey,
  parsePublicKeyLine,
  parseRevocationList,
  type PrivateKey,
  type PublicKey,
  signCertificate,
} from "#ssh/keys";
import { Writer } from "#ssh/wire";
import { code } from "#test/support/decoder";
import { missing } from "#test/support/strangers";
import { tempDir } from "#test/support/temp-dir";
import { certify, makeKey } from "#test/support/test-keys";

const ca: PrivateKey = generatePrivateKey("ssh-ed25519");
const otherCa: PrivateKey = generatePrivateKey("ssh-ed25519");
const ada: PublicKey = generatePrivateKey("ssh-ed25519").publicKey;
const bob: PublicKey = generatePrivateKey("ecdsa-sha2-nistp256").publicKey;
const refusal = "OPERATOR_REVOCATION_LIST_INVALID";

async function certificate(
  serial: bigint,
  keyId = "ada",
  authority: PrivateKey = ca,
  key: PublicKey = ada,
): Promise<Certificate> {
  return await signCertificate(
    {
      kind: "user",
      key,
      serial,
      keyId,
      principals: ["ada"],
      validAfter: 0n,
      validBefore: 2n ** 64n - 1n,
    },
    authority,
  );
}

/** A KRL with these sections; numbers are their types. */
function krl(...sections: readonly (readonly [number, Uint8Array])[]): Uint8Array {
  const writer = new Writer()
    .raw(Buffer.from("SSHKRL\n\0", "latin1"))
    .u32(1)
    .u64(7n)
    .u64(0n)
    .u64(0n)
    .string("")
    .string("comment");
  for (const [type, data] of sections) writer.u8(type).string(data);
  return Uint8Array.from(writer.bytes());
}

/** The data of a section about certificates. */
function certificates(
  authority: Uint8Array | string,
  ...parts: readonly (readonly [number, Uint8Array])[]
): Uint8Array {
  const writer = new Writer().string(authority).string("");
  for (const [type, data] of parts) writer.u8(type).string(data);
  return writer.bytes();
}

const strings = (...texts: readonly (string | Uint8Array)[]): Uint8Array => {
  const writer = new Writer();
  for (const text of texts) writer.string(text);
  return writer.bytes();
};

const numbers = (...all: readonly bigint[]): Uint8Array => {
  const writer = new Writer();
  for (const each of all) writer.u64(each);
  return writer.bytes();
};

/** Serials of 0 … `below` that are revoked. */
async function revokedSerials(list: Uint8Array, below: number): Promise<number[]> {
  const revocation = parseRevocationList(list);
  const found: number[] = [];
  for (let serial = 0; serial < below; serial++) {
    if (revocation.reasonAgainst(await certificate(BigInt(serial))) !== undefined) found.push(serial);
  }
  return found;
}

test("keys: explicit, by SHA-1, by SHA-256; alone, in a certificate, as its authority", async () => {
  const sections = [
    [2, strings(bob.blob, ada.blob)],
    [3, strings(hash("sha1", ada.blob, "buffer"))],
    [5, strings(hash("sha256", ada.blob, "buffer"))],
  ] as const;
  for (const section of sections) {
    const list = parseRevocationList(krl(section));
    assert.equal(list.reasonAgainst(ada), "the key is revoked");
    assert.equal(list.reasonAgainst(await certificate(1n)), "the key of the certificate is revoked");
    assert.equal(list.reasonAgainst(ca.publicKey), undefined);
  }
  const authority = parseRevocationList(krl([2, strings(ca.blob)]));
  assert.equal(authority.reasonAgainst(await certificate(1n)), "the authority of the certificate is revoked");
  assert.equal(authority.reasonAgainst(await certificate(1n, "ada", otherCa)), undefined);
  assert.equal(authority.reasonAgainst(ada), undefined);
});

test("certificates by serial: a list, ranges, a bitmap; never number 0", async () => {
  const section = (...parts: Parameters<typeof certificates>[1][]): Uint8Array =>
    krl([1, certificates(ca.blob, ...parts)]);
  assert.deepEqual(await revokedSerials(section([0x20, numbers(9n, 0n, 3n, 3n)]), 12), [3, 9]);
  assert.deepEqual(
    await revokedSerials(
      section([0x21, numbers(0n, 2n)], [0x21, numbers(7n, 7n)], [0x21, numbers(1n, 4n)]),
      9,
    ),
    [1, 2, 3, 4, 7],
  );
  const bitmap = new Writer().u64(4n).mpint(Buffer.of(0b1000_0000, 0b0000_0101)).bytes();
  assert.deepEqual(await revokedSerials(section([0x22, bitmap]), 24), [4, 6, 19]);
  const empty = new Writer().u64(4n).mpint(Buffer.of()).bytes();
  assert.deepEqual(await revokedSerials(section([0x22, empty]), 8), []);
  const last = 2n ** 64n - 1n;
  const list = parseRevocationList(section([0x21, numbers(last, last)], [0x20, numbers(2n ** 63n)]));
  for (const serial of [last, 2n ** 63n]) {
    assert.equal(list.reasonAgainst(await certificate(serial)), "the certificate is revoked");
  }
  assert.equal(list.reasonAgainst(await certificate(last - 1n)), undefined);
});

test("certificates by key id, of one authority or of any; several sections add up", async () => {
  const list = parseRevocationList(
    krl(
      [1, certificates(ca.blob, [0x23, strings("ada", "grüße")])],
      [1, certificates(ca.blob, [0x20, numbers(5n)])],
      [1, certificates("", [0x23, strings("anywhere")])],
    ),
  );
  const cases: readonly [bigint, string, PrivateKey, boolean][] = [
    [1n, "ada", ca, true],
    [0n, "grüße", ca, true],
    [1n, "ad", ca, false],
    [5n, "bob", ca, true],
    [5n, "bob", otherCa, false],
    [1n, "ada", otherCa, false],
    [1n, "anywhere", ca, true],
    [1n, "anywhere", otherCa, true],
  ];
  for (const [serial, id, authority, revoked] of cases) {
    const reason = list.reasonAgainst(await certificate(serial, id, authority));
    assert.equal(reason !== undefined, revoked, `${serial} ${id}`);
  }
});

test("what is not understood whole is refused", () => {
  const signature = [4, ca.blob] as const;
  const broken: readonly [string, Uint8Array][] = [
    ["another format", Buffer.from(krl()).fill(9, 8, 12)],
    ["a section that is not known", krl([9, strings()])],
    ["a part that is not known", krl([1, certificates("", [0x30, numbers(1n)])])],
    ["a range backwards", krl([1, certificates("", [0x21, numbers(2n, 1n)])])],
    ["half a number", krl([1, certificates("", [0x20, Buffer.alloc(7)])])],
    ["more than a range", krl([1, certificates("", [0x21, numbers(1n, 2n, 3n)])])],
    [
      "a negative bitmap",
      krl([1, certificates("", [0x22, new Writer().u64(1n).string(Buffer.of(0x80)).bytes()])]),
    ],
    ["an authority that is no key", krl([1, certificates("nonsense")])],
    ["a hash of the wrong length", krl([5, strings(Buffer.alloc(20))])],
    ["an empty key", krl([2, strings("")])],
    ["a signature without its bytes", krl(signature)],
    [
      "something behind the signature",
      Buffer.concat([krl(signature), strings("sig"), Buffer.of(2), strings("")]),
    ],
    ["a critical extension", krl([255, new Writer().string("new").bool(true).string("").bytes()])],
  ];
  for (const [what, bytes] of broken) assert.throws(() => parseRevocationList(bytes), code(refusal), what);
});

test("signatures and extensions that may be passed over are", () => {
  const list = krl(
    [2, strings(ada.blob)],
    [255, new Writer().string("new").bool(false).string("x").bytes()],
    [4, ca.blob],
  );
  const signed = Buffer.concat([
    list,
    strings("signature"),
    Buffer.of(4),
    strings(bob.blob),
    strings("another"),
  ]);
  assert.equal(parseRevocationList(signed).reasonAgainst(ada), "the key is revoked");
  const inner = certificates(
    "",
    [0x39, new Writer().string("new").bool(false).string("").bytes()],
    [0x20, numbers(1n)],
  );
  assert.ok(parseRevocationList(krl([1, inner])));
});

test("a KRL that is cut off is refused, unless where a section ends", () => {
  const header = krl().length;
  const whole = krl([2, strings(ada.blob)]);
  for (let length = 1; length < whole.length; length++) {
    const cut = (): unknown => parseRevocationList(whole.subarray(0, length));
    if (length === header) cut();
    else assert.throws(cut, code(refusal), `${length} bytes`);
  }
});

test("lists of keys", async () => {
  const line = formatPublicKey(ada.blob, "a comment");
  const certified = formatPublicKey((await certificate(3n)).blob);
  for (const text of [
    line,
    `# comment\r\n\r\n  ${line}\r\n`,
    certified,
    fingerprint(ada.blob),
    `${fingerprint(ada.blob)} ada's old laptop`,
    `ssh-dss ${Buffer.from(strings("ssh-dss", "p")).toString("base64")} old\n${line}`,
  ]) {
    const list = parseRevocationList(Buffer.from(text));
    assert.ok(list.reasonAgainst(ada), text);
    assert.ok(list.reasonAgainst(await certificate(1n)), text);
    assert.equal(list.reasonAgainst(bob), undefined, text);
  }
  const authority = parseRevocationList(Buffer.from(formatPublicKey(ca.blob)));
  assert.ok(authority.reasonAgainst(await certificate(1n)));
  assert.equal(parseRevocationList(Buffer.of()).reasonAgainst(ada), undefined);
  for (const bad of [
    "ssh-ed25519 AAAA",
    "ssh-dss AAAA",
    "nonsense",
    "SHA256:short",
    `restrict ${line}`,
    "SSHKRL",
  ]) {
    assert.throws(() => parseRevocationList(Buffer.from(bad)), code(refusal), bad);
  }
});

test("ssh-keygen and we say the same of its KRLs", { skip: missing("ssh") }, async () => {
  await using folder = await tempDir();
  const authority = makeKey(folder.at("ca"));
  const keys = ["a", "b", "c", "d"].map((name) => makeKey(folder.at(name)));
  const [a, b, c, d] = keys;
  assert.ok(a && b && c && d);
  const holder = makeKey(folder.at("holder"));
  const files: string[] = keys.map((key) => `${key.path}.pub`);
  for (const serial of [1, 5, 6, 40, 41, 100, 200, 250, 5000, 5001, 70_000]) {
    const more = ["-z", String(serial)];
    certify(authority, { ...holder, path: holder.path }, { principals: ["x"], more });
    const file = folder.at(`serial-${serial}-cert.pub`);
    writeFileSync(file, readFileSync(`${holder.path}-cert.pub`));
    files.push(file);
  }
  const specs: readonly string[] = [
    "serial: 5\nserial: 40\nserial: 5000\nserial: 70000\n",
    "serial: 40-250\n",
    `serial: ${Array.from({ length: 200 }, (_, at) => 2 * at + 1).join("\nserial: ")}\n`,
    "id: test certificate\n",
    "id: something else\n",
    `key: ${a.publicLine}\nsha1: ${b.publicLine}\nsha256: ${c.publicLine}\nhash: ${d.fingerprint}\n`,
    `sha256: ${authority.publicLine}\n`,
    `key: ${holder.publicLine}\nserial: 1\nid: x\n`,
  ];
  const judge = (file: string): boolean[] => {
    const list = parseRevocationList(readFileSync(file));
    return files.map((each) => {
      const { key } = parsePublicKeyLine(readFileSync(each, "utf8"));
      const ours = list.reasonAgainst(key) !== undefined;
      const theirs = spawnSync("ssh-keygen", ["-Q", "-f", file, each], { encoding: "utf8" });
      assert.equal(ours, theirs.status !== 0, `${file} ${each}: ${theirs.stdout}${theirs.stderr}`);
      return ours;
    });
  };
  const seen = new Set<boolean>();
  for (const [at, spec] of specs.entries()) {
    writeFileSync(folder.at("spec"), spec);
    const file = folder.at(`krl-${at}`);
    execFileSync("ssh-keygen", [
      "-q",
      "-k",
      "-f",
      file,
      "-s",
      `${authority.path}.pub`,
      "-z",
      "3",
      folder.at("spec"),
    ]);
    for (const verdict of judge(file)) seen.add(verdict);
  }
  assert.equal(seen.size, 2);
  // Added to with -u, and of any authority.
  const file = folder.at("krl-1");
  execFileSync("ssh-keygen", ["-q", "-k", "-u", "-f", file, `${a.path}.pub`, folder.at("serial-1-cert.pub")]);
  const verdicts = judge(file);
  assert.deepEqual([verdicts[0], verdicts[1], verdicts[4], verdicts[5]], [true, false, true, false]);
  writeFileSync(folder.at("spec"), "serial: 1-10\n");
  execFileSync("ssh-keygen", ["-q", "-k", "-f", file, "-s", "none", folder.at("spec")]);
  judge(file);
});
