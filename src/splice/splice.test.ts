import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { Splice } from "./splice.ts";

/** Two connected sockets: ours as a server accepts it, and the far one. */
async function pair(): Promise<{ near: Socket; far: Socket }> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const far = connect({
    port: (server.address() as AddressInfo).port,
    host: "127.0.0.1",
    allowHalfOpen: true,
  });
  far.on("error", () => {});
  const [near] = (await once(server, "connection")) as [Socket];
  near.on("error", () => {});
  server.close();
  return { near, far };
}

async function joined(): Promise<{ client: Socket; target: Socket; splice: Splice }> {
  const [downstream, upstream] = [await pair(), await pair()];
  return {
    client: downstream.far,
    target: upstream.far,
    splice: new Splice(downstream.near, upstream.near),
  };
}

/** All that comes until the end, which leaves the other direction open. */
async function all(stream: Duplex): Promise<Buffer> {
  const pieces: Buffer[] = [];
  stream.on("data", (piece: Buffer) => pieces.push(piece));
  await once(stream, "end");
  return Buffer.concat(pieces);
}

test("bytes cross both ways unchanged, a slow reader loses none, and each direction ends by itself", async () => {
  const { client, target, splice } = await joined();
  const up = randomBytes(20_000_000);
  const down = randomBytes(5_000_000);
  client.end(up);
  // The client's direction has ended; the target's goes on after that.
  const received = await all(target);
  assert.ok(received.equals(up));
  target.end(down);
  assert.ok((await all(client)).equals(down));
  assert.deepEqual(await splice.ended, { by: "downstream" });
  assert.equal(splice.bytesToUpstream, up.length);
  assert.equal(splice.bytesToDownstream, down.length);
});

test("many splices at once keep their bytes apart while readers are slow", async () => {
  const whole = await Promise.all(
    Array.from({ length: 24 }, async (_, at) => {
      const { client, target, splice } = await joined();
      const up = Buffer.alloc(2_000_000, at + 1);
      client.end(up);
      const pieces: Buffer[] = [];
      for await (const piece of target) {
        pieces.push(piece as Buffer);
        await new Promise((resolve) => setImmediate(resolve));
      }
      target.end();
      client.resume();
      await splice.ended;
      return Buffer.concat(pieces).equals(up);
    }),
  );
  assert.deepEqual(whole, Array(24).fill(true));
});

test("what was put back comes first", async () => {
  const [downstream, upstream] = [await pair(), await pair()];
  downstream.far.write("hello ");
  await once(downstream.near, "readable");
  const read = downstream.near.read() as Buffer;
  downstream.near.unshift(read);
  const splice = new Splice(downstream.near, upstream.near);
  downstream.far.end("world");
  assert.equal(String(await all(upstream.far)), "hello world");
  splice.close();
  assert.deepEqual(await splice.ended, { by: "downstream" });
});

test("a side that breaks takes the other with it", async () => {
  for (const side of ["client", "target"] as const) {
    const ends = await joined();
    const other = side === "client" ? ends.target : ends.client;
    const closed = once(other, "close");
    other.resume();
    other.on("end", () => other.end());
    ends[side].resetAndDestroy();
    assert.equal((await ends.splice.ended).by, side === "client" ? "downstream" : "upstream");
    await closed;
  }
});

test("it can be closed from here, and streams of other kinds do as well", async () => {
  const { near, far } = await pair();
  const { promise, resolve } = Promise.withResolvers<string>();
  const other = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      resolve(String(chunk));
      done();
    },
  });
  const splice = new Splice(near, other);
  far.write("to the other");
  assert.equal(await promise, "to the other");
  other.push("back");
  assert.equal(String((await once(far, "data"))[0]), "back");
  const gone = once(far, "close");
  far.on("end", () => far.end());
  splice.close();
  await gone;
  assert.deepEqual(await splice.ended, { by: "gateway" });
  assert.ok(other.destroyed);
});
