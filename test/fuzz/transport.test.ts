import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PosternError } from "#base";
import * as messages from "#ssh/messages";
import { VersionReader } from "#ssh/transport";
import { clientParty, deliver, established, outputOf, type Party, serverParty } from "#test/support/engines";

const numRuns = Number(process.env["FUZZ_RUNS"] ?? "300");

/** Parses, or throws what blames the peer; never anything else. */
function blamesThePeer(error: unknown): void {
  assert.ok(
    error instanceof PosternError && (error.blame === "PEER" || error.blame === "MISMATCH"),
    `${String(error)} ${error instanceof Error ? error.stack : ""}`,
  );
}

async function orBlamesThePeer(work: Promise<unknown>): Promise<void> {
  await work.catch(blamesThePeer);
}

const decoders: Record<string, (payload: Uint8Array) => unknown> = {
  disconnect: messages.decodeDisconnect,
  unimplemented: messages.decodeUnimplemented,
  debug: messages.decodeDebug,
  service: messages.decodeService,
  extInfo: messages.decodeExtInfo,
  ping: messages.decodePing,
  kexInit: messages.decodeKexInit,
  kexPublicString: (payload) => messages.decodeKexPublic(payload, "string"),
  kexPublicMpint: (payload) => messages.decodeKexPublic(payload, "mpint"),
  kexReplyString: (payload) => messages.decodeKexReply(payload, "string"),
  kexReplyMpint: (payload) => messages.decodeKexReply(payload, "mpint"),
  gexRequest: messages.decodeGexRequest,
  gexGroup: messages.decodeGexGroup,
  userauthRequest: messages.decodeUserauthRequest,
  userauthFailure: messages.decodeUserauthFailure,
  banner: messages.decodeUserauthBanner,
  pkOk: messages.decodePublicKeyOk,
  passwordChange: messages.decodePasswordChangeRequest,
  infoRequest: messages.decodeInfoRequest,
  infoResponse: messages.decodeInfoResponse,
  globalRequest: messages.decodeGlobalRequest,
  channelOpen: messages.decodeChannelOpen,
  openConfirmation: messages.decodeChannelOpenConfirmation,
  openFailure: messages.decodeChannelOpenFailure,
  windowAdjust: messages.decodeWindowAdjust,
  channelData: messages.decodeChannelData,
  channelRequest: messages.decodeChannelRequest,
};

/** Bytes in which lengths are often small and sometimes plausible, so that decoders get past the first field. */
const fields = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 12 }),
      fc.string({ maxLength: 20 }).map((text) => {
        const bytes = Buffer.from(text);
        const field = Buffer.alloc(4 + bytes.length);
        field.writeUInt32BE(bytes.length);
        field.set(bytes, 4);
        return new Uint8Array(field);
      }),
      fc.constantFrom(Uint8Array.of(0), Uint8Array.of(1), Uint8Array.of(0xff, 0xff, 0xff, 0xff)),
    ),
    { maxLength: 14 },
  )
  .map((parts) => Uint8Array.from(Buffer.concat(parts)));

for (const [name, decode] of Object.entries(decoders)) {
  test(`any bytes as ${name}`, () => {
    fc.assert(
      fc.property(fc.nat(255), fields, (number, rest) => {
        try {
          decode(Uint8Array.from([number, ...rest]));
        } catch (error) {
          blamesThePeer(error);
        }
      }),
      { numRuns },
    );
  });
}

test("any bytes as a version exchange, in any chunks", () => {
  const text = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc
      .stringMatching(/^(SSH-|SSH-2\.0-|S|hello\n)?[ -~\r\n]{0,100}$/)
      .map((each) => Uint8Array.from(Buffer.from(each))),
  );
  fc.assert(
    fc.property(text, fc.boolean(), fc.integer({ min: 1, max: 50 }), (bytes, mayChat, chunkBytes) => {
      const reader = new VersionReader(mayChat);
      try {
        for (let at = 0; at < bytes.length; at += chunkBytes) {
          const read = reader.read(bytes, at, Math.min(at + chunkBytes, bytes.length));
          if (read.line !== undefined) {
            assert.match(read.line, /^SSH-(2\.0|1\.99)-/);
            return;
          }
        }
      } catch (error) {
        blamesThePeer(error);
      }
    }),
    { numRuns },
  );
});

test("any bytes instead of a key exchange, towards either role", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.boolean(),
      fc.uint8Array({ maxLength: 600 }),
      fc.nat(3),
      async (server, bytes, shape) => {
        const party: Party = server ? serverParty() : clientParty();
        const prefix = shape === 0 ? "" : "SSH-2.0-fuzz\r\n";
        const packet = shape === 2 ? framed(bytes) : bytes;
        await orBlamesThePeer(
          deliver(party, Buffer.concat([Buffer.from(prefix), packet]), shape === 3 ? 1 : undefined),
        );
        assert.deepEqual(party.payloads, [], "nothing reaches the layers above before a key exchange");
      },
    ),
    { numRuns },
  );
});

/** A packet of the time before keys, whatever its payload. */
function framed(payload: Uint8Array): Uint8Array {
  const padding = 16 - ((payload.length + 5) % 8);
  const packet = Buffer.alloc(5 + payload.length + padding);
  packet.writeUInt32BE(1 + payload.length + padding);
  packet[4] = padding;
  packet.set(payload, 5);
  return packet;
}

test("a handshake with bytes changed, lost or repeated never gets past the keys", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.boolean(),
      fc.nat(2),
      fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
      fc.constantFrom("change", "lose", "repeat"),
      fc.integer({ min: 1, max: 255 }),
      async (towardsServer, round, where, how, by) => {
        const client = clientParty();
        const server = serverParty();
        const mangle = (bytes: Uint8Array, side: boolean, at: number): Uint8Array => {
          if (side !== towardsServer || at !== round || bytes.length === 0) return bytes;
          const place = Math.floor(where * bytes.length);
          if (how === "lose") return Buffer.concat([bytes.subarray(0, place), bytes.subarray(place + 1)]);
          if (how === "repeat") return Buffer.concat([bytes.subarray(0, place + 1), bytes.subarray(place)]);
          const changed = Uint8Array.from(bytes);
          changed[place] = (changed[place] ?? 0) ^ by;
          return changed;
        };
        const carry = async (): Promise<void> => {
          for (let at = 0; at < 4; at++) {
            await deliver(server, mangle(outputOf(client.transport), true, at));
            await deliver(client, mangle(outputOf(server.transport), false, at));
          }
        };
        await orBlamesThePeer(carry());
        assert.deepEqual([client.payloads, server.payloads], [[], []]);
      },
    ),
    { numRuns: Math.ceil(numRuns / 3) },
  );
});

test("any payloads after the keys, in any order: shown, answered, or blamed on the peer", async () => {
  const payload = fc.tuple(
    fc.oneof(fc.nat(255), fc.constantFrom(1, 2, 3, 4, 7, 20, 21, 30, 31, 90, 94, 98, 192, 193)),
    fc.oneof(fields, fc.constant(new Uint8Array(0))),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.boolean(),
      fc.array(payload, { minLength: 1, maxLength: 12 }),
      async (towardsServer, payloads) => {
        const { client, server } = await established();
        const [from, to] = towardsServer ? [client, server] : [server, client];
        for (const [number, rest] of payloads) from.transport.send(Uint8Array.from([number, ...rest]));
        await orBlamesThePeer(deliver(to, outputOf(from.transport)));
        const shown = to.payloads.map((each) => each[0] ?? 0);
        assert.ok(
          shown.every(
            (number) => number === 5 || number === 6 || (number >= 50 && number !== 192 && number !== 193),
          ),
          `shown: ${shown.join(" ")}`,
        );
        assert.ok(outputOf(to.transport).length < 200_000, "answers are bounded by what was asked");
      },
    ),
    { numRuns: Math.ceil(numRuns / 3) },
  );
});
