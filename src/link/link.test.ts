import assert from "node:assert/strict";
import { connect, createServer, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { PosternError } from "#base";
import { byteStreamOf, lastWordsMs, lingerMs, maxUnsentBytes } from "#link";
import { encodePing, MSG } from "#ssh/messages";
import { fakeClock } from "#test/support/fake-clock";
import { Collector, link, linkPair, socketPair } from "#test/support/links";

const message = (length: number, fill = 7): Uint8Array =>
  new Uint8Array(length).fill(fill).fill(MSG.CHANNEL_DATA, 0, 1);

test("both kinds of socket, accepted and connected, are read by their handle", async () => {
  await using pair = await socketPair();
  const chunks: Buffer[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const near = byteStreamOf(pair.near);
  const far = byteStreamOf(pair.far);
  assert.notEqual(near.constructor.name, "DuplexStream");
  assert.notEqual(far.constructor.name, "DuplexStream");
  far.start(
    (bytes, start, end) => {
      assert.ok(start >= 256 * 1024, "there is room before the chunk");
      chunks.push(Buffer.from(bytes.subarray(start, end)));
    },
    () => resolve(),
  );
  near.start(
    () => {},
    () => {},
  );
  near.write([Buffer.from("one "), Buffer.from("two")], () => {});
  near.finish(() => {});
  await promise;
  assert.equal(Buffer.concat(chunks).toString(), "one two");
  near.destroy();
  far.destroy();
});

test("a server whose sockets were taken over can close", async () => {
  await using pair = await socketPair();
  const far = byteStreamOf(pair.far);
  far.start(
    () => {},
    () => {},
  );
  far.destroy();
  await new Promise((resolve) => pair.server.close(resolve));
});

test("a socket that was read from already, or any other Duplex, is read by its events", async () => {
  const [a, b] = duplexPair();
  const { promise, resolve } = Promise.withResolvers<string>();
  byteStreamOf(b).start(
    (bytes, start, end) => resolve(Buffer.from(bytes.subarray(start, end)).toString()),
    () => {},
  );
  a.write("hello");
  assert.equal(await promise, "hello");
});

function duplexPair(): [Duplex, Duplex] {
  const make = (other: () => Duplex): Duplex =>
    new Duplex({
      allowHalfOpen: true,
      read: () => {},
      write: (chunk, _encoding, done) => {
        // A copy, as a kernel makes one: what is written is used again.
        other().push(Uint8Array.from(chunk as Uint8Array));
        done();
      },
      final: (done) => {
        other().push(null);
        done();
      },
    });
  const a: Duplex = make(() => b);
  const b: Duplex = make(() => a);
  return [a, b];
}

test("a peer that asks for answers and never reads them is read no further, and on again when it reads", async () => {
  const [near, far] = duplexPair();
  const client = link(near, "client");
  const server = link(far, "server");
  await Promise.all([client.established, server.established]);
  client.attach(new Collector());
  server.attach(new Collector());
  const release = stopWriting(far);
  const before = server.bytesIn;
  const pings = 1024;
  const pingBytes = 32 * 1024;
  for (let n = 0; n < pings; n++) client.send(encodePing(new Uint8Array(pingBytes)));
  client.flush();
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  const read = server.bytesIn - before;
  assert.ok(read > maxUnsentBytes, `${read} bytes read: less than may wait`);
  assert.ok(read < 3 * maxUnsentBytes, `${read} bytes read, and as many kept`);
  release();
  const all = Promise.withResolvers<void>();
  const heard = new Collector();
  heard.packet = () => all.resolve();
  client.attach(heard);
  // Comes after all the answers.
  const asked = new Collector();
  asked.packet = () => server.send(message(1));
  server.attach(asked);
  client.send(message(1));
  await all.promise;
  assert.ok(client.bytesIn > pings * pingBytes);
  client.destroy();
  server.destroy();
});

/** From now on what is written waits, as in a socket whose peer does not read; the function returned lets it go. */
function stopWriting(stream: Duplex): () => void {
  const write = stream._write.bind(stream);
  const waiting: (() => void)[] = [];
  stream._write = (...call) => void waiting.push(() => write(...call));
  return () => {
    stream._write = write;
    for (const go of waiting) go();
  };
}

test("payloads pass both ways, over sockets and over any Duplex", async () => {
  await using pair = await linkPair();
  const [a, b] = duplexPair();
  const pairs = [
    [pair.client, pair.server],
    [link(a, "client"), link(b, "server")],
  ] as const;
  for (const [client, server] of pairs) {
    await Promise.all([client.established, server.established]);
    const got = new Collector();
    const answered = new Collector();
    server.attach(got);
    client.attach(answered);
    for (const size of [1, 100, 32_768, 200_000]) client.send(message(size));
    server.send(message(9));
    await got.until(() => got.payloads.length === 4);
    await answered.until(() => answered.payloads.length === 1);
    assert.deepEqual(
      got.payloads.map((payload) => payload.length),
      [1, 100, 32_768, 200_000],
    );
    client.destroy();
    server.destroy();
  }
});

for (const cipher of ["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr"]) {
  test(`a hundred megabytes under ${cipher}, rekeying all the time, arrive whole and in order`, async () => {
    await using pair = await linkPair({
      ciphers: [cipher],
      rekey: { bytes: 3_000_000, packets: 2 ** 31, ms: 3_600_000 },
    });
    const got = new Collector();
    const sender = new Collector();
    let expected = 0;
    let wrong = 0;
    got.keep = false;
    const original = got.packet.bind(got);
    got.packet = (packet) => {
      const at = packet.start + 1;
      const number = Buffer.from(packet.bytes.buffer, packet.bytes.byteOffset + at, 4).readUInt32BE();
      if (number !== expected++) wrong++;
      original(packet);
    };
    pair.server.attach(got);
    pair.client.attach(sender);
    const payload = message(32_768);
    const total = 3200;
    for (let n = 0; n < total; n++) {
      if (!pair.client.writable) await sender.until(() => pair.client.writable);
      Buffer.from(payload.buffer).writeUInt32BE(n, 1);
      pair.client.send(payload);
      if (n % 30 === 29) pair.client.flush();
    }
    await got.until(() => expected === total);
    assert.equal(wrong, 0);
  });
}

for (const { ms, lateMs } of [
  { ms: 3_600_000, lateMs: 300_000 },
  { ms: 10_000, lateMs: 1_000 },
])
  test(`keys of a silent connection are changed after ${ms / 1000} seconds, and not much later`, async () => {
    const clock = fakeClock();
    await using pair = await linkPair({ clock, rekey: { bytes: 1024 ** 3, packets: 2 ** 31, ms } });
    for (const end of [pair.client, pair.server]) end.attach(new Collector());
    clock.advance(ms - lateMs);
    assert.equal(pair.client.rekeying, false);
    clock.advance(2 * lateMs);
    assert.equal(pair.client.rekeying, true);
  });

test("a handler that is not ready leaves the rest to the peer: nothing piles up here", async () => {
  await using pair = await linkPair();
  const got = new Collector();
  const sender = new Collector();
  got.keep = false;
  got.open = false;
  pair.server.attach(got);
  pair.client.attach(sender);
  let sent = 0;
  // The kernel's buffers and one chunk of ours are finite, so the sender stops being writable.
  while (pair.client.writable) {
    for (let n = 0; n < 30; n++) {
      pair.client.send(message(32_768));
      sent++;
    }
    pair.client.flush();
    assert.ok(sent < 2_000, "64 MB were taken by a reader that reads nothing");
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(got.bytes, 0);
  const read = pair.server.bytesIn;
  assert.ok(read < 4_000_000, `${read} bytes were read`);
  got.open = true;
  pair.server.resume();
  await got.until(() => got.bytes === sent * 32_768);
  assert.equal(pair.client.writable, true);
  assert.ok(sender.drains > 0);
});

test("what came before the end is shown before the end", async () => {
  await using pair = await linkPair();
  const got = new Collector();
  got.open = false;
  pair.server.attach(got);
  for (let n = 0; n < 20; n++) pair.client.send(message(10_000, n));
  pair.client.disconnect(11, "all said");
  while (pair.server.bytesIn < 10_000) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(got.payloads.length, 0);
  got.open = true;
  pair.server.resume();
  const close = await got.end;
  assert.equal(got.payloads.length, 20);
  assert.deepEqual(close, { kind: "disconnected", reason: 11, description: "all said" });
});

test("last words reach a peer that was in the middle of sending", async () => {
  await using pair = await linkPair();
  const heard = new Collector();
  pair.client.attach(heard);
  const got = new Collector();
  pair.server.attach(got);
  for (let n = 0; n < 50; n++) pair.client.send(message(32_768));
  await got.until(() => got.payloads.length > 0);
  pair.server.disconnect(2, "enough");
  const close = await heard.end;
  assert.deepEqual(close, { kind: "disconnected", reason: 2, description: "enough" });
});

test("a peer that never closes is dropped after our last words", async () => {
  const clock = fakeClock();
  const [peer, own] = duplexPair();
  const server = link(own, "server", { clock });
  const ended = new Promise<void>((resolve) => peer.once("end", () => resolve()));
  peer.resume();
  server.disconnect(11, "bye");
  await ended;
  // The peer has our end, but keeps its own direction open.
  await new Promise((resolve) => setImmediate(resolve));
  clock.advance(lingerMs - 1);
  assert.equal(own.destroyed, false);
  clock.advance(1);
  assert.equal(own.destroyed, true);
  assert.equal(clock.pending, 0);
});

test("a peer that does not take our last words is dropped too", () => {
  const clock = fakeClock();
  const own = new Duplex({ read: () => {}, write: () => {} });
  const server = link(own, "server", { clock });
  server.flush();
  server.disconnect(11, "bye");
  clock.advance(lastWordsMs - 1);
  assert.equal(own.destroyed, false);
  clock.advance(1);
  assert.equal(own.destroyed, true);
  assert.equal(clock.pending, 0);
});

test("a handshake that does not come is ended in time, with words", async () => {
  const clock = fakeClock();
  await using pair = await socketPair();
  const server = link(pair.far, "server", { clock });
  clock.advance(9_999);
  let failed = false;
  const failure = server.established.catch((error: unknown) => {
    failed = true;
    return error;
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(failed, false);
  clock.advance(1);
  const error = await failure;
  assert.ok(error instanceof PosternError);
  assert.equal(error.code, "PEER_HANDSHAKE_TIMEOUT");
});

for (const [name, bytes, expected] of [
  ["garbage", "GET / HTTP/1.1\r\n\r\n", "PEER_NOT_SSH"],
  ["an oversize length", "SSH-2.0-x\r\n\x7f\xff\xff\xff\0\0\0\0", "PEER_PACKET_LENGTH"],
  ["a short length", "SSH-2.0-x\r\n\0\0\0\x01\0\0\0\0\0\0\0\0", "PEER_PACKET_LENGTH"],
  ["the end of the stream", "", "PEER_STREAM_ENDED"],
] as const) {
  test(`${name} instead of a handshake: blamed on the peer, told in words`, async () => {
    await using pair = await socketPair();
    const server = link(pair.far, "server");
    const heard = readAll(pair.near);
    pair.near.end(Buffer.from(bytes, "latin1"));
    const error = await server.established.catch((reason: unknown) => reason);
    assert.ok(error instanceof PosternError);
    assert.equal(error.code, expected);
    const text = await heard;
    assert.match(text, /^SSH-2\.0-Test\r\n/);
    if (bytes !== "") assert.ok(text.includes(error.user), "the last packet carries the sentence");
  });
}

async function readAll(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("latin1");
}

test("a host key that is refused ends the connection before anything is said", async () => {
  const server = createServer({ pauseOnConnect: true });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  const accepted = new Promise<Socket>((resolve) => server.once("connection", resolve));
  const socket = connect(address.port, "127.0.0.1").pause();
  const far = link(await accepted, "server");
  const { linkOptions } = await import("#test/support/links");
  const { Link } = await import("#link");
  const refusal = new Error("not the host we want");
  await new Promise((resolve) => (socket.connecting ? socket.once("connect", resolve) : resolve(undefined)));
  const options = { ...linkOptions("client"), checkHostKey: () => Promise.reject(refusal) };
  const client = new Link(socket, options);
  const handler = new Collector();
  far.attach(handler);
  const error = await client.established.catch((reason: unknown) => reason);
  assert.ok(error instanceof PosternError);
  assert.equal(error.cause, refusal);
  const close = await handler.end;
  assert.equal(close.kind, "disconnected");
  assert.equal(handler.payloads.length, 0);
  client.destroy();
  far.destroy();
  await new Promise((resolve) => server.close(resolve));
});
