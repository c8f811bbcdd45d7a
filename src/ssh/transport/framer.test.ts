import assert from "node:assert/strict";
import { test } from "node:test";
import { systemRandom } from "#ssh/algorithms";
import { InboundFramer, OutboundFramer } from "./framer.ts";
import type { PacketView } from "./packet-conn.ts";

/** Packets as they are before there are keys, each filled with one byte of its own. */
function packets(fill: readonly number[], bytes: number): Uint8Array {
  const framer = new OutboundFramer(systemRandom);
  for (const value of fill) framer.payload(new Uint8Array(bytes).fill(value), 0, bytes);
  return Buffer.concat(framer.take());
}

function shown(framer: InboundFramer): string {
  const view: PacketView = { bytes: new Uint8Array(0), start: 0, end: 0, padding: 0 };
  if (!framer.next(view, false)) return "none";
  const values = new Set(view.bytes.subarray(view.start, view.end));
  return `${view.end - view.start} of ${[...values].join()}`;
}

test("packets that were held and opened stay as they are while others hold theirs", () => {
  const bytes = 6000;
  const near = new InboundFramer();
  const first = packets([1, 2, 3], bytes);
  near.receive(first, 0, first.length);
  near.hold();
  assert.equal(shown(near), `${bytes} of 1`);
  // Two are opened and not shown yet; more comes, which is held as well.
  const more = packets([4, 4, 4], bytes);
  near.receive(more, 0, more.length);
  near.hold();
  for (let n = 0; n < 20; n++) {
    const other = new InboundFramer();
    const noise = packets([9, 9, 9], bytes);
    other.receive(noise, 0, noise.length);
    other.hold();
  }
  for (const value of [2, 3, 4, 4, 4]) assert.equal(shown(near), `${bytes} of ${value}`);
  assert.equal(shown(near), "none");
});

test("a packet that comes in pieces of any size is whole in the end, whatever lies before each piece", () => {
  const sent = packets([5, 6], 40_000);
  for (const piece of [1000, 5000, 30_000, 70_000]) {
    const framer = new InboundFramer();
    const found: string[] = [];
    for (let at = 0; at < sent.length; at += piece) {
      // Room before the piece at times, as a read leaves it.
      const room = at % 3 === 0 ? 100_000 : 0;
      const lent = new Uint8Array(room + piece);
      const end = room + Math.min(piece, sent.length - at);
      lent.set(sent.subarray(at, at + piece), room);
      framer.receive(lent, room, end);
      for (let next = shown(framer); next !== "none"; next = shown(framer)) found.push(next);
      framer.hold();
      lent.fill(0xff);
    }
    assert.deepEqual(found, ["40000 of 5", "40000 of 6"]);
  }
});
