import assert from "node:assert/strict";
import { test } from "node:test";
import { PosternError } from "#base";
import {
  decodeChannelOpenConfirmation,
  decodeChannelOpenFailure,
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
  OPEN_FAILURE,
} from "#ssh/messages";
import { packetPipe, type PipeEnd } from "#test/support/packet-pipe";
import { rawPeer, settled } from "#test/support/raw-peer";
import type { Channel } from "./channel.ts";
import { type ChannelOffer, type ConnectionHandlers, ConnectionMux, type GlobalAnswer } from "./mux.ts";

const none = new Uint8Array(0);

/** Takes over a connection, for its effect alone. */
function attach(conn: PipeEnd, handlers?: ConnectionHandlers): ConnectionMux {
  return new ConnectionMux(conn, handlers);
}

function sessionOpen(channel: number, window = 1000, maxPacket = 100): Uint8Array {
  return encodeChannelOpen({ type: "session", channel, window, maxPacket, data: none });
}

function globalRequest(type: string, wantReply = true): Uint8Array {
  return encodeGlobalRequest({ type, wantReply, data: none });
}

/** Answers that a test gives when it likes. */
function promises<T>(): { next: () => Promise<T>; readonly resolve: ((value: T) => void)[] } {
  const resolve: ((value: T) => void)[] = [];
  return { next: () => new Promise<T>((r) => resolve.push(r)), resolve };
}

function echo(offer: ChannelOffer): void {
  const channel = offer.accept({ data: Uint8Array.of(9), request: (request) => request.type === "yes" });
  channel.pipe(channel);
}

for (const delivery of ["sync", "microtask"] as const) {
  test(`two ends open channels to each other, ${delivery} delivery`, async () => {
    const [a, b] = packetPipe({ delivery });
    const left = new ConnectionMux(a, { channels: new Map([["from-right", echo]]) });
    const right = new ConnectionMux(b, { channels: new Map([["from-left", echo]]) });
    for (const [mux, type] of [
      [left, "from-left"],
      [right, "from-right"],
    ] as const) {
      const outcome = await mux.open(type);
      assert(outcome.opened);
      assert.deepEqual(outcome.data, Uint8Array.of(9));
      const { channel } = outcome;
      assert.equal(await channel.request("yes"), true);
      assert.equal(await channel.request("no"), false);
      const sent = Buffer.alloc(5_000_000);
      for (let n = 0; n < sent.length; n++) sent[n] = n % 251;
      channel.end(sent);
      const got: Buffer[] = [];
      for await (const chunk of channel) got.push(chunk as Buffer);
      assert(Buffer.concat(got).equals(sent));
      await channel.over;
    }
    await settled();
    assert.equal(left.channelCount, 0);
    assert.equal(right.channelCount, 0);
  });
}

test("a channel of unknown type is refused with reason 3", async () => {
  const { conn, peer } = rawPeer();
  const mux = attach(conn);
  await settled();
  peer.send(encodeChannelOpen({ type: "vendor@example", channel: 5, window: 1, maxPacket: 1, data: none }));
  const [reply] = peer.take();
  assert(reply);
  const failure = decodeChannelOpenFailure(reply);
  assert.equal(failure.recipient, 5);
  assert.equal(failure.reason, OPEN_FAILURE.UNKNOWN_CHANNEL_TYPE);
  assert.equal(mux.channelCount, 0);
});

test("an offer may be answered late, in any order, and only once", async () => {
  const { conn, peer } = rawPeer();
  const offers: ChannelOffer[] = [];
  const mux = new ConnectionMux(conn, { channels: new Map([["session", (offer) => offers.push(offer)]]) });
  await settled();
  peer.send(sessionOpen(11), sessionOpen(12));
  assert.deepEqual(peer.numbers(), []);
  assert.equal(mux.channelCount, 2);
  const [first, second] = offers;
  assert(first && second);
  second.accept();
  first.refuse(OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED, "no");
  const [confirmed, refused] = peer.take();
  assert(confirmed && refused);
  assert.equal(decodeChannelOpenConfirmation(confirmed).recipient, 12);
  assert.deepEqual(decodeChannelOpenFailure(refused), { recipient: 11, reason: 1, description: "no" });
  assert.equal(mux.channelCount, 1);
  assert.throws(() => first.accept(), { code: "BUG_CONNECTION_CALL" });
});

test("channels over the limit are refused with RESOURCE_SHORTAGE, in both directions, and numbers are used again", async () => {
  const { conn, peer } = rawPeer();
  const channels: Channel[] = [];
  const mux = new ConnectionMux(conn, {
    limits: { maxChannels: 2 },
    channels: new Map([["session", (offer) => channels.push(offer.accept())]]),
  });
  await settled();
  peer.send(sessionOpen(1), sessionOpen(2), sessionOpen(3));
  const replies = peer.take();
  assert.deepEqual(
    replies.map((reply) => reply[0]),
    [MSG.CHANNEL_OPEN_CONFIRMATION, MSG.CHANNEL_OPEN_CONFIRMATION, MSG.CHANNEL_OPEN_FAILURE],
  );
  assert.equal(decodeChannelOpenFailure(replies[2] ?? none).reason, OPEN_FAILURE.RESOURCE_SHORTAGE);
  const own = await mux.open("session");
  assert.equal(own.opened, false);

  channels[0]?.destroy();
  await settled();
  assert.deepEqual(peer.numbers(), [MSG.CHANNEL_CLOSE]);
  assert.equal(mux.channelCount, 2, "the number is in use until the peer has closed too");
  peer.send(encodeChannelSignal(MSG.CHANNEL_CLOSE, 0), sessionOpen(4));
  const [confirmed] = peer.take();
  assert.equal(decodeChannelOpenConfirmation(confirmed ?? none).channel, 0);
});

test("an open of ours is refused by the peer as a value", async () => {
  const { conn, peer } = rawPeer();
  const mux = new ConnectionMux(conn);
  const outcome = mux.open("direct-tcpip", { data: Uint8Array.of(1, 2) });
  peer.send(encodeChannelOpenFailure({ recipient: 0, reason: 2, description: "no route" }));
  assert.deepEqual(await outcome, { opened: false, reason: 2, description: "no route" });
  assert.equal(mux.channelCount, 0);
});

test("a channel that admits no data is refused", async () => {
  const { conn, peer } = rawPeer();
  attach(conn, { channels: new Map([["session", (offer) => void offer.accept()]]) });
  await settled();
  peer.send(sessionOpen(1, 1000, 0));
  assert.deepEqual(peer.numbers(), [MSG.CHANNEL_OPEN_FAILURE]);
});

test("global requests are answered in order, whenever the answers become known", async () => {
  const { conn, peer } = rawPeer();
  const late = promises<GlobalAnswer>();
  attach(conn, {
    globalRequest: ({ type }) => {
      if (type === "late") return late.next();
      if (type === "port") return Uint8Array.of(0, 0, 4, 0);
      return type === "yes";
    },
  });
  await settled();
  peer.send(
    globalRequest("late"),
    globalRequest("port"),
    globalRequest("silent", false),
    globalRequest("late"),
  );
  peer.send(globalRequest("yes"), globalRequest("no"));
  late.resolve[1]?.(true);
  await settled();
  assert.deepEqual(peer.take(), []);
  late.resolve[0]?.(false);
  await settled();
  assert.deepEqual(
    peer.take().map((payload) => Buffer.from(payload).toString("hex")),
    ["52", "5100000400", "51", "51", "52"],
  );
});

test("without a handler every global request fails, and one without wish for a reply is silent", async () => {
  const { conn, peer } = rawPeer();
  attach(conn);
  await settled();
  peer.send(globalRequest("keepalive@openssh.com"), globalRequest("hostkeys-00@openssh.com", false));
  assert.deepEqual(peer.numbers(), [MSG.REQUEST_FAILURE]);
});

test("our global requests get their replies in order", async () => {
  const { conn, peer } = rawPeer();
  const mux = new ConnectionMux(conn);
  const first = mux.request("tcpip-forward", Uint8Array.of(1));
  const second = mux.request("tcpip-forward", Uint8Array.of(2));
  mux.notify("keepalive@openssh.com");
  await settled();
  assert.deepEqual(peer.numbers(), [MSG.GLOBAL_REQUEST, MSG.GLOBAL_REQUEST, MSG.GLOBAL_REQUEST]);
  peer.send(encodeRequestSuccess(Uint8Array.of(7)), encodeRequestFailure());
  assert.deepEqual(await first, { success: true, data: Uint8Array.of(7) });
  assert.deepEqual(await second, { success: false, data: none });
});

const illegal: readonly [what: string, code: string, send: () => Uint8Array[]][] = [
  ["a reply that was not asked for", "PEER_REPLY_UNASKED", () => [encodeRequestSuccess()]],
  ["a failure that was not asked for", "PEER_REPLY_UNASKED", () => [encodeRequestFailure()]],
  [
    "a confirmation of no open",
    "PEER_REPLY_UNASKED",
    () => [encodeChannelOpenConfirmation({ recipient: 9, channel: 0, window: 1, maxPacket: 1, data: none })],
  ],
  [
    "a refusal of a channel that is open",
    "PEER_REPLY_UNASKED",
    () => [encodeChannelOpenFailure({ recipient: 0, reason: 1, description: "" })],
  ],
  [
    "data for a channel that is not there",
    "PEER_CHANNEL_UNKNOWN",
    () => [encodeChannelData({ recipient: 9, data: none })],
  ],
  [
    "a success that was not asked for",
    "PEER_REPLY_UNASKED",
    () => [encodeChannelSignal(MSG.CHANNEL_SUCCESS, 0)],
  ],
  [
    "data after EOF",
    "PEER_CHANNEL_ORDER",
    () => [encodeChannelSignal(MSG.CHANNEL_EOF, 0), encodeChannelData({ recipient: 0, data: none })],
  ],
  [
    "stderr after EOF",
    "PEER_CHANNEL_ORDER",
    () => [
      encodeChannelSignal(MSG.CHANNEL_EOF, 0),
      encodeChannelData({ recipient: 0, dataType: 1, data: none }),
    ],
  ],
  [
    "EOF twice",
    "PEER_CHANNEL_ORDER",
    () => [encodeChannelSignal(MSG.CHANNEL_EOF, 0), encodeChannelSignal(MSG.CHANNEL_EOF, 0)],
  ],
  [
    "CLOSE twice",
    "PEER_CHANNEL_UNKNOWN",
    () => [encodeChannelSignal(MSG.CHANNEL_CLOSE, 0), encodeChannelSignal(MSG.CHANNEL_CLOSE, 0)],
  ],
  [
    "more data than the window",
    "PEER_WINDOW_EXCEEDED",
    () => [
      encodeChannelData({ recipient: 0, data: new Uint8Array(10) }),
      encodeChannelData({ recipient: 0, data: new Uint8Array(7) }),
    ],
  ],
  [
    "more stderr than the window",
    "PEER_WINDOW_EXCEEDED",
    () => [
      encodeChannelData({ recipient: 0, data: new Uint8Array(10) }),
      encodeChannelData({ recipient: 0, dataType: 1, data: new Uint8Array(7) }),
    ],
  ],
  [
    "more data in one message than allowed",
    "PEER_WINDOW_EXCEEDED",
    () => [encodeChannelData({ recipient: 0, data: new Uint8Array(13) })],
  ],
  [
    "a window beyond 2³²-1",
    "PEER_WINDOW_OVERFLOW",
    () => [encodeWindowAdjust({ recipient: 0, bytes: 0xffff_ffff })],
  ],
  ["a transport message", "PEER_UNEXPECTED_MESSAGE", () => [Uint8Array.of(MSG.SERVICE_REQUEST)]],
  ["an authentication message", "PEER_UNEXPECTED_MESSAGE", () => [Uint8Array.of(MSG.USERAUTH_SUCCESS)]],
  ["a number nobody knows", "PEER_UNEXPECTED_MESSAGE", () => [Uint8Array.of(101)]],
  ["no message at all", "PEER_UNEXPECTED_MESSAGE", () => [none]],
  ["a truncated message", "PEER_MESSAGE_TRUNCATED", () => [Uint8Array.of(MSG.CHANNEL_DATA, 0, 0)]],
  [
    "more requests than may wait",
    "PEER_REQUESTS_FLOODED",
    () =>
      Array.from({ length: 4 }, () =>
        encodeChannelRequest({ recipient: 0, type: "late", wantReply: true, data: none }),
      ),
  ],
  [
    "more global requests than may wait",
    "PEER_REQUESTS_FLOODED",
    () => Array.from({ length: 4 }, () => globalRequest("late")),
  ],
];

for (const [what, code, payloads] of illegal) {
  test(`the connection ends at ${what}`, async () => {
    const { conn, peer } = rawPeer();
    const late = promises<boolean>();
    const mux = new ConnectionMux(conn, {
      limits: { windowBytes: 16, maxPacketBytes: 12, maxUnansweredRequests: 3 },
      channels: new Map([
        ["session", (offer) => void offer.accept({ request: late.next, discardStderr: false })],
      ]),
      globalRequest: late.next,
    });
    await settled();
    peer.send(sessionOpen(3));
    peer.send(...payloads());
    const close = await mux.ended;
    assert.equal(close.kind, "failed");
    assert(close.error instanceof PosternError);
    assert.equal(close.error.code, code);
    assert.equal(peer.close?.kind, "disconnected");
    assert.equal(mux.channelCount, 0);
  });
}

test("an answer before the open was confirmed, and data too, end the connection", async () => {
  const { conn, peer } = rawPeer();
  const mux = new ConnectionMux(conn);
  await settled();
  const opening = mux.open("session");
  peer.send(encodeChannelData({ recipient: 0, data: none }));
  assert.equal((await opening).opened, false);
  const close = await mux.ended;
  assert.equal((close.error as PosternError).code, "PEER_CHANNEL_ORDER");
});

test("an authentication request sent ahead is ignored", async () => {
  const { conn, peer } = rawPeer();
  attach(conn);
  await settled();
  peer.send(Uint8Array.of(MSG.USERAUTH_REQUEST, 1, 2, 3), globalRequest("ping"));
  assert.deepEqual(peer.numbers(), [MSG.REQUEST_FAILURE]);
});

test("a handler that rejects ends the connection, without detail to the peer", async () => {
  const { conn, peer } = rawPeer();
  const mux = new ConnectionMux(conn, { globalRequest: () => Promise.reject(new Error("secret detail")) });
  await settled();
  peer.send(globalRequest("boom"));
  const close = await mux.ended;
  assert.equal(close.kind, "failed");
  assert.match(String(close.error), /secret detail/);
  assert.equal(peer.close?.description, "internal error");
});

test("the end of the connection answers everything that is open", async () => {
  const { conn, peer } = rawPeer();
  const mux = new ConnectionMux(conn, {
    channels: new Map([["session", (offer) => channels.push(offer.accept())]]),
  });
  const channels: Channel[] = [];
  await settled();
  peer.send(sessionOpen(1));
  const [channel] = channels;
  assert(channel);
  const opening = mux.open("session");
  const reply = mux.request("x");
  const channelReply = channel.request("y");
  peer.end.destroy();
  assert.deepEqual(await mux.ended, { kind: "ended" });
  assert.equal((await opening).opened, false);
  assert.equal((await reply).success, false);
  assert.equal(await channelReply, false);
  assert.equal(await channel.over, "connection");
  await settled();
  assert(channel.destroyed);
  assert.equal((await mux.open("session")).opened, false);
  assert.equal((await mux.request("x")).success, false);
});

test("an offer accepted after the end gives a channel that is destroyed", async () => {
  const { conn, peer } = rawPeer();
  const offers: ChannelOffer[] = [];
  attach(conn, { channels: new Map([["session", (offer) => offers.push(offer)]]) });
  await settled();
  peer.send(sessionOpen(1));
  peer.end.destroy();
  assert.equal(offers[0]?.accept().destroyed, true);
});

test("a peer that asks without reading the answers is not read any more", async () => {
  const { conn, peer } = rawPeer();
  attach(conn, { limits: { maxSentWhileFull: 10 } });
  await settled();
  conn.hold();
  for (let n = 0; n < 1000; n++) peer.send(globalRequest("ping"));
  assert.equal(conn.waiting, 10);
  assert.equal(conn.unread, 990);
  conn.release();
  await settled();
  assert.equal(peer.received.length, 1000);
});
