import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import {
  decodeChannelData,
  decodeChannelRequest,
  decodeWindowAdjust,
  encodeChannelData,
  encodeChannelOpen,
  encodeChannelRequest,
  encodeChannelSignal,
  encodeWindowAdjust,
  MSG,
} from "#ssh/messages";
import { packetPipe, type PipeEnd } from "#test/support/packet-pipe";
import { type RawPeer, rawPeer, settled } from "#test/support/raw-peer";
import type { Channel, ChannelOptions } from "./channel.ts";
import type { ConnectionLimits } from "./limits.ts";
import { type ConnectionHandlers, ConnectionMux } from "./mux.ts";

const none = new Uint8Array(0);
const theirs = 42;

interface Opened {
  readonly mux: ConnectionMux;
  readonly conn: PipeEnd;
  readonly peer: RawPeer;
  readonly channel: Channel;
}

/** Takes over a connection, for its effect alone. */
function attach(conn: PipeEnd, handlers?: ConnectionHandlers): ConnectionMux {
  return new ConnectionMux(conn, handlers);
}

/** A channel that a raw peer has opened; ours is 0, its own is 42. */
async function opened(
  options: ChannelOptions & {
    type?: string;
    window?: number;
    maxPacket?: number;
    limits?: Partial<ConnectionLimits>;
  } = {},
): Promise<Opened> {
  const { type = "session" } = options;
  const { conn, peer } = rawPeer();
  const channels: Channel[] = [];
  const mux = new ConnectionMux(conn, {
    limits: { windowBytes: 100, maxPacketBytes: 50, ...options.limits },
    channels: new Map([[type, (offer) => channels.push(offer.accept(options))]]),
  });
  await settled();
  const { window = 1000, maxPacket = 100 } = options;
  peer.send(encodeChannelOpen({ type, channel: theirs, window, maxPacket, data: none }));
  peer.take();
  const [channel] = channels;
  assert(channel);
  return { mux, conn, peer, channel };
}

function data(text: string | number, dataType?: number): Uint8Array {
  const bytes = typeof text === "string" ? Buffer.from(text) : Buffer.alloc(text, "x");
  return encodeChannelData({ recipient: 0, data: bytes, ...(dataType === undefined ? {} : { dataType }) });
}

const eof = encodeChannelSignal(MSG.CHANNEL_EOF, 0);
const close = encodeChannelSignal(MSG.CHANNEL_CLOSE, 0);

function request(type: string, wantReply = true): Uint8Array {
  return encodeChannelRequest({ recipient: 0, type, wantReply, data: none });
}

function sizes(payloads: readonly Uint8Array[]): number[] {
  return payloads.map((payload) => decodeChannelData(payload).data.length);
}

/** Bytes of window given back since the last call, which must be all that was sent. */
function credit(peer: RawPeer): number {
  const bytes = peer.take().map((payload) => decodeWindowAdjust(payload).bytes);
  return bytes.reduce((sum, each) => sum + each, 0);
}

test("a session that ends by itself tells how, after its last byte and EOF, and before CLOSE", async () => {
  const { peer, channel } = await opened({ window: 3 });
  channel.exitWhenEnded({ status: 7 });
  channel.end("abcdef");
  channel.once("finish", () => channel.destroy());
  await settled();
  assert.deepEqual(sizes(peer.take()), [3]);
  peer.send(encodeWindowAdjust({ recipient: 0, bytes: 3 }));
  await settled();
  const sent = peer.take();
  assert.deepEqual(
    sent.map(([number]) => number),
    [MSG.CHANNEL_DATA, MSG.CHANNEL_EOF, MSG.CHANNEL_REQUEST, MSG.CHANNEL_CLOSE],
  );
  const { type, data: status } = decodeChannelRequest(sent[2] ?? none);
  assert.deepEqual([type, Buffer.from(status).toString("hex")], ["exit-status", "00000007"]);
});

test("data leave in messages no larger than the peer's maximum, as far as its window goes", async () => {
  const { peer, channel } = await opened({ window: 10, maxPacket: 4 });
  channel.write("abcdefghijklmnop");
  await settled();
  const first = peer.take();
  assert.deepEqual(sizes(first), [4, 4, 2]);
  assert.equal(first.map((payload) => Buffer.from(decodeChannelData(payload).data)).join(""), "abcdefghij");
  peer.send(encodeWindowAdjust({ recipient: 0, bytes: 5 }));
  peer.send(encodeWindowAdjust({ recipient: 0, bytes: 100 }));
  await settled();
  assert.deepEqual(sizes(peer.take()), [4, 1, 1]);
});

test("our own maximum bounds what we send, however much the peer allows", async () => {
  const { peer, channel } = await opened({ window: 1000, maxPacket: 0xffff_ffff });
  channel.write(Buffer.alloc(120));
  await settled();
  assert.deepEqual(sizes(peer.take()), [50, 50, 20]);
});

test("the window is given back only for what the reader has taken", async () => {
  const { peer, channel } = await opened();
  peer.send(data(50), data(50));
  await settled();
  assert.deepEqual(peer.take(), []);
  channel.read(5);
  assert.deepEqual(peer.take(), [], "a small credit waits");
  channel.read(55);
  const [adjust] = peer.take();
  assert(adjust);
  assert.deepEqual(decodeWindowAdjust(adjust), { recipient: theirs, bytes: 60 });
  peer.send(data(50));
  const closedBy = (): string | undefined => peer.close?.kind;
  assert.equal(closedBy(), undefined);
  peer.send(data(11));
  assert.equal(closedBy(), "disconnected", "10 bytes were left");
});

test("credit for a flowing reader, a paused one and an async iterator", async () => {
  const { peer, channel } = await opened();
  let flowed = 0;
  channel.on("data", (chunk: Buffer) => (flowed += chunk.length));
  for (let n = 0; n < 10; n++) {
    peer.send(data(50));
    await settled();
  }
  assert.equal(flowed, 500);
  channel.pause();
  peer.take();
  peer.send(data(50), data(50));
  await settled();
  assert.deepEqual(peer.take(), []);
  channel.resume();
  await settled();
  assert.equal(flowed, 600);
  assert.equal(credit(peer), 100);
});

test("stderr has its own stream in the same window, and holds it until it is read", async () => {
  const { peer, channel } = await opened({ discardStderr: false });
  channel.resume();
  peer.send(data(50, 1), data(50, 1));
  await settled();
  assert.deepEqual(peer.take(), []);
  assert.equal(channel.stderr.readableLength, 100);
  channel.stderr.resume();
  await settled();
  assert.equal(credit(peer), 100);
});

test("stderr that nobody wants, and data of unknown type, do not hold the window", async () => {
  const { peer } = await opened();
  peer.send(data(50, 1), data(50, 77));
  await settled();
  assert.equal(credit(peer), 100);
});

test("stdout and stderr take turns in the window", async () => {
  const { peer, channel } = await opened({ window: 400, maxPacket: 100, limits: { maxPacketBytes: 100 } });
  channel.write(Buffer.alloc(1000, "o"));
  channel.stderr.write(Buffer.alloc(1000, "e"));
  await settled();
  peer.send(encodeWindowAdjust({ recipient: 0, bytes: 600 }));
  await settled();
  const types = peer.take().map((payload) => decodeChannelData(payload).dataType ?? 0);
  assert.equal(types.length, 10);
  assert(types.filter((type) => type === 1).length >= 3, types.join());
});

test("half-close: after the peer's EOF we still write, and the reader sees the end", async () => {
  const { peer, channel } = await opened({ type: "direct-tcpip" });
  const read = channel.toArray();
  peer.send(data("bye"), eof);
  assert.equal(Buffer.concat((await read) as Buffer[]).toString(), "bye");
  channel.write("still here");
  await settled();
  assert.deepEqual(peer.numbers(), [MSG.CHANNEL_DATA]);
  channel.end();
  await settled();
  assert.deepEqual(peer.numbers(), [MSG.CHANNEL_EOF, MSG.CHANNEL_CLOSE]);
});

test("half-close: after our EOF we still read", async () => {
  const { peer, channel } = await opened({ type: "direct-tcpip" });
  channel.end("done");
  await settled();
  assert.deepEqual(peer.numbers(), [MSG.CHANNEL_DATA, MSG.CHANNEL_EOF]);
  peer.send(data("more"), eof);
  assert.equal(Buffer.concat((await channel.toArray()) as Buffer[]).toString(), "more");
  await settled();
  assert.deepEqual(peer.numbers(), [MSG.CHANNEL_CLOSE]);
});

test("a session is not closed by the end of both directions: the exit status is to follow", async () => {
  const { peer, channel } = await opened();
  channel.resume();
  channel.end();
  peer.send(eof);
  await settled();
  assert.deepEqual(peer.numbers(), [MSG.CHANNEL_EOF]);
  await channel.finish({ status: 0 });
  await settled();
  assert.deepEqual(peer.numbers(), [MSG.CHANNEL_REQUEST, MSG.CHANNEL_CLOSE]);
});

test("EOF waits for the last byte of stdout and of stderr", async () => {
  const { peer, channel } = await opened({ window: 5 });
  channel.stderr.write("error");
  channel.write("output");
  channel.end();
  await settled();
  assert.deepEqual(peer.numbers(), [MSG.CHANNEL_EXTENDED_DATA]);
  peer.send(encodeWindowAdjust({ recipient: 0, bytes: 100 }));
  await settled();
  assert.deepEqual(peer.numbers(), [MSG.CHANNEL_DATA, MSG.CHANNEL_EOF]);
});

test("finish sends the data, EOF, the exit status and CLOSE, in this order", async () => {
  const { mux, peer, channel } = await opened({ window: 3 });
  channel.write("output");
  const finished = channel.finish({ status: 3 });
  await settled();
  assert.deepEqual(peer.numbers(), [MSG.CHANNEL_DATA]);
  peer.send(encodeWindowAdjust({ recipient: 0, bytes: 100 }));
  await finished;
  await settled();
  const rest = peer.take();
  assert.deepEqual(
    rest.map((payload) => payload[0]),
    [MSG.CHANNEL_DATA, MSG.CHANNEL_EOF, MSG.CHANNEL_REQUEST, MSG.CHANNEL_CLOSE],
  );
  const exit = decodeChannelRequest(rest[2] ?? none);
  assert.equal(exit.type, "exit-status");
  assert.equal(exit.wantReply, false);
  assert.deepEqual(exit.data, Uint8Array.of(0, 0, 0, 3));
  assert.equal(mux.channelCount, 1);
  peer.send(close);
  assert.equal(mux.channelCount, 0);
});

test("finish reports a signal too", async () => {
  const { peer, channel } = await opened();
  await channel.finish({ signal: "TERM", coreDumped: false, message: "" });
  await settled();
  assert.equal(decodeChannelRequest(peer.take()[1] ?? none).type, "exit-signal");
});

test("requests are answered in order, though the answers come in another", async () => {
  const resolve: ((value: boolean) => void)[] = [];
  const { peer } = await opened({
    request: ({ type }) => (type === "late" ? new Promise((r) => resolve.push(r)) : type === "yes"),
  });
  peer.send(request("late"), request("yes"), request("yes", false), request("late"), request("no"));
  await settled();
  assert.deepEqual(peer.numbers(), []);
  resolve[1]?.(true);
  await settled();
  assert.deepEqual(peer.numbers(), []);
  resolve[0]?.(false);
  await settled();
  assert.deepEqual(peer.numbers(), [
    MSG.CHANNEL_FAILURE,
    MSG.CHANNEL_SUCCESS,
    MSG.CHANNEL_SUCCESS,
    MSG.CHANNEL_FAILURE,
  ]);
});

test("a request that is answered after CLOSE is not answered on the wire", async () => {
  let answer: ((value: boolean) => void) | undefined;
  const { peer } = await opened({ request: () => new Promise((resolve) => (answer = resolve)) });
  peer.send(request("slow"), close);
  assert.deepEqual(peer.numbers(), [MSG.CHANNEL_CLOSE]);
  answer?.(true);
  await settled();
  assert.deepEqual(peer.numbers(), []);
});

test("our requests get their replies in order, and fail when the channel closes", async () => {
  const { peer, channel } = await opened();
  const replies = [channel.request("a"), channel.request("b"), channel.request("c")];
  peer.send(encodeChannelSignal(MSG.CHANNEL_FAILURE, 0), encodeChannelSignal(MSG.CHANNEL_SUCCESS, 0), close);
  assert.deepEqual(await Promise.all(replies), [false, true, false]);
  assert.equal(await channel.request("d"), false);
});

test("the peer's CLOSE is answered at once, drops what waits, and leaves what came to the reader", async () => {
  const { mux, peer, channel } = await opened({ window: 2 });
  const errors: Error[] = [];
  channel.on("error", (error) => errors.push(error));
  channel.write("does not fit");
  peer.send(data("last words"), close);
  await settled();
  assert.deepEqual(peer.numbers(), [MSG.CHANNEL_DATA, MSG.CHANNEL_CLOSE]);
  assert.equal(await channel.over, "peer");
  assert.equal(mux.channelCount, 0);
  channel.write("into the void");
  assert.equal(Buffer.concat((await channel.toArray()) as Buffer[]).toString(), "last words");
  await settled();
  assert(channel.destroyed);
  assert.deepEqual(errors, []);
});

test("what comes after our CLOSE is dropped, but the exit status is still told", async () => {
  const asked: string[] = [];
  const { peer, channel } = await opened({ request: ({ type }) => asked.push(type) > 0 });
  channel.destroy();
  await settled();
  assert.deepEqual(peer.numbers(), [MSG.CHANNEL_CLOSE]);
  peer.send(data("late"), request("exit-status", false), request("wants reply"), eof, close);
  assert.deepEqual(asked, ["exit-status", "wants reply"]);
  assert.deepEqual(peer.numbers(), []);
  assert.equal(peer.close, undefined);
});

test("a session that we opened stays open for the exit status until the server closes", async () => {
  const [a, b] = packetPipe();
  const requests: string[] = [];
  const client = new ConnectionMux(a);
  attach(b, {
    channels: new Map([
      [
        "session",
        (offer) => {
          const channel = offer.accept();
          channel.end("output");
          setImmediate(() => void channel.finish({ status: 7 }));
        },
      ],
    ]),
  });
  const outcome = await client.open("session", { request: ({ type }) => requests.push(type) > 0 });
  assert(outcome.opened);
  const { channel } = outcome;
  channel.end();
  assert.equal(Buffer.concat((await channel.toArray()) as Buffer[]).toString(), "output");
  assert.equal(await channel.over, "peer");
  assert.deepEqual(requests, ["exit-status"]);
  assert.equal(client.channelCount, 0);
});

test("while the connection is not writable no data are sent, and afterwards channels take turns", async () => {
  const { conn, peer } = rawPeer();
  const channels: Channel[] = [];
  attach(conn, { channels: new Map([["session", (offer) => channels.push(offer.accept())]]) });
  await settled();
  for (const channel of [1, 2, 3]) {
    peer.send(encodeChannelOpen({ type: "session", channel, window: 1000, maxPacket: 10, data: none }));
  }
  peer.take();
  conn.hold();
  for (const channel of channels) channel.write(Buffer.alloc(30));
  await settled();
  assert.equal(conn.waiting, 0);
  conn.release();
  await settled();
  const order = peer.take().map((payload) => decodeChannelData(payload).recipient);
  assert.deepEqual(order, [1, 2, 3, 1, 2, 3, 1, 2, 3]);
});

test("with a reader that stops, the writer stops, and little is held", async () => {
  const [a, b] = packetPipe({ maxUnread: 8 });
  const received: Channel[] = [];
  attach(b, { channels: new Map([["sink", (offer) => received.push(offer.accept())]]) });
  const client = new ConnectionMux(a);
  const outcome = await client.open("sink");
  assert(outcome.opened);
  const { channel } = outcome;
  let produced = 0;
  const source = new Readable({
    read() {
      if (produced < 64 * 1024 * 1024) {
        produced += 65536;
        this.push(Buffer.alloc(65536));
      } else this.push(null);
    },
  });
  source.pipe(channel);
  for (let turn = 0; turn < 200; turn++) await settled();
  const [sink] = received;
  assert(sink);
  const stalledAt = a.sentBytes;
  assert(produced < 4 * 1024 * 1024, `${produced} bytes were produced`);
  assert(sink.readableLength <= 2 * 1024 * 1024);
  assert.equal(a.unread + b.unread, 0);
  for (let turn = 0; turn < 20; turn++) await settled();
  assert.equal(a.sentBytes, stalledAt);

  let bytes = 0;
  for await (const chunk of sink) bytes += (chunk as Buffer).length;
  assert.equal(bytes, 64 * 1024 * 1024);
});

test("lent bytes are shown without a copy, kept while the stream is paused, and count as read when they are", async () => {
  const { peer, channel } = await opened();
  const shown: string[] = [];
  let last: Uint8Array | undefined;
  channel.readLent((bytes) => {
    last = bytes;
    shown.push(Buffer.from(bytes).toString());
  });
  channel.resume();
  await settled();
  const message = data("a".repeat(50));
  peer.send(message);
  assert.deepEqual(shown, ["a".repeat(50)]);
  assert.equal(credit(peer), 50);
  channel.pause();
  peer.send(data("b".repeat(30)));
  peer.send(data("c".repeat(20)));
  assert.equal(shown.length, 1);
  assert.equal(credit(peer), 0);
  channel.resume();
  await settled();
  peer.send(data("d"));
  assert.equal(shown.join(""), `${"a".repeat(50)}${"b".repeat(30)}${"c".repeat(20)}d`);
  assert.equal(credit(peer), 50);
  assert.equal(last?.length, 1);
  peer.send(eof);
  await settled();
  assert.equal(channel.readableEnded, true);
});

test("what is lent for sending leaves as window and connection allow, framed where it lies; the rest is the caller's", async () => {
  const { conn, peer, channel } = await opened({ window: 120 });
  const lent = Buffer.concat([Buffer.alloc(20), Buffer.alloc(200, "x")]);
  assert.equal(channel.sendLent(lent, 5, 220), 0, "no room for the head");
  assert.equal(channel.sendLent(lent, 20, 220), 120);
  const sent = peer.take();
  assert.deepEqual(sizes(sent), [50, 50, 20]);
  assert.ok(sent.every((payload) => decodeChannelData(payload).data.every((byte) => byte === 0x78)));
  peer.send(encodeWindowAdjust({ recipient: 0, bytes: 1000 }));
  channel.write("first");
  assert.equal(channel.sendLent(lent, 20, 30), 10, "nothing waits before it");
  conn.hold();
  channel.write("waits");
  assert.equal(channel.sendLent(lent, 20, 30), 0, "what waits comes first");
  channel.destroy();
  assert.equal(channel.sendLent(lent, 20, 30), 0);
});
