import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { duplexPair } from "node:stream";
import { test } from "node:test";
import { FakeClock } from "#test/support/fake-clock";
import { ByteBucket, Pacer } from "./pacer.ts";
import { Throttled } from "./throttled.ts";

class Stand {
  readonly clock = new FakeClock();
  readonly pacer = new Pacer(this.clock);
  share = 1;

  bucket(perSecond: number): ByteBucket {
    return new ByteBucket(perSecond, () => this.share, this.clock.monotonic());
  }

  /** What passes until the time is up, whoever waits. */
  async after(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 20) {
      this.clock.advance(20);
      // Streams go on in later turns of the event loop.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

/** Grants until nobody is served at once. */
function greedy(stand: Stand, buckets: readonly ByteBucket[]): { bytes: number } {
  const got = { bytes: 0 };
  const more = (): void => {
    stand.pacer.ask(buckets, 64 * 1024, (bytes) => {
      got.bytes += bytes;
      // Not at once: a burst would be one deep recursion.
      setImmediate(more);
    });
  };
  more();
  return got;
}

test("bytes pass at the rate of the bucket, after a burst", async () => {
  const stand = new Stand();
  const got = greedy(stand, [stand.bucket(1_000_000)]);
  await stand.after(10_000);
  assert.ok(Math.abs(got.bytes - 10_250_000) < 200_000, String(got.bytes));
});

test("those who share a bucket have the same of it, and a narrower one of one's own counts too", async () => {
  const stand = new Stand();
  const all = stand.bucket(900_000);
  const flows = [greedy(stand, [all]), greedy(stand, [all]), greedy(stand, [all, stand.bucket(100_000)])];
  await stand.after(10_000);
  const [one = 0, two = 0, narrow = 0] = flows.map(({ bytes }) => bytes);
  assert.ok(Math.abs(narrow - 1_025_000) < 100_000, `narrow: ${narrow}`);
  assert.ok(Math.abs(one - two) < 400_000 && one > 3_500_000 && one < 4_500_000, `${one}, ${two}`);
});

test("a process uses its part alone", async () => {
  const stand = new Stand();
  stand.share = 0.25;
  const got = greedy(stand, [stand.bucket(1_000_000)]);
  await stand.after(10_000);
  assert.ok(Math.abs(got.bytes - 2_500_000) < 200_000, String(got.bytes));
});

test("who leaves waits no longer, and the others go on", async () => {
  const stand = new Stand();
  const bucket = stand.bucket(100_000);
  bucket.take(bucket.has(0));
  let served = false;
  stand.pacer.ask([bucket], 1000, () => (served = true))[Symbol.dispose]();
  const other = greedy(stand, [bucket]);
  await stand.after(1000);
  assert.ok(!served);
  assert.ok(other.bytes > 50_000);
  assert.ok(bucket.waiting <= 1);
});

test("a throttled stream loses nothing, holds its pace both ways, and ends as the one within", async () => {
  const stand = new Stand();
  const [near, far] = duplexPair();
  const stream = new Throttled(near, {
    pacer: stand.pacer,
    inbound: [stand.bucket(1_000_000)],
    outbound: [stand.bucket(1_000_000)],
  });
  const up = randomBytes(2_000_000);
  const down = randomBytes(1_500_000);
  const gathered: { at: Buffer[]; far: Buffer[] } = { at: [], far: [] };
  stream.on("data", (chunk: Buffer) => gathered.at.push(chunk));
  far.on("data", (chunk: Buffer) => gathered.far.push(chunk));
  const ended = Promise.all([once(stream, "end"), once(far, "end"), once(stream, "close")]);
  stream.end(up);
  far.end(down);
  await stand.after(1000);
  const so = [Buffer.concat(gathered.at).length, Buffer.concat(gathered.far).length];
  for (const bytes of so) assert.ok(bytes > 1_000_000 && bytes < 1_350_000, so.join());
  await stand.after(2000);
  await ended;
  assert.ok(Buffer.concat(gathered.far).equals(up));
  assert.ok(Buffer.concat(gathered.at).equals(down));
  assert.ok(near.destroyed);
});

test("whoever does not read holds up the stream within", async () => {
  const stand = new Stand();
  const [near, far] = duplexPair();
  const fast = [stand.bucket(1_000_000_000)];
  const stream = new Throttled(near, { pacer: stand.pacer, inbound: fast, outbound: fast });
  let taken = 0;
  const chunk = Buffer.alloc(16 * 1024);
  const write = (): void => void far.write(chunk, () => (taken++ < 1000 ? write() : undefined));
  write();
  await stand.after(1000);
  assert.ok(taken < 20, `${taken} chunks were taken although nobody reads`);
  stream.resume();
  await stand.after(1000);
  assert.ok(taken > 20);
  stream.destroy();
  assert.ok(near.destroyed);
});
