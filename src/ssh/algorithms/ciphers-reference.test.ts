import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { poly1305 as noblePoly1305 } from "@noble/ciphers/_poly1305.js";
import { ctr, gcm } from "@noble/ciphers/aes.js";
import { chacha20orig } from "@noble/ciphers/chacha.js";
import {
  bodyFor,
  openPieces,
  type PacketSuite,
  packetSuites,
  sealAll,
  someBytes,
} from "#test/support/packets";
import { fallbackPoly1305, nodePoly1305 } from "./poly1305.ts";

/**
 * The same packets put together a second time, from another library's primitives and straight from the documents that define
 * them: RFC 5647, PROTOCOL.chacha20poly1305, RFC 4344 with RFC 4253, section 6.4, and PROTOCOL, section 1.5.
 */
type Reference = (body: Uint8Array, n: number) => Uint8Array;

function uint32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

function gcmReference(suite: PacketSuite, iv: Uint8Array): Reference {
  const fixed = iv.subarray(0, 4);
  const counter = BigInt(`0x${Buffer.from(iv.subarray(4)).toString("hex")}`);
  return (body, n) => {
    const invocation = Buffer.alloc(8);
    invocation.writeBigUInt64BE(BigInt.asUintN(64, counter + BigInt(n)));
    const length = uint32(body.length);
    const sealed = gcm(suite.key, Buffer.concat([fixed, invocation]), length).encrypt(body);
    return Buffer.concat([length, sealed]);
  };
}

function chachaReference(suite: PacketSuite, sequence: number): Reference {
  return (body, n) => {
    const nonce = Buffer.concat([uint32(0), uint32((sequence + n) % 2 ** 32)]);
    const bodyKey = suite.key.subarray(0, 32);
    const lengthKey = suite.key.subarray(32);
    const polyKey = chacha20orig(bodyKey, nonce, new Uint8Array(32), undefined, 0);
    const sealed = Buffer.concat([
      chacha20orig(lengthKey, nonce, uint32(body.length), undefined, 0),
      chacha20orig(bodyKey, nonce, body, undefined, 1),
    ]);
    return Buffer.concat([sealed, noblePoly1305(sealed, polyKey)]);
  };
}

function ctrReference(suite: PacketSuite, sequence: number): Reference {
  const { mac } = suite;
  assert.ok(mac);
  // The key stream as a whole, so that no state of ours is needed.
  const stream = ctr(suite.key, suite.iv).encrypt(new Uint8Array(1 << 18));
  let used = 0;
  const crypt = (plain: Uint8Array): Uint8Array => {
    const from = used;
    used += plain.length;
    return plain.map((byte, i) => byte ^ (stream[from + i] ?? 0));
  };
  return (body, n) => {
    const length = uint32(body.length);
    const number = uint32((sequence + n) % 2 ** 32);
    const tag = (bytes: Uint8Array): Uint8Array =>
      createHmac(mac.hash, suite.macKey).update(number).update(bytes).digest();
    if (mac.encryptThenMac) {
      const sealed = Buffer.concat([length, crypt(body)]);
      return Buffer.concat([sealed, tag(sealed)]);
    }
    const plain = Buffer.concat([length, body]);
    return Buffer.concat([crypt(plain), tag(plain)]);
  };
}

function referenceOf(suite: PacketSuite, sequence: number): Reference {
  if (suite.mac !== undefined) return ctrReference(suite, sequence);
  return suite.cipher?.ivBytes === 12 ? gcmReference(suite, suite.iv) : chachaReference(suite, sequence);
}

for (const suite of packetSuites) {
  test(`${suite.name}: the same bytes as put together from another library`, () => {
    for (const sequence of [0, 3, 0xffff_fffd]) {
      const sealer = suite.sealer();
      const opener = suite.opener();
      sealer.sequence = sequence;
      opener.sequence = sequence;
      const bodies = [1, 5, 16, 27, 100, 5000, 32768, 2].map((n) => bodyFor(sealer, someBytes(n, n)));
      const wanted = Buffer.concat(bodies.map(referenceOf(suite, sequence)));
      assert.equal(Buffer.compare(sealAll(sealer, bodies), wanted), 0);
      assert.deepEqual(openPieces(opener, [wanted]), bodies);
    }
  });
}

for (const suite of packetSuites.filter(({ cipher }) => cipher?.ivBytes === 12)) {
  test(`${suite.name}: the invocation counter carries, and never into the fixed field`, () => {
    for (const counter of [
      [0, 0, 0, 0, 0, 0, 0, 0xff],
      [0, 0, 0, 0, 0, 0, 0xff, 0xff],
      [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
      [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    ]) {
      const iv = Uint8Array.from([1, 2, 3, 0xff, ...counter]);
      const sealer = suite.sealer(iv);
      const bodies = [1, 2, 3].map((n) => bodyFor(sealer, someBytes(n)));
      const wanted = Buffer.concat(bodies.map(gcmReference(suite, iv)));
      assert.equal(Buffer.compare(sealAll(sealer, bodies), wanted), 0);
      assert.deepEqual(openPieces(suite.opener(iv), [wanted]), bodies);
    }
  });
}

// RFC 8439, section 2.5.2.
const vector = {
  key: Buffer.from("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b", "hex"),
  data: Buffer.from("Cryptographic Forum Research Group"),
  tag: "a8061dc1305136c6c22b8baf0c0127a9",
};

test("Poly1305 of @noble/ciphers: the vector of RFC 8439", () => {
  assert.equal(Buffer.from(fallbackPoly1305(vector.key, vector.data)).toString("hex"), vector.tag);
});

test("Poly1305 of node:crypto: the vector of RFC 8439", {
  skip: nodePoly1305 === undefined ? "this Node has none" : false,
}, () => {
  assert.ok(nodePoly1305);
  assert.equal(Buffer.from(nodePoly1305(vector.key, vector.data)).toString("hex"), vector.tag);
});
