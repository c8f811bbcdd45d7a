import assert from "node:assert/strict";
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
