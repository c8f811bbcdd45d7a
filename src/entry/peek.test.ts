import assert from "node:assert/strict";
import { once } from "node:events";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { FakeClock } from "#test/support/fake-clock";
import { peek, type PeekOptions } from "./peek.ts";

function options(more: Partial<PeekOptions> = {}): PeekOptions & { clock: FakeClock } {
  const { signal } = new AbortController();
  const clock = new FakeClock();
  const found = { enough: (bytes: Uint8Array) => bytes.includes(0x0a), maxBytes: 16, signal, ...more };
  return { ...found, clock };
}

test("what was looked at is there for the next reader, whatever its chunks", async () => {
  const stream = new PassThrough();
  const peeking = peek(stream, options());
  for (const piece of ["he", "ll", "o\nwor"]) stream.write(piece);
  const { bytes, why } = await peeking;
  assert.equal(why, "enough");
  assert.equal(Buffer.from(bytes).toString(), "hello\nwor");
  // A second look sees the same.
  assert.equal(Buffer.from((await peek(stream, options())).bytes).toString(), "hello\nwor");
  stream.end("ld");
  assert.equal(Buffer.concat(await stream.toArray()).toString(), "hello\nworld");
});

test("more than the bound is not waited for", async () => {
  const stream = new PassThrough();
  const peeking = peek(stream, options());
  stream.write("x".repeat(20));
  assert.equal((await peeking).why, "full");
});

test("silence ends the wait for the first byte, and not the wait for the others", async () => {
  const stream = new PassThrough();
  const silent = options({ silentMs: 100 });
  const peeking = peek(stream, silent);
  silent.clock.advance(100);
  assert.deepEqual(await peeking, { bytes: Buffer.alloc(0), why: "silent" });
  const begun = options({ silentMs: 100 });
  const second = peek(stream, begun);
  stream.write("x");
  await once(stream, "readable");
  begun.clock.advance(1000);
  stream.write("\n");
  assert.equal((await second).why, "enough");
});

test("a stream that ends, and whoever gives up", async () => {
  const ended = new PassThrough();
  const peeking = peek(ended, options());
  ended.end("half a line");
  const { bytes, why } = await peeking;
  assert.equal(why, "closed");
  assert.equal(Buffer.from(bytes).toString(), "half a line");
  const controller = new AbortController();
  const second = peek(new PassThrough(), options({ signal: controller.signal }));
  controller.abort();
  assert.equal((await second).why, "closed");
  const gone = new PassThrough();
  gone.destroy();
  assert.equal((await peek(gone, options())).why, "closed");
});

test("what the test of the bytes throws is thrown, and the bytes are put back", async () => {
  const stream = new PassThrough();
  const boom = (): boolean => {
    throw new Error("boom");
  };
  const peeking = peek(stream, options({ enough: boom }));
  stream.write("x");
  await assert.rejects(peeking, /boom/);
  assert.equal(String(stream.read()), "x");
});

test("what came while the process was held up is no silence", async () => {
  const [near, far] = [new PassThrough(), new PassThrough()];
  const held = options({ silentMs: 100 });
  const peeking = peek(far, held);
  near.pipe(far);
  // The wait is over in the same turn of the loop in which the bytes are read.
  setImmediate(() => near.write("x\n"));
  held.clock.advance(100);
  assert.equal((await peeking).why, "enough");
});

test("a wait for the whole ends with what there is by then", async () => {
  const stream = new PassThrough();
  const limited = options({ limitMs: 100 });
  const peeking = peek(stream, limited);
  stream.write("half");
  await once(stream, "readable");
  limited.clock.advance(100);
  const { bytes, why } = await peeking;
  assert.deepEqual([Buffer.from(bytes).toString(), why], ["half", "silent"]);
  assert.equal(String(stream.read()), "half");
});
