import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, type KeyObject, sign as cryptoSign } from "node:crypto";
import { test } from "node:test";
import {
  algorithmErrors,
  defaultAlgorithms,
  type SignatureAlgorithm,
  signatureAlgorithms,
  Slow,
} from "#ssh/algorithms";
import { Reader, Writer } from "#ssh/wire";
import { someBytes } from "#test/support/packets";

const { BUG_SIGNATURE_KEY } = algorithmErrors;

interface Pair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

const rsa2048: Pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
const pairs: Readonly<Record<string, Pair>> = {
  "ssh-ed25519": generateKeyPairSync("ed25519"),
  "ecdsa-sha2-nistp256": generateKeyPairSync("ec", { namedCurve: "prime256v1" }),
  "ecdsa-sha2-nistp384": generateKeyPairSync("ec", { namedCurve: "secp384r1" }),
  "ecdsa-sha2-nistp521": generateKeyPairSync("ec", { namedCurve: "secp521r1" }),
  "rsa-sha2-512": rsa2048,
  "rsa-sha2-256": rsa2048,
  "ssh-rsa": rsa2048,
};

function pairFor(name: string): Pair {
  return pairs[name] ?? assert.fail(name);
}

async function signed(row: SignatureAlgorithm, key: KeyObject, data: Uint8Array): Promise<Uint8Array> {
  const signature = row.sign(key, data);
  return signature instanceof Slow ? await signature.run() : signature;
}

test("the table holds what it should, and the defaults hold no SHA-1", () => {
  assert.deepEqual(
    [...signatureAlgorithms.values()].map(({ name, keyType, hash }) => [name, keyType, hash]),
    [
      ["ssh-ed25519", "ssh-ed25519", undefined],
      ["ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", "sha256"],
      ["ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384", "sha384"],
      ["ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521", "sha512"],
      ["rsa-sha2-512", "ssh-rsa", "sha512"],
      ["rsa-sha2-256", "ssh-rsa", "sha256"],
      ["ssh-rsa", "ssh-rsa", "sha1"],
    ],
  );
  assert.deepEqual(
    [...signatureAlgorithms.keys()].filter((name) => !defaultAlgorithms.hostKeys.includes(name)),
    ["ssh-rsa"],
  );
  for (const name of defaultAlgorithms.hostKeys) assert.ok(signatureAlgorithms.has(name));
});

const data = someBytes(300, 7);

for (const row of signatureAlgorithms.values()) {
  const { name } = row;
  const { privateKey, publicKey } = pairFor(name);

  test(`${name}: what is signed is valid, for this data, key and algorithm alone`, async () => {
    const signature = await signed(row, privateKey, data);
    assert.equal(row.verify(publicKey, data, signature), true);
    assert.equal(row.verify(publicKey, data.subarray(1), signature), false);
    assert.equal(row.verify(publicKey, new Uint8Array(), signature), false);
    for (const other of signatureAlgorithms.values()) {
      const key = pairFor(other.name).publicKey;
      const same = other.name === name;
      assert.equal(other.verify(publicKey, data, signature), same, `${other.name}, our key`);
      assert.equal(other.verify(key, data, signature), same, `${other.name}, its key`);
    }
  });

  test(`${name}: a changed bit anywhere makes a signature invalid`, async () => {
    const signature = await signed(row, privateKey, data);
    for (let at = 0; at < signature.length; at++) {
      const bad = Uint8Array.from(signature);
      bad[at] = (bad[at] ?? 0) ^ (1 << (at % 8));
      assert.equal(row.verify(publicKey, data, bad), false, `byte ${at}`);
    }
  });

  test(`${name}: signatures of the wrong length are invalid and never throw`, async () => {
    const signature = await signed(row, privateKey, data);
    for (let length = 0; length < signature.length; length++) {
      assert.equal(row.verify(publicKey, data, signature.subarray(0, length)), false, `${length}`);
    }
    for (const bad of [
      Buffer.concat([signature, Uint8Array.of(0)]),
      Buffer.concat([Uint8Array.of(0), signature]),
      new Uint8Array(signature.length),
      new Uint8Array(signature.length).fill(0xff),
      new Uint8Array(10_000),
    ]) {
      assert.equal(row.verify(publicKey, data, bad), false);
    }
  });

  test(`${name}: data may be reused while the signature is made`, async () => {
    const reused = Uint8Array.from(data);
    const signature = row.sign(privateKey, reused);
    reused.fill(0);
    const bytes = signature instanceof Slow ? await signature.run() : signature;
    assert.equal(row.verify(publicKey, data, bytes), true);
  });

  test(`${name}: signing with a key of another type is a bug`, () => {
    const other = pairFor(name === "ssh-ed25519" ? "ecdsa-sha2-nistp256" : "ssh-ed25519");
    assert.throws(() => row.sign(other.privateKey, data), BUG_SIGNATURE_KEY);
  });
}

test("ssh-ed25519: the first example of RFC 8032, section 7.1", async () => {
  const row = signatureAlgorithms.get("ssh-ed25519") ?? assert.fail();
  const publicKey = createPublicKey({
    key: {
      kty: "OKP",
      crv: "Ed25519",
      x: Buffer.from("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "hex").toString(
        "base64url",
      ),
    },
    format: "jwk",
  });
  const signature = Buffer.from(
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    "hex",
  );
  assert.equal(row.verify(publicKey, new Uint8Array(), signature), true);
  assert.equal(row.verify(publicKey, Uint8Array.of(0), signature), false);
});

test("ECDSA on one curve with the key of another is invalid, and a bug to sign", () => {
  const row = signatureAlgorithms.get("ecdsa-sha2-nistp256") ?? assert.fail();
  const { privateKey, publicKey } = pairFor("ecdsa-sha2-nistp384");
  assert.throws(() => row.sign(privateKey, data), BUG_SIGNATURE_KEY);
  const pair = cryptoSign("sha256", data, { key: privateKey, dsaEncoding: "ieee-p1363" });
  const signature = new Writer().mpint(pair.subarray(0, 48)).mpint(pair.subarray(48)).bytes();
  assert.equal(row.verify(publicKey, data, signature), false);
});

const rewritten = (first: Uint8Array, second: Uint8Array): Uint8Array =>
  new Writer().string(first).string(second).bytes();
const plus = (value: Uint8Array): Uint8Array => Buffer.concat([Uint8Array.of(0), value]);
const asMpint = (value: Uint8Array): Uint8Array => ((value[0] ?? 0) & 0x80 ? plus(value) : value);

test("ECDSA: numbers of any length that mpints may have", async () => {
  const row = signatureAlgorithms.get("ecdsa-sha2-nistp256") ?? assert.fail();
  const { privateKey, publicKey } = pairFor("ecdsa-sha2-nistp256");
  const lengths = new Set<number>();
  // About every other signature has r with its top bit set, and so a zero before it.
  for (let n = 0; n < 400 && lengths.size < 3; n++) {
    const message = Uint8Array.of(n, n >>> 8);
    const signature = await signed(row, privateKey, message);
    assert.equal(row.verify(publicKey, message, signature), true);
    lengths.add(signature.length);
  }
  assert.ok(lengths.size >= 2);
  const signature = await signed(row, privateKey, data);
  const reader = new Reader(signature);
  const [r, s] = [reader.mpint(), reader.mpint()];
  assert.equal(row.verify(publicKey, data, rewritten(asMpint(r), asMpint(s))), true);
  assert.equal(row.verify(publicKey, data, rewritten(plus(asMpint(r)), asMpint(s))), false);
  assert.equal(row.verify(publicKey, data, rewritten(new Uint8Array(), asMpint(s))), false);
  assert.equal(row.verify(publicKey, data, rewritten(asMpint(r), new Uint8Array())), false);
  assert.equal(row.verify(publicKey, data, rewritten(Uint8Array.of(0x80), asMpint(s))), false);
});

test("RSA: leading zeros that a signer left out are put back", () => {
  const row = signatureAlgorithms.get("rsa-sha2-256") ?? assert.fail();
  const { privateKey, publicKey } = rsa2048;
  // One signature in 256 begins with a zero.
  for (let n = 0; n < 5000; n++) {
    const message = Uint8Array.of(n, n >>> 8);
    const signature = cryptoSign("sha256", message, privateKey);
    if (signature[0] !== 0) continue;
    assert.equal(row.verify(publicKey, message, signature), true);
    assert.equal(row.verify(publicKey, message, signature.subarray(1)), true);
    assert.equal(row.verify(publicKey, message, Buffer.concat([Uint8Array.of(0), signature])), false);
    return;
  }
  assert.fail("no signature with a leading zero in 5000");
});

test("a private key verifies nothing that it should not, and a secret key nothing at all", () => {
  const row = signatureAlgorithms.get("ssh-ed25519") ?? assert.fail();
  assert.throws(() => row.sign(pairFor("ssh-ed25519").publicKey, data));
  assert.equal(row.verify(pairFor("rsa-sha2-256").privateKey, data, new Uint8Array(64)), false);
});
