import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConnectionMux } from "#ssh/connection";
import type { PacketConn } from "#ssh/transport";
import { fakeClock } from "#test/support/fake-clock";
import { Heartbeat } from "./heartbeat.ts";

/** A connection that only counts. */
function stand(probed: boolean) {
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
    request: async () => {
      seen.asked++;
      gathered.bytes += 36;
      return { success: false, data: new Uint8Array(0) };
    },
    disconnect: () => void seen.ended++,
  };
  const heartbeat = new Heartbeat(
    mux as unknown as ConnectionMux,
    { conn: conn as PacketConn, keepalive: { intervalMs: 10_000, maxMissed: 2 }, probed },
    clock,
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
