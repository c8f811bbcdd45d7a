import assert from "node:assert/strict";
import * as crypto from "node:crypto";
import { test } from "node:test";
import { algorithmErrors, kexMethods, type RandomBytes, Slow } from "#ssh/algorithms";
import { someBytes } from "#test/support/packets";
import { hasMlKem } from "./mlkem.ts";
import {
  ecPrivate,
  ecPublicBytes,
  hasRawKeys,
  mlKemPrivate,
  mlKemPublicBytes,
  x25519Private,
  x25519PublicBytes,
} from "./raw-keys.ts";

const { PEER_KEX_VALUE } = algorithmErrors;
const random: RandomBytes = (count) => crypto.randomBytes(count);
const row = kexMethods.get("mlkem768x25519-sha256");
const skip = hasMlKem ? false : "this Node has no ML-KEM";

/** The last bytes of a public key in DER, which are the key as such. */
function tail(key: crypto.KeyObject, count: number): Uint8Array {
  return key.export({ format: "der", type: "spki" }).subarray(-count);
}

function x25519Key(bytes: Uint8Array): crypto.KeyObject {
  const spki = Buffer.concat([Buffer.from("302a300506032b656e032100", "hex"), bytes]);
  return crypto.createPublicKey({ key: spki, format: "der", type: "spki" });
}

/** K as the draft has it: the hash over both secrets, post-quantum first, written as a string. */
function wanted(postQuantum: Uint8Array, classical: Uint8Array): Uint8Array {
  const hash = crypto
    .createHash("sha256")
    .update(Buffer.concat([postQuantum, classical]))
    .digest();
  return Buffer.concat([Uint8Array.of(0, 0, 0, 32), hash]);
}

test("the method is in the table exactly where Node has ML-KEM", () => {
  assert.equal(row !== undefined, "encapsulate" in crypto);
});

test("mlkem768x25519: a client put together by hand agrees with our server", { skip }, () => {
  assert.ok(row);
  const kem = crypto.generateKeyPairSync("ml-kem-768");
  const dh = crypto.generateKeyPairSync("x25519");
  const server = row.answer(Buffer.concat([tail(kem.publicKey, 1184), tail(dh.publicKey, 32)]), random);
  assert.ok(!(server instanceof Slow));
  assert.equal(server.publicValue.length, 1088 + 32);
  const postQuantum = crypto.decapsulate(kem.privateKey, server.publicValue.subarray(0, 1088));
  const classical = crypto.diffieHellman({
    privateKey: dh.privateKey,
    publicKey: x25519Key(server.publicValue.subarray(1088)),
  });
  assert.deepEqual(Buffer.from(server.secret), wanted(postQuantum, classical));
});

test("mlkem768x25519: a server put together by hand agrees with our client", { skip }, () => {
  assert.ok(row);
  const client = row.client(random);
  assert.equal(client.publicValue.length, 1184 + 32);
  const spki = Buffer.concat([
    Buffer.from("308204b2300b0609608648016503040402038204a100", "hex"),
    client.publicValue.subarray(0, 1184),
  ]);
  const kem = crypto.createPublicKey({ key: spki, format: "der", type: "spki" });
  const { sharedKey, ciphertext } = crypto.encapsulate(kem);
  const dh = crypto.generateKeyPairSync("x25519");
  const classical = crypto.diffieHellman({
    privateKey: dh.privateKey,
    publicKey: x25519Key(client.publicValue.subarray(1184)),
  });
  const agreed = client.agree(Buffer.concat([ciphertext, tail(dh.publicKey, 32)]));
  assert.ok(!(agreed instanceof Slow));
  assert.deepEqual(Buffer.from(agreed.secret), wanted(sharedKey, classical));
});

test("mlkem768x25519: keys not reduced modulo q and points of small order are refused", { skip }, () => {
  assert.ok(row);
  const client = row.client(random);
  const unreduced = Uint8Array.from(client.publicValue);
  unreduced.fill(0xff, 0, 3);
  assert.throws(() => row.answer(unreduced, random), PEER_KEX_VALUE);
  const zeroPoint = Uint8Array.from(client.publicValue).fill(0, 1184);
  assert.throws(() => row.answer(zeroPoint, random), PEER_KEX_VALUE);
  const server = row.answer(client.publicValue, random);
  assert.ok(!(server instanceof Slow));
  const zeroReply = Uint8Array.from(server.publicValue).fill(0, 1088);
  assert.throws(() => client.agree(zeroReply), PEER_KEX_VALUE);
});

test("mlkem768x25519: a changed ciphertext gives another secret and no error", { skip }, () => {
  assert.ok(row);
  const client = row.client(random);
  const server = row.answer(client.publicValue, random);
  assert.ok(!(server instanceof Slow));
  const changed = Uint8Array.from(server.publicValue);
  changed[500] = (changed[500] ?? 0) ^ 1;
  const agreed = client.agree(changed);
  assert.ok(!(agreed instanceof Slow));
  assert.notDeepEqual(agreed.secret, server.secret);
});

test("keys by raw format and by DER are the same", { skip: hasRawKeys ? false : "no raw formats" }, () => {
  const seed = someBytes(66, 9);
  const x = (raw: boolean): Uint8Array => x25519PublicBytes(x25519Private(seed.subarray(0, 32), raw));
  assert.deepEqual(x(true), x(false));
  seed[0] = 0;
  for (const [curve, bytes] of [
    ["P-256", 32],
    ["P-384", 48],
    ["P-521", 66],
  ] as const) {
    const ec = (raw: boolean): Uint8Array => ecPublicBytes(ecPrivate(curve, seed.subarray(0, bytes), raw));
    assert.deepEqual(ec(true), ec(false));
  }
  if (!hasMlKem) return;
  const kem = mlKemPrivate(seed.subarray(0, 64));
  assert.deepEqual(Buffer.from(mlKemPublicBytes(kem, true)), Buffer.from(mlKemPublicBytes(kem, false)));
});
