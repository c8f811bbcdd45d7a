import assert from "node:assert/strict";
import { test } from "node:test";
import { PosternError } from "#base";
import {
  decodeGlobalRequest,
  DISCONNECT,
  encodeChannelOpen,
  encodeChannelOpenFailure,
  encodeChannelSignal,
  encodeGlobalRequest,
  encodeRequestFailure,
  encodeRequestSuccess,
  MSG,
  OPEN_FAILURE,
} from "#ssh/messages";
import { decodePublicKey, verifySignature } from "#ssh/keys";
import { Reader, Writer } from "#ssh/wire";
import { joinPipe, type Pipe, type PipeOptions } from "#pipe";
import { testHostKey } from "#test/support/engines";
import { fakeClock, type FakeClock } from "#test/support/fake-clock";
import { Collector, linkPair } from "#test/support/links";
import { packetPipe, type PacketPipeOptions, type PipeEnd } from "#test/support/packet-pipe";

const message = (length: number, fill = 7): Uint8Array =>
  new Uint8Array(length).fill(fill).fill(MSG.CHANNEL_DATA, 0, 1);

interface Joined {
  readonly client: PipeEnd;
  readonly server: PipeEnd;
  readonly atClient: Collector;
  readonly atServer: Collector;
  readonly pipe: Pipe;
  readonly clock: FakeClock;
}

/** A client and a server in memory with the pipe between them. */
function joined(options: Partial<PipeOptions> = {}, wires: PacketPipeOptions = { delivery: "sync" }): Joined {
  const [client, downstream] = packetPipe(wires);
  const [server, upstream] = packetPipe(wires);
  const clock = fakeClock();
  const pipe = joinPipe({
    downstream,
    upstream,
    clock,
    keepalive: { intervalMs: 0, maxMissed: 3 },
    maxChannels: 10,
    hostKeys: [],
    ...options,
  });
  const atClient = new Collector();
  const atServer = new Collector();
  client.attach(atClient);
  server.attach(atServer);
  return { client, server, atClient, atServer, pipe, clock };
}

/** A Buffer and a Uint8Array of the same bytes are the same here. */
function same(
  actual: readonly (Uint8Array | undefined)[],
  expected: readonly Uint8Array[],
  what = "the payloads",
): void {
  const hex = (list: readonly (Uint8Array | undefined)[]): string[] =>
    list.map((each) => (each === undefined ? "none" : Buffer.from(each).toString("hex")));
  assert.deepEqual(hex(actual), hex(expected), what);
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const global = (type: string, wantReply: boolean): Uint8Array =>
  encodeGlobalRequest({ type, wantReply, data: new Uint8Array(0) });

test("payloads pass unchanged both ways, known or not", async () => {
  const { client, server, atClient, atServer } = joined();
  const payloads = [
    message(1),
    message(40_000),
    Uint8Array.of(101, 1, 2, 3),
    Uint8Array.of(200, 9),
    encodeChannelOpen({
      type: "tun@openssh.com",
      channel: 1,
      window: 2,
      maxPacket: 3,
      data: Uint8Array.of(1),
    }),
    global("unknown@example", false),
  ];
  for (const payload of payloads) {
    client.send(payload);
    server.send(payload);
  }
  await settled();
  same(atServer.payloads, payloads);
  same(atClient.payloads, payloads);
});

test("the upstream's host keys never reach the client, nor do late messages of user authentication", async () => {
  const { client, server, atClient, atServer } = joined();
  server.send(global("hostkeys-00@openssh.com", false));
  server.send(Uint8Array.of(MSG.USERAUTH_BANNER, 0, 0, 0, 0, 0, 0, 0, 0));
  client.send(Uint8Array.of(MSG.USERAUTH_REQUEST, 1, 2, 3));
  await settled();
  same(atClient.payloads, []);
  same(atServer.payloads, []);
});

test("a message that is not due after authentication ends the session and blames its sender", async () => {
  const { client, pipe, atServer } = joined();
  client.send(Uint8Array.of(MSG.SERVICE_REQUEST, 0, 0, 0, 0));
  const end = await pipe.closed;
  assert.equal(end.by, "downstream");
  assert.ok(end.close.error instanceof PosternError);
  assert.equal(end.close.error.code, "PEER_UNEXPECTED_MESSAGE");
  assert.equal((await atServer.end).kind, "disconnected");
});

test("answers to global requests come in order, also those that we give ourselves", async () => {
  const hostKey = testHostKey();
  const key = {
    blob: hostKey.publicKey.blob,
    algorithms: hostKey.algorithms,
    sign: (algorithm: string, data: Uint8Array) => hostKey.sign(algorithm, data),
  };
  const { client, server, atClient, atServer } = joined({ hostKeys: [key] });
  await settled();
  const announced = decodeGlobalRequest(atClient.payloads[0] ?? new Uint8Array(0));
  assert.equal(announced.type, "hostkeys-00@openssh.com");
  assert.deepEqual(Buffer.from(new Reader(announced.data).string()), Buffer.from(key.blob));
  const prove = encodeGlobalRequest({
    type: "hostkeys-prove-00@openssh.com",
    wantReply: true,
    data: new Writer().string(key.blob).bytes(),
  });
  client.send(global("first@example", true));
  client.send(prove);
  client.send(global("third@example", true));
  await settled();
  assert.equal(atClient.payloads.length, 1, "our own answer waits for the one before it");
  assert.deepEqual(
    atServer.payloads.map((payload) => decodeGlobalRequest(payload).type),
    ["first@example", "third@example"],
    "the upstream is never asked to prove our keys",
  );
  server.send(encodeRequestSuccess(Uint8Array.of(1)));
  server.send(encodeRequestFailure());
  await settled();
  const [, first, proof, third] = atClient.payloads;
  same([first, third], [encodeRequestSuccess(Uint8Array.of(1)), encodeRequestFailure()]);
  assert.equal(proof?.[0], MSG.REQUEST_SUCCESS);
  const signature = new Reader(proof, 1).string();
  const data = new Writer()
    .string("hostkeys-prove-00@openssh.com")
    .string(client.sessionId)
    .string(key.blob)
    .bytes();
  assert.equal(verifySignature(decodePublicKey(key.blob), "ssh-ed25519", data, signature).valid, true);
});

test("keys that are not ours are not proven", async () => {
  const { client, atClient, atServer } = joined();
  const data = new Writer().string(Uint8Array.of(1, 2, 3)).bytes();
  client.send(encodeGlobalRequest({ type: "hostkeys-prove-00@openssh.com", wantReply: true, data }));
  await settled();
  same(atClient.payloads, [encodeRequestFailure()]);
  same(atServer.payloads, []);
});

test("an answer that nobody asked for ends the session", async () => {
  const { server, pipe, atClient } = joined();
  server.send(encodeRequestSuccess());
  const end = await pipe.closed;
  assert.equal(end.by, "upstream");
  const close = await atClient.end;
  assert.match(close.description ?? "", /not valid SSH/);
});

test("channels at once are bounded; refused ones are answered here", async () => {
  const { client, server, atClient, atServer, pipe } = joined({ maxChannels: 2 });
  const open = (channel: number): Uint8Array =>
    encodeChannelOpen({ type: "session", channel, window: 1, maxPacket: 1, data: new Uint8Array(0) });
  for (const channel of [0, 1, 2]) client.send(open(channel));
  await settled();
  assert.equal(atServer.payloads.length, 2);
  const refused = encodeChannelOpenFailure({
    recipient: 2,
    reason: OPEN_FAILURE.RESOURCE_SHORTAGE,
    description: "this gateway allows 2 channels at once",
  });
  same(atClient.payloads, [refused]);
  // One fails, one closes on both sides: two may follow.
  server.send(encodeChannelOpenFailure({ recipient: 0, reason: 2, description: "no" }));
  client.send(encodeChannelSignal(MSG.CHANNEL_CLOSE, 1));
  client.send(open(3));
  await settled();
  assert.equal(pipe.channels.open, 2, "a channel that only one side closed still counts");
  server.send(encodeChannelSignal(MSG.CHANNEL_CLOSE, 1));
  await settled();
  assert.equal(pipe.channels.open, 1);
  client.send(open(4));
  await settled();
  assert.equal(pipe.channels.open, 2);
  assert.equal(pipe.channels.total, 3);
});

test("a side that is full leaves the other unread, and reads on when it drains", async () => {
  const { client, server, atServer } = joined();
  server.hold();
  const [far] = [server];
  assert.ok(far);
  atServer.open = false;
  for (let n = 0; n < 50; n++) client.send(message(1000, n));
  await settled();
  assert.equal(atServer.payloads.length, 0);
  atServer.open = true;
  server.release();
  server.resume();
  await settled();
  assert.equal(atServer.payloads.length, 50);
});

test("the end of one side is told to the other, with reason and words", async () => {
  const cases = [
    {
      end: (j: Joined) => j.server.disconnect(2, "Too many authentication failures"),
      by: "upstream",
      told: [2, "Too many authentication failures"],
    },
    {
      end: (j: Joined) => j.server.destroy(),
      by: "upstream",
      told: [10, "The host behind the gateway closed the connection."],
    },
    { end: (j: Joined) => j.pipe.close(11, "maintenance"), by: "gateway", told: [11, "maintenance"] },
  ] as const;
  for (const { end, by, told } of cases) {
    const pair = joined();
    pair.server.send(message(5));
    end(pair);
    const close = await pair.atClient.end;
    assert.deepEqual([close.reason, close.description], told);
    assert.equal((await pair.pipe.closed).by, by);
    assert.equal(pair.atClient.payloads.length, 1, "what came before the end arrives");
  }
  const pair = joined();
  pair.client.disconnect(DISCONNECT.BY_APPLICATION, "disconnected by user");
  assert.equal((await pair.atServer.end).description, "disconnected by user");
});

test("a silent peer is asked, and given up when it does not answer; answers to us go no further", async () => {
  const { client, server, atClient, atServer, pipe, clock } = joined({
    keepalive: { intervalMs: 1000, maxMissed: 2 },
  });
  clock.advance(1000);
  await settled();
  assert.equal(decodeGlobalRequest(atClient.payloads[0] ?? new Uint8Array()).type, "keepalive@openssh.com");
  assert.equal(decodeGlobalRequest(atServer.payloads[0] ?? new Uint8Array()).type, "keepalive@openssh.com");
  // The client's own question is in flight at the same time: each answer finds its asker.
  server.send(global("from-upstream@example", true));
  client.send(encodeRequestFailure());
  client.send(encodeRequestSuccess(Uint8Array.of(5)));
  await settled();
  same([atServer.payloads.at(-1)], [encodeRequestSuccess(Uint8Array.of(5))]);
  let over = false;
  void pipe.closed.then(() => (over = true));
  for (let n = 0; n < 2; n++) {
    clock.advance(1000);
    client.send(message(1));
    await settled();
  }
  assert.equal(over, false);
  clock.advance(1000);
  client.send(message(1));
  clock.advance(1000);
  const end = await pipe.closed;
  assert.equal(end.by, "upstream");
  assert.match((await atClient.end).description ?? "", /no longer answers/);
  assert.equal(clock.pending, 0);
});

test("whom the kernel asks is asked by us after six intervals of silence; the other side in the first", async () => {
  const { atClient, atServer, server, clock } = joined({
    keepalive: { intervalMs: 1000, maxMissed: 8 },
    probed: { downstream: true, upstream: false },
  });
  let asked = 0;
  for (let n = 0; n < 5; n++) {
    clock.advance(1000);
    await settled();
    for (const _ of atServer.payloads.splice(0)) {
      asked++;
      server.send(encodeRequestFailure());
    }
    await settled();
  }
  assert.equal(atClient.payloads.length, 0);
  assert.equal(asked, 3);
  clock.advance(1000);
  await settled();
  assert.equal(decodeGlobalRequest(atClient.payloads[0] ?? new Uint8Array()).type, "keepalive@openssh.com");
});

test("taps see what they asked for, and may replace it or answer it", async () => {
  const { client, atClient, atServer } = joined({
    tapsToUpstream: [
      {
        numbers: [MSG.CHANNEL_DATA],
        see: (packet) =>
          packet.bytes[packet.start + 1] === 1
            ? {
                kind: "replace",
                payloads: [Uint8Array.of(MSG.CHANNEL_DATA, 2), Uint8Array.of(MSG.CHANNEL_DATA, 3)],
              }
            : { kind: "pass" },
      },
      {
        numbers: [MSG.CHANNEL_REQUEST],
        see: () => ({ kind: "reply", payloads: [Uint8Array.of(MSG.CHANNEL_FAILURE, 0)] }),
      },
    ],
  });
  client.send(Uint8Array.of(MSG.CHANNEL_DATA, 1));
  client.send(Uint8Array.of(MSG.CHANNEL_DATA, 9));
  client.send(Uint8Array.of(MSG.CHANNEL_REQUEST, 0));
  await settled();
  same(atServer.payloads, [
    Uint8Array.of(MSG.CHANNEL_DATA, 2),
    Uint8Array.of(MSG.CHANNEL_DATA, 3),
    Uint8Array.of(MSG.CHANNEL_DATA, 9),
  ]);
  same(atClient.payloads, [Uint8Array.of(MSG.CHANNEL_FAILURE, 0)]);
});

test("a tap's answer to a global request takes its place in the order of answers", async () => {
  const { client, server, atClient, atServer } = joined({
    tapsToUpstream: [
      {
        numbers: [MSG.GLOBAL_REQUEST],
        see: (packet) =>
          decodeGlobalRequest(packet.bytes.subarray(packet.start, packet.end)).type === "no@example"
            ? { kind: "reply", payloads: [encodeRequestFailure()] }
            : { kind: "pass" },
      },
    ],
  });
  client.send(global("yes@example", true));
  client.send(global("no@example", true));
  client.send(global("no@example", false));
  client.send(global("yes@example", true));
  await settled();
  assert.equal(atServer.payloads.length, 2, "what was answered goes no further");
  assert.equal(atClient.payloads.length, 0, "the answer waits for the one before it");
  server.send(encodeRequestSuccess(Uint8Array.of(1)));
  server.send(encodeRequestSuccess(Uint8Array.of(2)));
  await settled();
  const [one, two] = [Uint8Array.of(1), Uint8Array.of(2)].map((data) => encodeRequestSuccess(data));
  assert.ok(one && two);
  same(atClient.payloads, [one, encodeRequestFailure(), two]);
});

test("when the client has read is known by its answer, which goes no further", async () => {
  const { client, server, atClient, atServer, pipe } = joined();
  let read = 0;
  pipe.whenRead(() => read++);
  await settled();
  assert.equal(decodeGlobalRequest(atClient.payloads[0] ?? new Uint8Array()).type, "keepalive@openssh.com");
  server.send(global("theirs@example", true));
  assert.equal(read, 0);
  client.send(encodeRequestFailure());
  await settled();
  assert.equal(read, 1);
  assert.equal(atServer.payloads.length, 0);
  client.send(encodeRequestSuccess());
  await settled();
  assert.equal(read, 1);
  same(atServer.payloads, [encodeRequestSuccess()]);
});

test("a channel whose opening a tap refused does not count", async () => {
  const failure = encodeChannelOpenFailure({ recipient: 0, reason: 1, description: "" });
  const { client, atClient, pipe } = joined({
    maxChannels: 1,
    tapsToUpstream: [{ numbers: [MSG.CHANNEL_OPEN], see: () => ({ kind: "reply", payloads: [failure] }) }],
  });
  const open = encodeChannelOpen({ type: "x", channel: 0, window: 1, maxPacket: 1, data: new Uint8Array(0) });
  for (let n = 0; n < 3; n++) client.send(open);
  await settled();
  same(atClient.payloads, [failure, failure, failure]);
  assert.equal(pipe.channels.open, 0);
  assert.equal(pipe.channels.total, 0);
});

/** Sends `count` numbered packets as fast as the link takes them. */
async function pour(from: Awaited<ReturnType<typeof linkPair>>["client"], count: number): Promise<void> {
  const sender = new Collector();
  from.attach(sender);
  await pourBy(from, sender, count);
}

async function pourBy(
  from: Awaited<ReturnType<typeof linkPair>>["client"],
  sender: Collector,
  count: number,
): Promise<void> {
  const payload = message(20_000);
  const numbers = Buffer.from(payload.buffer);
  for (let n = 0; n < count; n++) {
    if (!from.writable) await sender.until(() => from.writable);
    numbers.writeUInt32BE(n, 1);
    from.send(payload);
    if (n % 20 === 19) {
      from.flush();
      await settled();
    }
  }
}

/** Checks numbers as they come. */
class Counter extends Collector {
  count = 0;
  wrong = 0;
  constructor() {
    super();
    this.keep = false;
    const show = this.packet.bind(this);
    this.packet = (packet) => {
      const { buffer, byteOffset } = packet.bytes;
      if (Buffer.from(buffer, byteOffset + packet.start + 1, 4).readUInt32BE() !== this.count++) this.wrong++;
      show(packet);
    };
  }
}

test("sixty megabytes each way at once while all four sides change keys all the time", {
  timeout: 60_000,
}, async () => {
  const rekey = { bytes: 1_500_000, packets: 2 ** 31, ms: 3_600_000 };
  await using outer = await linkPair({ rekey });
  await using inner = await linkPair({
    rekey: { ...rekey, bytes: 1_100_000 },
    ciphers: ["chacha20-poly1305@openssh.com"],
  });
  joinPipe({
    downstream: outer.server,
    upstream: inner.client,
    clock: fakeClock(),
    keepalive: { intervalMs: 0, maxMissed: 3 },
    maxChannels: 10,
    hostKeys: [],
  });
  const count = 3000;
  const atServer = new Counter();
  const atClient = new Counter();
  outer.client.attach(atClient);
  inner.server.attach(atServer);
  await Promise.all([pourBy(outer.client, atClient, count), pourBy(inner.server, atServer, count)]);
  await Promise.all([
    atServer.until(() => atServer.count === count),
    atClient.until(() => atClient.count === count),
  ]);
  assert.deepEqual([atServer.wrong, atClient.wrong], [0, 0]);
});

test("a reader that stops stops the writer: the gateway holds next to nothing", {
  timeout: 60_000,
}, async () => {
  await using outer = await linkPair();
  await using inner = await linkPair();
  joinPipe({
    downstream: outer.server,
    upstream: inner.client,
    clock: fakeClock(),
    keepalive: { intervalMs: 0, maxMissed: 3 },
    maxChannels: 10,
    hostKeys: [],
  });
  const slow = new Counter();
  slow.open = false;
  inner.server.attach(slow);
  const total = 5000;
  const pouring = pour(outer.client, total);
  // The writer stalls when the kernel's buffers and our bounded ones are full: then nothing moves any more.
  let before = -1;
  while (before !== outer.server.bytesIn) {
    before = outer.server.bytesIn;
    for (let n = 0; n < 200; n++) await settled();
  }
  const held = outer.server.bytesIn - inner.client.bytesOut;
  assert.ok(outer.server.bytesIn < 100_000_000, "it never stalled");
  assert.ok(held < 4_000_000, `${held} bytes are held`);
  slow.open = true;
  inner.server.resume();
  await pouring;
  await slow.until(() => slow.count === total);
  assert.equal(slow.wrong, 0);
});
