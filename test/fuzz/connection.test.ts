import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { PosternError } from "#base";
import { type Channel, ConnectionMux } from "#ssh/connection";
import {
  decodeAddressAndPort,
  decodeDirectStreamlocal,
  decodeEnvRequest,
  decodeExecRequest,
  decodeExitSignal,
  decodeHostKeys,
  decodePtyRequest,
  decodeSignalRequest,
  decodeTcpipChannel,
  decodeTerminalModes,
  decodeWindowChange,
  decodeX11Request,
  encodeChannelData,
  encodeChannelOpen,
  encodeChannelOpenConfirmation,
  encodeChannelOpenFailure,
  encodeChannelRequest,
  encodeChannelSignal,
  encodeGlobalRequest,
  encodeRequestFailure,
  encodeRequestSuccess,
  encodeWindowAdjust,
  MSG,
} from "#ssh/messages";
import { rawPeer, settled } from "#test/support/raw-peer";

const numRuns = Number(process.env["FUZZ_RUNS"] ?? 300);

const channel = fc.nat({ max: 3 });
const bytes = fc.uint8Array({ maxLength: 40 });
const size = fc.constantFrom(0, 1, 20, 1000, 0xffff_ffff);
const name = fc.constantFrom("session", "other", "late", "yes", "no");

/** Messages that are well formed, in any order. */
const message: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc
    .record({ type: name, channel, window: size, maxPacket: size, data: bytes })
    .map((open) => encodeChannelOpen(open)),
  fc
    .record({ recipient: channel, channel, window: size, maxPacket: size, data: bytes })
    .map((confirmation) => encodeChannelOpenConfirmation(confirmation)),
  channel.map((recipient) => encodeChannelOpenFailure({ recipient, reason: 1, description: "no" })),
  fc.record({ recipient: channel, bytes: size }).map((adjust) => encodeWindowAdjust(adjust)),
  fc.record({ recipient: channel, data: bytes }).map((data) => encodeChannelData(data)),
  fc
    .record({ recipient: channel, dataType: fc.nat({ max: 2 }), data: bytes })
    .map((data) => encodeChannelData(data)),
  fc
    .tuple(
      fc.constantFrom(MSG.CHANNEL_EOF, MSG.CHANNEL_CLOSE, MSG.CHANNEL_SUCCESS, MSG.CHANNEL_FAILURE),
      channel,
    )
    .map(([number, recipient]) => encodeChannelSignal(number, recipient)),
  fc
    .record({ recipient: channel, type: name, wantReply: fc.boolean(), data: bytes })
    .map((request) => encodeChannelRequest(request)),
  fc
    .record({ type: name, wantReply: fc.boolean(), data: bytes })
    .map((request) => encodeGlobalRequest(request)),
  bytes.map((data) => encodeRequestSuccess(data)),
  fc.constant(encodeRequestFailure()),
);

/** The same with a byte changed, cut off or added; and plain garbage. */
const mutated: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.tuple(message, fc.nat(), fc.nat({ max: 255 })).map(([payload, at, value]) => {
    const copy = Uint8Array.from(payload);
    if (copy.length > 0) copy[at % copy.length] = value;
    return copy;
  }),
  fc.tuple(message, fc.nat()).map(([payload, length]) => payload.slice(0, length % (payload.length + 1))),
  message.map((payload) => Uint8Array.of(...payload, 0)),
  fc.uint8Array({ maxLength: 60 }),
);

/** What our own end does meanwhile. */
type Deed = "open" | "request" | "channel request" | "write" | "end" | "destroy" | "read";
const deed = fc.constantFrom<Deed>("open", "request", "channel request", "write", "end", "destroy", "read");

const step = fc.oneof(
  { weight: 10, arbitrary: message.map((payload) => ({ payload })) },
  { weight: 1, arbitrary: mutated.map((payload) => ({ payload })) },
  { weight: 4, arbitrary: deed.map((what) => ({ what })) },
);

function answer({ type }: { readonly type: string }): boolean | Promise<boolean> {
  return type === "late" ? settled().then(() => true) : type === "yes";
}

test("any order of messages is taken, or ends the connection by an error of the peer; what is held stays bounded", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const { conn, peer } = rawPeer();
      const channels: Channel[] = [];
      const limits = { windowBytes: 64, maxPacketBytes: 32, maxChannels: 3, maxUnansweredRequests: 4 };
      const keep = (made: Channel): void => {
        made.on("error", (error) => assert.fail(error));
        channels.push(made);
      };
      const mux = new ConnectionMux(conn, {
        limits,
        channels: new Map([["session", (offer) => keep(offer.accept({ request: answer }))]]),
        globalRequest: answer,
      });
      await settled();
      for (const each of steps) {
        if ("payload" in each) peer.send(each.payload);
        else await act(mux, channels.at(-1), each.what, keep);
        assert(mux.channelCount <= limits.maxChannels);
        for (const made of channels) {
          assert(made.readableLength + made.stderr.readableLength <= limits.windowBytes);
        }
      }
      await settled();
      if (conn.close !== undefined) {
        assert.equal(conn.close.kind, "failed");
        assert(conn.close.error instanceof PosternError, String(conn.close.error));
        assert.equal(conn.close.error.blame, "PEER", conn.close.error.code);
        assert.equal(mux.channelCount, 0);
      }
      conn.destroy();
      await settled();
    }),
    { numRuns },
  );
});

async function act(
  mux: ConnectionMux,
  channel: Channel | undefined,
  what: Deed,
  keep: (channel: Channel) => void,
): Promise<void> {
  switch (what) {
    case "open":
      void mux.open("session").then((outcome) => {
        if (outcome.opened) keep(outcome.channel);
        return undefined;
      });
      return;
    case "request":
      void mux.request("yes");
      return;
    case "channel request":
      void channel?.request("yes");
      return;
    case "write":
      if (channel?.writable === true) channel.write(Buffer.alloc(100));
      return;
    case "end":
      channel?.end();
      return;
    case "destroy":
      channel?.destroy();
      return;
    case "read":
      channel?.read();
      await settled();
  }
}

const decoders: readonly ((data: Uint8Array) => unknown)[] = [
  decodeAddressAndPort,
  decodeDirectStreamlocal,
  decodeEnvRequest,
  decodeExecRequest,
  decodeExitSignal,
  decodeHostKeys,
  decodePtyRequest,
  decodeSignalRequest,
  decodeTcpipChannel,
  decodeTerminalModes,
  decodeWindowChange,
  decodeX11Request,
];

test("the data of requests parse, or throw PEER_ errors, and nothing else", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (data) => {
      for (const decode of decoders) {
        try {
          decode(data);
        } catch (error) {
          assert(error instanceof PosternError && error.blame === "PEER", String(error));
        }
      }
    }),
    { numRuns: numRuns * 5 },
  );
});
