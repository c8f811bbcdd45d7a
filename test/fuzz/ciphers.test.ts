import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { createRequire } from "node:module";
import { test } from "node:test";
import * as fc from "fast-check";
import { PosternError } from "#base";
import {
  createPacketBatch,
  kexMethods,
  maxPacketBytes,
  nativePackets,
  signatureAlgorithms,
  Slow,
} from "#ssh/algorithms";
import {
  bodyFor,
  nativeSuites,
  openPieces,
  type PacketSuite,
  packetSuites,
  plainSuite,
  sealAll,
  someBytes,
} from "#test/support/packets";

/** More for a long run: FUZZ_RUNS=100000 npm run fuzz. */
const numRuns = Number(process.env["FUZZ_RUNS"] ?? 150);
const all: readonly PacketSuite[] = [plainSuite, ...packetSuites];

/** Runs it, and swallows what a peer may be blamed for; returns the code. */
function blamed(run: () => unknown): string | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (error instanceof PosternError && error.blame === "PEER") return error.code;
    throw error;
  }
}

function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const at = [...places].map((place) => place % (bytes.length + 1)).sort((a, b) => a - b);
  const pieces: Uint8Array[] = [];
  let from = 0;
  for (const to of [...at, bytes.length]) {
    pieces.push(bytes.slice(from, to));
    from = to;
  }
  return pieces;
}

const payloads = fc.array(fc.uint8Array({ minLength: 1, maxLength: 600 }), { minLength: 1, maxLength: 6 });
const cuts = fc.array(fc.nat(10_000), { maxLength: 12 });

for (const suite of all) {
  test(`${suite.name}: any bytes are opened, wait for more, or are the peer's fault`, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), cuts, fc.nat(5), (bytes, places, max) => {
        const opener = suite.opener();
        const batch = createPacketBatch();
        blamed(() => {
          const next = opener.open(bytes.slice(), 0, bytes.length, batch, max);
          assert.ok(next >= 0 && next <= bytes.length);
          assert.ok(batch.count <= max);
          assert.ok(batch.count > 0 || next === 0);
        });
        blamed(() => openPieces(suite.opener(), cut(bytes, places)));
      }),
      { numRuns },
    );
  });

  test(`${suite.name}: enough bytes of any kind come to an end`, () => {
    const flood = someBytes(maxPacketBytes + 200, 99);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20 }), (head) => {
        const opener = suite.opener();
        const bytes = Buffer.concat([head, flood]);
        const code = blamed(() => openPieces(opener, [bytes]));
        // Without a tag anything may be a packet; under a key, nothing that was not sealed with it.
        if (suite !== plainSuite)
          assert.ok(code === "PEER_PACKET_LENGTH" || code === "PEER_MAC_INVALID", `${code}`);
      }),
      { numRuns: Math.ceil(numRuns / 6) },
    );
  });

  test(`${suite.name}: what is sealed is opened, however it is cut`, () => {
    fc.assert(
      fc.property(payloads, cuts, fc.integer({ min: 1, max: 5 }), (texts, places, max) => {
        const sealer = suite.sealer();
        const bodies = texts.map((text) => bodyFor(sealer, text));
        assert.deepEqual(openPieces(suite.opener(), cut(sealAll(sealer, bodies), places), max), bodies);
      }),
      { numRuns },
    );
  });
}

for (const suite of packetSuites) {
  test(`${suite.name}: of a changed stream only what came before the change is opened`, () => {
    fc.assert(
      fc.property(
        payloads,
        cuts,
        fc.nat(5000),
        fc.integer({ min: 1, max: 255 }),
        (texts, places, where, change) => {
          const sealer = suite.sealer();
          const bodies = texts.map((text) => bodyFor(sealer, text));
          const wire = sealAll(sealer, bodies);
          const at = where % wire.length;
          wire[at] = (wire[at] ?? 0) ^ change;
          let intact = 0;
          for (let end = 0; intact < bodies.length; intact++) {
            end += 4 + (bodies[intact]?.length ?? 0) + sealer.tagBytes;
            if (end > at) break;
          }
          const opener = suite.opener();
          const opened: Uint8Array[] = [];
          blamed(() => {
            // Packet by packet: a batch that ends in a throw shows nothing.
            for (const body of openPieces(opener, cut(wire, places), 1)) opened.push(body);
          });
          assert.ok(opener.sequence <= intact);
          assert.deepEqual(opened, bodies.slice(0, opened.length));
        },
      ),
      { numRuns },
    );
  });
}

// A stranger's ciphers: the JavaScript ones of ssh2, which share no code with ours.
interface StrangersCipher {
  allocPacket(payloadBytes: number): Buffer;
  encrypt(packet: Buffer): void;
}
interface StrangersDecipher {
  decrypt(data: Buffer, start: number, end: number): void;
}
interface StrangersCrypto {
  readonly init: Promise<void>;
  readonly CIPHER_INFO: Readonly<Record<string, unknown>>;
  readonly MAC_INFO: Readonly<Record<string, unknown>>;
  createCipher(config: { outbound: Record<string, unknown> }): StrangersCipher;
  createDecipher(config: { inbound: Record<string, unknown> }): StrangersDecipher;
}

const require = createRequire(import.meta.url);
const stranger = require("ssh2/lib/protocol/crypto.js") as StrangersCrypto;

await stranger.init;

function strangersSeal(suite: PacketSuite, sequence: number, texts: readonly Uint8Array[]): Buffer {
  const written: Buffer[] = [];
  const cipher = stranger.createCipher({
    outbound: {
      seqno: sequence,
      onWrite: (bytes: Uint8Array) => written.push(Buffer.from(bytes)),
      cipherInfo: stranger.CIPHER_INFO[suite.cipher?.name ?? ""],
      cipherKey: Buffer.from(suite.key),
      cipherIV: Buffer.from(suite.iv),
      macInfo: stranger.MAC_INFO[suite.mac?.name ?? ""],
      macKey: Buffer.from(suite.macKey),
      forceNative: true,
    },
  });
  for (const text of texts) {
    const packet = cipher.allocPacket(text.length);
    packet.set(text, 5);
    cipher.encrypt(packet);
  }
  return Buffer.concat(written);
}

function strangersOpen(suite: PacketSuite, sequence: number, pieces: readonly Uint8Array[]): Uint8Array[] {
  const opened: Uint8Array[] = [];
  const decipher = stranger.createDecipher({
    inbound: {
      seqno: sequence,
      onPayload: (payload: Uint8Array) => void opened.push(Uint8Array.from(payload)),
      decipherInfo: stranger.CIPHER_INFO[suite.cipher?.name ?? ""],
      decipherKey: Buffer.from(suite.key),
      decipherIV: Buffer.from(suite.iv),
      macInfo: stranger.MAC_INFO[suite.mac?.name ?? ""],
      macKey: Buffer.from(suite.macKey),
      forceNative: true,
    },
  });
  for (const piece of pieces) decipher.decrypt(Buffer.from(piece), 0, piece.length);
  return opened;
}

const sequences = fc.oneof(
  fc.constantFrom(0, 1, 0xffff_fffe, 0xffff_ffff),
  fc.integer({ min: 0, max: 0xffff_ffff }),
);

for (const suite of packetSuites) {
  test(`${suite.name}: ssh2 opens what we seal, and we what it seals`, () => {
    fc.assert(
      fc.property(payloads, cuts, sequences, (texts, places, sequence) => {
        const sealer = suite.sealer();
        sealer.sequence = sequence;
        const wire = sealAll(
          sealer,
          texts.map((text) => bodyFor(sealer, text)),
        );
        assert.deepEqual(strangersOpen(suite, sequence, cut(wire, places)), texts);
        const opener = suite.opener();
        opener.sequence = sequence;
        const bodies = openPieces(opener, cut(strangersSeal(suite, sequence, texts), places));
        assert.deepEqual(
          bodies.map((body) => body.slice(1, body.length - (body[0] ?? 0))),
          texts,
        );
      }),
      { numRuns },
    );
  });
}

/** The value with a byte changed, others of its length, and others of any. */
function valuesLike(value: Uint8Array): fc.Arbitrary<Uint8Array> {
  const { length } = value;
  const near = fc.tuple(fc.nat(length - 1), fc.integer({ min: 1, max: 255 })).map(([at, change]) => {
    const changed = Uint8Array.from(value);
    changed[at] = (changed[at] ?? 0) ^ change;
    return changed;
  });
  return fc.oneof(
    near,
    fc.uint8Array({ minLength: length, maxLength: length }),
    fc.uint8Array({ maxLength: 2 * length }),
  );
}

for (const row of kexMethods.values()) {
  // What is cheap to make many of; the numbers of Diffie-Hellman have their bounds tested one by one.
  if (row.publicForm !== "string") continue;
  test(`${row.name}: any value is agreed on, or is the peer's fault`, async () => {
    const client = row.client((count) => someBytes(count, 3));
    const first = row.answer(client.publicValue, (count) => someBytes(count, 4));
    const answer = first instanceof Slow ? await first.run() : first;
    fc.assert(
      fc.property(valuesLike(client.publicValue), valuesLike(answer.publicValue), (toServer, toClient) => {
        blamed(() => row.answer(toServer, (count) => someBytes(count, 5)));
        blamed(() => client.agree(toClient));
      }),
      { numRuns },
    );
  });
}

test("no bytes are a valid signature, and none make it throw", () => {
  const keys = [
    generateKeyPairSync("ed25519"),
    generateKeyPairSync("ec", { namedCurve: "prime256v1" }),
    generateKeyPairSync("ec", { namedCurve: "secp521r1" }),
    generateKeyPairSync("rsa", { modulusLength: 2048 }),
  ].map(({ publicKey }) => publicKey);
  fc.assert(
    fc.property(
      fc.constantFrom(...signatureAlgorithms.values()),
      fc.constantFrom(...keys),
      fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ minLength: 64, maxLength: 64 })),
      (row, key, bytes) => assert.equal(row.verify(key, bytes, bytes), false),
    ),
    { numRuns: numRuns * 5 },
  );
});

for (const { native, pure } of nativeSuites) {
  test(`${native.name}: the native part and the pure path write the same bytes`, () => {
    fc.assert(
      fc.property(payloads, sequences, (texts, sequence) => {
        const [one, other] = [native, pure].map((suite) => {
          const sealer = suite.sealer();
          sealer.sequence = sequence;
          return sealAll(
            sealer,
            texts.map((text) => bodyFor(sealer, text)),
          );
        });
        assert.deepEqual(one, other);
      }),
      { numRuns },
    );
  });

  test(`${native.name}: the native part and the pure path say the same of a changed stream`, () => {
    fc.assert(
      fc.property(
        payloads,
        fc.nat(5000),
        fc.nat(255),
        fc.integer({ min: 1, max: 5 }),
        (texts, where, change, max) => {
          const sealer = pure.sealer();
          const wire = sealAll(
            sealer,
            texts.map((text) => bodyFor(sealer, text)),
          );
          const at = where % wire.length;
          wire[at] = (wire[at] ?? 0) ^ change;
          const [one, other] = [native, pure].map((suite) => {
            const opener = suite.opener();
            const batch = createPacketBatch();
            const copy = wire.slice();
            const steps: unknown[] = [];
            const code = blamed(() => {
              for (let from = 0; ; ) {
                from = opener.open(copy, from, copy.length, batch, max);
                if (batch.count === 0) break;
                for (let n = 0; n < batch.count; n++)
                  steps.push(batch.bytes[n]?.slice(batch.start[n], batch.end[n]));
              }
            });
            return { code, steps };
          });
          assert.deepEqual(one, other);
        },
      ),
      { numRuns },
    );
  });
}

test("the native part refuses arguments that do not fit, without a crash", () => {
  const native = nativePackets;
  if (native === undefined) return;
  const key = someBytes(16);
  const iv = someBytes(12);
  assert.equal(native.create(0, true, key.subarray(1), iv), undefined);
  assert.equal(native.create(9, true, key, iv), undefined);
  const anything = fc.oneof(
    fc.integer({ min: -5, max: 2 ** 32 }),
    fc.double(),
    fc.uint8Array({ maxLength: 300 }),
    fc.constantFrom(
      undefined,
      null,
      {},
      new Uint32Array(3),
      new Uint32Array(300),
      "text",
      new DataView(new ArrayBuffer(8)),
    ),
  );
  const numbers = fc.oneof(fc.nat(400), fc.constantFrom(2 ** 31, 2 ** 32 - 1));
  const direction = { seal: native.create(0, true, key, iv), open: native.create(0, false, key, iv) };
  assert.ok(direction.seal !== undefined && direction.open !== undefined);
  const { open, seal } = native as unknown as Record<"open" | "seal", (...args: unknown[]) => unknown>;
  const own = fc.constantFrom<unknown>(direction.seal, direction.open);
  const called = (result: unknown): void => assert.ok(Number.isInteger(result) && Number(result) <= 64);
  fc.assert(
    fc.property(fc.oneof(own, anything), fc.array(anything, { maxLength: 7 }), (one, rest) => {
      called(open(one, ...rest));
      called(seal(one, ...rest));
    }),
    { numRuns },
  );
  fc.assert(
    fc.property(
      own,
      fc.array(numbers, { minLength: 4, maxLength: 4 }),
      fc.uint8Array({ maxLength: 300 }),
      (one, at, bytes) => {
        called(open(one, bytes, ...at, new Uint32Array(Math.min(at[3] ?? 0, 200))));
        const [input, out] = [bytes.subarray(0, at[0]), at[3] === 0 ? bytes : new Uint8Array(300)];
        called(seal(one, input, out, Uint32Array.from(at), at[1], at[2]));
        called(seal(one, input, out, Uint32Array.from(at), 1, at[2]));
      },
    ),
    { numRuns },
  );
  native.free(direction.seal);
  native.free(direction.seal);
  assert.ok(native.seal(direction.seal, new Uint8Array(9), new Uint8Array(40), new Uint32Array(3), 1, 0) < 0);
});
