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
import { type RawPeer, rawPeer, settled } from "#test/support/raw-peer";

const numRuns = Number(process.env["FUZZ_RUNS"] ?? 300);

/** Channels that are open when a run begins: two of the peer's and one of ours. */
const openAtFirst = 3;

const channel = fc.nat({ max: openAtFirst - 1 });
const bytes = fc.uint8Array({ maxLength: 24 });
const size = fc.constantFrom(0, 1, 20, 1000);
const anySize = fc.constantFrom(0, 1, 32, 0xffff_ffff);
const name = fc.constantFrom("session", "other", "late", "yes", "no");

/** Messages that are well formed and may well be due. */
const plausible: fc.Arbitrary<Uint8Array> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ recipient: channel, bytes: size }).map((m) => encodeWindowAdjust(m)) },
  { weight: 6, arbitrary: fc.record({ recipient: channel, data: bytes }).map((m) => encodeChannelData(m)) },
  {
    weight: 2,
    arbitrary: fc
      .record({ recipient: channel, dataType: fc.nat({ max: 2 }), data: bytes })
      .map((m) => encodeChannelData(m)),
  },
  {
    weight: 4,
    arbitrary: fc
      .record({ recipient: channel, type: name, wantReply: fc.boolean(), data: bytes })
      .map((m) => encodeChannelRequest(m)),
  },
  {
    weight: 3,
    arbitrary: fc
      .record({ type: name, wantReply: fc.boolean(), data: bytes })
      .map((m) => encodeGlobalRequest(m)),
  },
  {
    weight: 2,
    arbitrary: fc
      .record({ type: name, channel, window: size, maxPacket: size, data: bytes })
      .map((m) => encodeChannelOpen(m)),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom(MSG.CHANNEL_EOF, MSG.CHANNEL_CLOSE), channel)
      .map(([number, recipient]) => encodeChannelSignal(number, recipient)),
  },
);

/** Messages that are well formed, and due only by chance. */
const message: fc.Arbitrary<Uint8Array> = fc.oneof(
  plausible,
  fc.record({ recipient: fc.nat({ max: 5 }), bytes: anySize }).map((m) => encodeWindowAdjust(m)),
  fc
    .record({ recipient: fc.nat({ max: 5 }), channel, window: anySize, maxPacket: anySize, data: bytes })
    .map((m) => encodeChannelOpenConfirmation(m)),
  channel.map((recipient) => encodeChannelOpenFailure({ recipient, reason: 1, description: "no" })),
  fc
    .tuple(fc.constantFrom(MSG.CHANNEL_SUCCESS, MSG.CHANNEL_FAILURE), channel)
    .map(([number, recipient]) => encodeChannelSignal(number, recipient)),
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
  { weight: 40, arbitrary: plausible.map((payload) => ({ payload })) },
  { weight: 2, arbitrary: message.map((payload) => ({ payload })) },
  { weight: 1, arbitrary: mutated.map((payload) => ({ payload })) },
  { weight: 30, arbitrary: deed.map((what) => ({ what })) },
);

function answer({ type }: { readonly type: string }): boolean | Promise<boolean> {
  return type === "late" ? settled().then(() => true) : type === "yes";
}

test("any order of messages is taken, or ends the connection by an error of the peer; what is held stays bounded", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60, size: "max" }), async (steps) => {
      const { conn, peer } = rawPeer();
      const channels: Channel[] = [];
      const limits = {
        windowBytes: 64,
        maxPacketBytes: 32,
        maxChannels: openAtFirst + 1,
        maxUnansweredRequests: 4,
      };
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
      await openSome(mux, peer, keep);
      for (const [index, each] of steps.entries()) {
        if ("payload" in each) peer.send(each.payload);
        else await act(mux, channels[index % channels.length], each.what, keep);
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

async function openSome(mux: ConnectionMux, peer: RawPeer, keep: (channel: Channel) => void): Promise<void> {
  for (const channel of [0, 1]) {
    peer.send(
      encodeChannelOpen({ type: "session", channel, window: 50, maxPacket: 20, data: new Uint8Array(0) }),
    );
  }
  const opening = mux.open("session", { request: answer });
  peer.send(
    encodeChannelOpenConfirmation({
      recipient: 2,
      channel: 2,
      window: 50,
      maxPacket: 20,
      data: new Uint8Array(0),
    }),
  );
  const outcome = await opening;
  assert(outcome.opened);
  keep(outcome.channel);
}

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
