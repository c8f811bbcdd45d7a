import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeChannelData, decodeWindowAdjust, MSG } from "#ssh/messages";
import { FileWay, fileWindowBytes, type Speaking } from "./file-way.ts";

/** One end of a channel, and all that it was told. */
class End implements Speaking {
  writable = true;
  readonly data: Buffer[] = [];
  readonly sizes: number[] = [];
  granted = 0;
  readonly signals: number[] = [];
  send(payload: Uint8Array): void {
    if (payload[0] === MSG.CHANNEL_WINDOW_ADJUST) this.granted += decodeWindowAdjust(payload).bytes;
    else if (payload[0] === MSG.CHANNEL_DATA) {
      const { data } = decodeChannelData(payload);
      this.data.push(Buffer.from(data));
      this.sizes.push(data.length);
    } else this.signals.push(payload[0] ?? 0);
  }
}

interface Joined {
  readonly from: End;
  readonly to: End;
  readonly way: FileWay;
  held: number;
  waiting: boolean;
}

function way(windowBytes: number, maxPacketBytes: number, grantedBytes = windowBytes): Joined {
  const from = new End();
  const to = new End();
  const joined: Joined = {
    from,
    to,
    held: 0,
    waiting: false,
    way: new FileWay(
      { number: 1, windowBytes: 0, maxPacketBytes: 1, speaking: from },
      { number: 2, windowBytes, maxPacketBytes, speaking: to },
      grantedBytes,
      () => joined.held,
      () => joined.waiting,
    ),
  };
  return joined;
}

const total = (end: End): number => end.sizes.reduce((sum, size) => sum + size, 0);

test("the receiver's window and packet size are kept to, and the rest goes as it is given", () => {
  const { way: one, to } = way(100, 40);
  one.put(Buffer.alloc(250, 7));
  assert.deepEqual(to.sizes, [40, 40, 20]);
  one.adjust(60);
  one.adjust(1000);
  assert.equal(total(to), 250);
  assert.ok(to.sizes.every((size) => size <= 40));
});

test("nothing is sent to who takes no packets, until told", () => {
  const { way: one, to } = way(1000, 1000);
  to.writable = false;
  one.put(Buffer.from("wait"));
  assert.equal(one.passes(1), false, "what waits goes first");
  assert.equal(total(to), 0);
  to.writable = true;
  one.flush();
  assert.equal(Buffer.concat(to.data).toString(), "wait");
});

test("a sender is given what the receiver takes, and no more than the bound", () => {
  const { way: one, from } = way(10 * fileWindowBytes, 32_768, 0);
  one.settle();
  assert.equal(from.granted, fileWindowBytes);
  one.received(fileWindowBytes);
  assert.equal(one.passes(32_768), true);
  one.settle();
  assert.equal(from.granted, 2 * fileWindowBytes);
});

test("a receiver with a small window, and one that takes nothing", () => {
  const small = way(1000, 1000);
  small.way.received(1000);
  assert.equal(small.way.passes(1000), true);
  small.way.settle();
  assert.equal(small.from.granted, 0);
  small.way.adjust(1000);
  assert.equal(small.from.granted, 1000);
  // A packet that is longer than its window must come whole all the same.
  small.way.received(1000);
  small.held = 1000;
  small.way.settle();
  assert.ok(small.from.granted > 300_000);
});

test("a receiver that takes messages of no bytes is sent none", { timeout: 5000 }, () => {
  const { way: one, to } = way(1000, 0);
  one.put(Buffer.from("never"));
  one.adjust(1000);
  assert.deepEqual(to.sizes, []);
});

test("EOF and CLOSE go behind everything, or at once when the channel is given up", () => {
  const { way: one, to } = way(3, 100);
  one.put(Buffer.from("12345"));
  one.end(MSG.CHANNEL_EOF);
  one.end(MSG.CHANNEL_CLOSE);
  assert.deepEqual(to.signals, []);
  one.adjust(10);
  assert.equal(total(to), 5);
  assert.deepEqual(to.signals, [MSG.CHANNEL_EOF, MSG.CHANNEL_CLOSE]);
  one.close();
  one.put(Buffer.from("late"));
  assert.equal(total(to), 5);
  const given = way(0, 100);
  given.way.put(Buffer.from("never"));
  given.way.end(MSG.CHANNEL_CLOSE);
  given.way.close();
  assert.deepEqual(given.to.signals, [MSG.CHANNEL_CLOSE]);
  const busy = way(10, 100);
  busy.waiting = true;
  busy.way.end(MSG.CHANNEL_EOF);
  assert.deepEqual(busy.to.signals, []);
  busy.waiting = false;
  busy.way.settle();
  assert.deepEqual(busy.to.signals, [MSG.CHANNEL_EOF]);
});

test("whatever the order: all bytes arrive, in order, within the windows, and nobody is stuck", () => {
  const step = fc.record({
    bytes: fc.nat(3000),
    adjust: fc.nat(3000),
    writable: fc.boolean(),
    added: fc.nat(50),
  });
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60 }),
      fc.integer({ min: 1, max: 4000 }),
      (steps, windowBytes) => {
        const { way: one, from, to } = way(windowBytes, 700);
        let mayLeft = windowBytes;
        let window = windowBytes;
        let sent = 0;
        const expected: Buffer[] = [];
        for (const { bytes, adjust, writable, added } of steps) {
          to.writable = writable;
          const size = Math.min(bytes, mayLeft + from.granted - sent);
          if (size > 0) {
            const data = Buffer.alloc(size, expected.length);
            sent += size;
            one.received(size);
            expected.push(data);
            if (writable && one.passes(size)) to.send(Buffer.concat([dataHead(size), data]));
            else one.put(data);
          }
          // Packets of our own.
          if (added > 0) {
            expected.push(Buffer.alloc(added, 255));
            one.put(Buffer.alloc(added, 255));
          }
          one.settle();
          window += adjust;
          if (adjust > 0) one.adjust(adjust);
          assert.ok(total(to) <= window, "more than the window");
        }
        mayLeft = 0;
        to.writable = true;
        one.adjust(1_000_000);
        assert.deepEqual(Buffer.concat(to.data), Buffer.concat(expected));
        assert.ok(windowBytes + from.granted > sent, "the sender may go on");
      },
    ),
  );
});

function dataHead(size: number): Buffer {
  const head = Buffer.alloc(9);
  head[0] = MSG.CHANNEL_DATA;
  head.writeUInt32BE(2, 1);
  head.writeUInt32BE(size, 5);
  return head;
}
