import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { byteStreamOf } from "./byte-stream.ts";

async function pair(): Promise<{ near: Socket; far: Socket }> {
  const server = createServer({ pauseOnConnect: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const far = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [near] = (await once(server, "connection")) as [Socket];
  server.close();
  return { near, far };
}

test("while somebody types on one socket, reads of another are short", async (t) => {
  let now = 1_000;
  t.mock.method(performance, "now", () => now);
  const [typed, bulk] = [await pair(), await pair()];
  const seen = Promise.withResolvers<void>();
  const typedStream = byteStreamOf(typed.near);
  typedStream.start(
    () => seen.resolve(),
    () => {},
  );
  // Later than what belongs to the beginning of a connection.
  now += 10_000;
  typed.far.write("k");
  await seen.promise;
  const reads: number[] = [];
  const all = 16 * 1024 * 1024;
  let left = all;
  const whole = Promise.withResolvers<void>();
  const bulkStream = byteStreamOf(bulk.near);
  bulkStream.start(
    (_bytes, start, end) => {
      reads.push(end - start);
      left -= end - start;
      if (left === 0) whole.resolve();
    },
    () => {},
  );
  bulk.far.write(Buffer.alloc(all));
  await whole.promise;
  assert.ok(reads.length >= 64, `${reads.length} reads`);
  assert.ok(Math.max(...reads) <= 256 * 1024);
  for (const stream of [typedStream, bulkStream]) stream.destroy();
  for (const { far } of [typed, bulk]) far.destroy();
});

/** Reads all, pausing behind each steady read until another socket has read; gives the bytes as they were after that. */
async function passedOn(all: Buffer): Promise<{ bytes: Buffer; steady: number }> {
  const [passing, other] = [await pair(), await pair()];
  const stream = byteStreamOf(passing.near, undefined, true);
  const otherStream = byteStreamOf(other.near);
  let otherRead = (): void => {};
  otherStream.start(
    () => otherRead(),
    () => {},
  );
  const pieces: Buffer[] = [];
  let [left, steadyReads] = [all.length, 0];
  const whole = Promise.withResolvers<void>();
  const keep = (piece: Uint8Array): void => {
    pieces.push(Buffer.from(piece));
    left -= piece.length;
    if (left === 0) whole.resolve();
  };
  stream.start(
    (bytes, start, end, steady) => {
      const piece = bytes.subarray(start, end);
      if (!steady) {
        keep(piece);
        return;
      }
      steadyReads++;
      stream.pause();
      otherRead = () => {
        otherRead = () => {};
        keep(piece);
        stream.resume();
      };
      other.far.write(Buffer.alloc(300_000, "x"));
    },
    () => {},
  );
  passing.far.write(all);
  await whole.promise;
  for (const end of [stream, otherStream]) end.destroy();
  for (const { far } of [passing, other]) far.destroy();
  return { bytes: Buffer.concat(pieces), steady: steadyReads };
}

test("who passes bytes on is lent a buffer that no other socket reads into, and it goes back with the socket", async () => {
  const all = randomBytes(4 * 1024 * 1024);
  // More of them, one after the other, than there are such buffers.
  for (let n = 0; n < 17; n++) {
    const { bytes, steady } = await passedOn(all);
    assert.ok(bytes.equals(all));
    assert.ok(steady > 0, `socket ${n} had none`);
  }
});
