import assert from "node:assert/strict";
import { test } from "node:test";
import { PosternError } from "#base";
import {
  algorithmErrors,
  cipherAlgorithms,
  createPacketBatch,
  maxPacketBytes,
  type PacketSealer,
} from "#ssh/algorithms";
import {
  bodyFor,
  openPieces,
  nativeSuites,
  type PacketSuite,
  packetSuites,
  plainSuite,
  sealAll,
  someBytes,
} from "#test/support/packets";

const { PEER_MAC_INVALID, PEER_PACKET_LENGTH, BUG_CIPHER_WIPED, BUG_CIPHER_MAC } = algorithmErrors;

const sizes = [1, 2, 6, 7, 8, 10, 11, 12, 15, 16, 17, 27, 28, 255, 1000, 4095, 32768];
const all: readonly PacketSuite[] = [plainSuite, ...packetSuites];

function bodiesFor(sealer: PacketSealer, payloadSizes: readonly number[] = sizes): Uint8Array[] {
  return payloadSizes.map((size, n) => bodyFor(sealer, someBytes(size, n + 1)));
}

/** The whole body, to its last byte, that is the largest one of all. */
function largestBody(sealer: PacketSealer): Uint8Array {
  const length = maxPacketBytes - (sealer.lengthIsPadded ? 4 : 0);
  return someBytes(length, 5);
}

function* byteByByte(wire: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < wire.length; at++) yield wire.subarray(at, at + 1);
}

test("the table holds what it should", () => {
  assert.deepEqual(
    [...cipherAlgorithms].map(([name, row]) => [name, row.keyBytes, row.ivBytes, row.aead]),
    [
      ["aes128-gcm@openssh.com", 16, 12, true],
      ["aes256-gcm@openssh.com", 32, 12, true],
      ["chacha20-poly1305@openssh.com", 64, 0, true],
      ["aes128-ctr", 16, 16, false],
      ["aes192-ctr", 24, 16, false],
      ["aes256-ctr", 32, 16, false],
    ],
  );
  assert.equal(packetSuites.length, 3 + 3 * 4 + nativeSuites.length);
});

for (const suite of all) {
  test(`${suite.name}: what is sealed is opened, in batches of any size`, () => {
    for (const max of [1, 3, 1000]) {
      const sealer = suite.sealer();
      const bodies = bodiesFor(sealer);
      const opener = suite.opener();
      assert.deepEqual(openPieces(opener, [sealAll(sealer, bodies)], max), bodies);
      assert.equal(opener.sequence, sizes.length);
      assert.equal(sealer.sequence, sizes.length);
    }
  });

  test(`${suite.name}: the largest packet there may be`, () => {
    const sealer = suite.sealer();
    const body = largestBody(sealer);
    assert.deepEqual(openPieces(suite.opener(), [sealAll(sealer, [body])]), [body]);
  });

  test(`${suite.name}: a packet that comes byte by byte`, () => {
    const sealer = suite.sealer();
    const bodies = bodiesFor(sealer, [1, 30, 500]);
    assert.deepEqual(openPieces(suite.opener(), byteByByte(sealAll(sealer, bodies))), bodies);
  });

  test(`${suite.name}: one byte missing opens nothing, one byte over stays`, () => {
    const sealer = suite.sealer();
    const body = bodyFor(sealer, someBytes(40));
    const wire = sealAll(sealer, [body, body]);
    const first = wire.length / 2;
    const batch = createPacketBatch();
    const opener = suite.opener();
    assert.equal(opener.open(wire.slice(), 0, first - 1, batch, 10), 0);
    assert.equal(batch.count, 0);
    assert.equal(opener.sequence, 0);
    assert.equal(opener.open(wire, 0, first + 1, batch, 10), first);
    assert.equal(batch.count, 1);
    assert.equal(opener.open(wire, first, wire.length, batch, 10), wire.length);
    assert.equal(batch.count, 1);
  });

  test(`${suite.name}: no more packets than asked for are opened`, () => {
    const sealer = suite.sealer();
    const bodies = bodiesFor(sealer, [40, 40, 40, 40]);
    const wire = sealAll(sealer, bodies);
    const opener = suite.opener();
    const batch = createPacketBatch();
    assert.equal(opener.open(wire, 0, wire.length, batch, 0), 0);
    assert.equal(batch.count, 0);
    assert.equal(opener.open(wire, 0, wire.length, batch, 3), (wire.length / 4) * 3);
    assert.equal(batch.count, 3);
    assert.equal(opener.open(wire, (wire.length / 4) * 3, wire.length, batch, 3), wire.length);
    assert.equal(batch.count, 1);
    assert.deepEqual(
      Uint8Array.from(batch.bytes[0]?.subarray(batch.start[0], batch.end[0]) ?? []),
      bodies[3],
    );
  });

  test(`${suite.name}: works inside larger buffers, and leaves the input of a seal alone`, () => {
    const sealer = suite.sealer();
    const body = bodyFor(sealer, someBytes(50));
    const input = new Uint8Array(body.length + 20);
    input.set(body, 9);
    const before = input.slice();
    const out = new Uint8Array(1000).fill(0x77);
    const end = sealer.seal(input, 9, 9 + body.length, out, 31);
    sealer.finish();
    assert.equal(end, 31 + 4 + body.length + sealer.tagBytes);
    assert.deepEqual(input, before);
    assert.deepEqual(new Set(out.subarray(0, 31)), new Set([0x77]));
    assert.deepEqual(new Set(out.subarray(end)), new Set([0x77]));
    assert.deepEqual(openPieces(suite.opener(), [out.subarray(31, end)]), [body]);
  });

  test(`${suite.name}: seals in place, the body lying where it will be`, () => {
    const sealer = suite.sealer();
    const body = bodyFor(sealer, someBytes(100));
    const bytes = new Uint8Array(4 + body.length + sealer.tagBytes);
    bytes.set(body, 4);
    assert.equal(sealer.seal(bytes, 4, 4 + body.length, bytes, 0), bytes.length);
    sealer.finish();
    assert.deepEqual(openPieces(suite.opener(), [bytes]), [body]);
  });

  test(`${suite.name}: a length that cannot be is refused as soon as it is known`, () => {
    const { blockBytes, lengthIsPadded } = suite.sealer();
    const besides = lengthIsPadded ? 4 : 0;
    const good = 2 * blockBytes - besides;
    const tooLong = (Math.floor((maxPacketBytes + besides) / blockBytes) + 1) * blockBytes - besides;
    for (const length of [0, 1, 5, good - 1, good + 1, tooLong]) {
      const sealer = suite.sealer();
      const wire = sealAll(sealer, [someBytes(length)]);
      const known = suite.lengthInClear || suite.cipher?.aead === true ? 4 : blockBytes;
      assert.throws(
        () => openPieces(suite.opener(), [wire.slice(0, known)]),
        PEER_PACKET_LENGTH,
        `${length}`,
      );
      const opener = suite.opener();
      const batch = createPacketBatch();
      assert.equal(opener.open(wire.slice(0, known - 1), 0, known - 1, batch, 1), 0, `${length}, early`);
    }
    const opener = suite.opener();
    assert.deepEqual(openPieces(opener, [sealAll(suite.sealer(), [someBytes(good)])]).length, 1);
  });
}

for (const suite of packetSuites) {
  test(`${suite.name}: a changed byte, wherever it is, shows no body`, () => {
    const sealer = suite.sealer();
    const body = bodyFor(sealer, someBytes(21));
    const wire = sealAll(sealer, [body, body]);
    for (let at = 0; at < wire.length / 2; at++) {
      for (const bit of [0x01, 0x80]) {
        const bad = wire.slice();
        bad[at] = (bad[at] ?? 0) ^ bit;
        const opener = suite.opener();
        const batch = createPacketBatch();
        let code = "nothing";
        try {
          opener.open(bad, 0, bad.length, batch, 10);
        } catch (error) {
          assert.ok(error instanceof PosternError);
          ({ code } = error);
        }
        assert.equal(batch.count, 0, `byte ${at}`);
        // A changed length may also be one of a packet that is not complete yet.
        const wanted = at >= 4 ? ["PEER_MAC_INVALID"] : ["PEER_MAC_INVALID", "PEER_PACKET_LENGTH", "nothing"];
        assert.ok(wanted.includes(code), `byte ${at}: ${code}`);
      }
    }
  });

  test(`${suite.name}: packets lost, repeated or in another order are refused`, () => {
    const sealer = suite.sealer();
    const bodies = bodiesFor(sealer, [20, 20, 20]);
    const [first, second, third] = bodies.map((body) => sealAll(sealer, [body]));
    assert.ok(first && second && third);
    for (const order of [[second], [first, first], [first, third], [second, first]]) {
      // The length of a packet out of place may come out as anything; enough follows for it to be judged.
      const stream = [...order.map((piece) => piece.slice()), someBytes(maxPacketBytes)];
      assert.throws(
        () => openPieces(suite.opener(), stream),
        (error) => error instanceof PEER_MAC_INVALID || error instanceof PEER_PACKET_LENGTH,
      );
    }
  });

  test(`${suite.name}: the sequence number goes round at 2³²`, () => {
    const sealer = suite.sealer();
    const opener = suite.opener();
    sealer.sequence = 0xffff_fffe;
    opener.sequence = 0xffff_fffe;
    const bodies = bodiesFor(sealer, [3, 4, 5, 6]);
    const wire = sealAll(sealer, bodies);
    assert.equal(sealer.sequence, 2);
    assert.deepEqual(openPieces(opener, [wire]), bodies);
    assert.equal(opener.sequence, 2);
  });

  test(`${suite.name}: the caller may wipe what it handed in`, () => {
    const { cipher, mac } = suite;
    assert.ok(cipher);
    const key = suite.key.slice();
    const iv = suite.iv.slice();
    const macKey = suite.macKey.slice();
    const keyed = mac === undefined ? undefined : { algorithm: mac, key: macKey };
    const sealer = keyed ? cipher.sealer(key, iv, keyed) : cipher.sealer(key, iv);
    const opener = keyed ? cipher.opener(key, iv, keyed) : cipher.opener(key, iv);
    for (const bytes of [key, iv, macKey]) bytes.fill(0);
    const bodies = bodiesFor(sealer, [1, 100]);
    assert.deepEqual(openPieces(suite.opener(), [sealAll(sealer, bodies)]), bodies);
    assert.deepEqual(openPieces(opener, [sealAll(suite.sealer(), bodies)]), bodies);
  });

  test(`${suite.name}: nothing goes on after the keys were dropped`, () => {
    const sealer = suite.sealer();
    const opener = suite.opener();
    const body = bodyFor(sealer, someBytes(5));
    const wire = sealAll(suite.sealer(), [body]);
    sealer.wipe();
    opener.wipe();
    assert.throws(() => sealAll(sealer, [body]), BUG_CIPHER_WIPED);
    assert.throws(() => openPieces(opener, [wire]), BUG_CIPHER_WIPED);
  });
}

test("AES-CTR without a MAC is a bug", () => {
  const ctr = cipherAlgorithms.get("aes128-ctr");
  assert.ok(ctr);
  assert.throws(() => ctr.opener(new Uint8Array(16), new Uint8Array(16)), BUG_CIPHER_MAC);
  assert.throws(() => ctr.sealer(new Uint8Array(16), new Uint8Array(16)), BUG_CIPHER_MAC);
});
