import assert from "node:assert/strict";
import { test } from "node:test";
import { Rounds } from "#base";
import type { ConnectionMux } from "#ssh/connection";
import type { PacketConn } from "#ssh/transport";
import { fakeClock } from "#test/support/fake-clock";
import { heartbeat as watch } from "./heartbeat.ts";

/** A connection that only counts. */
function stand(probed: boolean, random = 0) {
  const clock = fakeClock();
  const gathered = { bytes: 0 };
  const conn = {
    bytesIn: 0,
    bytesOut: 0,
    writable: true,
    flush: () => {
      conn.bytesOut += gathered.bytes;
      gathered.bytes = 0;
    },
  };
  const seen = { asked: 0, ended: 0 };
  const mux = {
    probe: () => {
      seen.asked++;
      gathered.bytes += 36;
    },
    disconnect: () => void seen.ended++,
  };
  const heartbeat = watch(
    mux as unknown as ConnectionMux,
    { conn: conn as PacketConn, keepalive: { intervalMs: 10_000, maxMissed: 2 }, probed },
    clock,
    () => random,
  );
  return {
    clock,
    conn,
    gathered,
    seen,
    heartbeat,
    intervals: (count: number): void => clock.advance(count * 10_200),
  };
}

test("who is silent is asked in each interval, and given up after two questions", () => {
  const { seen, intervals } = stand(false);
  intervals(1);
  assert.deepEqual(seen, { asked: 1, ended: 0 });
  intervals(1);
  assert.deepEqual(seen, { asked: 2, ended: 0 });
  intervals(1);
  assert.equal(seen.ended, 1);
});

test("who is probed by the kernel is asked in the sixth interval, and then in each until it answers", () => {
  const { seen, conn, intervals } = stand(true);
  intervals(5);
  assert.equal(seen.asked, 0);
  intervals(1);
  assert.equal(seen.asked, 1);
  conn.bytesIn += 36;
  intervals(5);
  assert.equal(seen.asked, 1);
  intervals(2);
  assert.deepEqual(seen, { asked: 2, ended: 0 });
  intervals(1);
  assert.deepEqual(seen, { asked: 3, ended: 0 });
  intervals(1);
  assert.equal(seen.ended, 1);
});

test("where thousands are probed, each is asked less often, and not all at the same time", () => {
  const { clock, conn, seen, intervals } = stand(true, 0.5);
  const rounds = Rounds.of(clock, 10_000);
  using many = new DisposableStack();
  for (let n = 1; n < 2000; n++) many.use(rounds.join(() => {}));
  // Ten intervals for each, and this one is in the midst of them when it comes.
  const asked: number[] = [];
  for (let n = 1; n <= 40; n++) {
    const before = seen.asked;
    intervals(1);
    if (seen.asked > before) {
      asked.push(n);
      conn.bytesIn += 36;
    }
  }
  assert.deepEqual(asked, [15, 25, 35]);
  assert.equal(seen.ended, 0);
});

test("however many there are, each is asked in fifty intervals", () => {
  const { clock, seen } = stand(true);
  const rounds = Rounds.of(clock, 10_000);
  using many = new DisposableStack();
  for (let n = 1; n < 50_000; n++) many.use(rounds.join(() => {}));
  clock.advance(495_000);
  assert.equal(seen.asked, 0);
  clock.advance(10_000);
  assert.equal(seen.asked, 1);
  // Who does not answer is gone as soon as anywhere.
  clock.advance(20_000);
  assert.equal(seen.ended, 1);
});

test("where something was sent and nothing came, the kernel's probes do not count: it does not probe then", () => {
  const { seen, conn, intervals } = stand(true);
  conn.bytesOut += 1000;
  intervals(1);
  assert.equal(seen.asked, 1);
  intervals(2);
  assert.equal(seen.ended, 1);
});

test("a question is written at once, so that no buffer waits for the end of the turn", () => {
  const { seen, conn, gathered, intervals } = stand(false);
  intervals(1);
  assert.deepEqual([seen.asked, conn.bytesOut, gathered.bytes], [1, 36, 0]);
});
