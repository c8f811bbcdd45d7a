import assert from "node:assert/strict";
import { test } from "node:test";
import { cipherAlgorithms, plainSealer, systemRandom } from "#ssh/algorithms";
import { InboundFramer, OutboundFramer } from "./framer.ts";
import type { PacketView } from "./packet-conn.ts";

/** Packets as they are before there are keys, or after, each filled with one byte of its own. */
function packets(
  fill: readonly number[],
  bytes: number,
  framer: OutboundFramer = new OutboundFramer(systemRandom),
): Uint8Array {
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

const zeros = (bytes: number): Uint8Array => new Uint8Array(bytes);

/** Two ends of one direction under the same keys. */
function keyed(name: string): { outbound: OutboundFramer; inbound: InboundFramer } {
  const cipher = cipherAlgorithms.get(name);
  assert.ok(cipher !== undefined);
  const { keyBytes, ivBytes } = cipher;
  const [outbound, inbound] = [new OutboundFramer(systemRandom), new InboundFramer()];
  outbound.install(cipher.sealer(zeros(keyBytes), zeros(ivBytes)), true);
  inbound.install(cipher.opener(zeros(keyBytes), zeros(ivBytes)), true);
  return { outbound, inbound };
}

function viewOf(lender?: InboundFramer): PacketView {
  const view = { bytes: zeros(0), start: 0, end: 0, padding: 0 };
  return lender === undefined ? view : { ...view, lender };
}

/** Ways in which lent bytes go. */
const gone: Readonly<Record<string, (near: InboundFramer) => void>> = {
  hold: (near) => near.hold(),
  receive: (near) => near.receive(zeros(0), 0, 0),
  wipe: (near) => near.wipe(),
};

for (const cipher of ["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com"]) {
  for (const [way, go] of Object.entries(gone)) {
    test(`${cipher}: packets passed on are sealed before the bytes that they lie in go by ${way}`, () => {
      const far = [keyed(cipher), keyed(cipher)] as const;
      const { inbound: near, outbound: peer } = keyed(cipher);
      const chunk = packets([1, 2, 3, 4, 5], 6008, peer);
      const view = viewOf(near);
      near.receive(chunk, 0, chunk.length);
      const [first, second] = far;
      for (const { outbound } of [first, first, second, first]) {
        assert.ok(near.next(view, false));
        outbound.forward(view);
        // One of its own among those passed on: it lies elsewhere.
        if (first.outbound.packets === 1) outbound.payload(new Uint8Array(64).fill(9), 0, 64);
      }
      go(near);
      chunk.fill(0xff);
      const found = far.map(({ outbound, inbound }) => {
        const wire = Buffer.concat(outbound.take());
        inbound.receive(wire, 0, wire.length);
        const all: string[] = [];
        for (let next = shown(inbound); next !== "none"; next = shown(inbound)) all.push(next);
        return all;
      });
      assert.deepEqual(found, [["6008 of 1", "64 of 9", "6008 of 2", "6008 of 4"], ["6008 of 3"]]);
    });
  }

  test(`${cipher}: a packet that nobody lends is copied at once`, () => {
    const { outbound, inbound } = keyed(cipher);
    const { inbound: near, outbound: peer } = keyed(cipher);
    const chunk = packets([1], 6008, peer);
    const view = viewOf();
    near.receive(chunk, 0, chunk.length);
    assert.ok(near.next(view, false));
    outbound.forward(view);
    chunk.fill(0xff);
    const wire = Buffer.concat(outbound.take());
    inbound.receive(wire, 0, wire.length);
    assert.equal(shown(inbound), "6008 of 1");
  });
}

test("what a cipher failed to seal is never taken", () => {
  const outbound = new OutboundFramer(systemRandom);
  const finish = (): void => {
    throw new Error("not sealed");
  };
  outbound.install(Object.assign(plainSealer(), { finish }), true);
  outbound.payload(zeros(8), 0, 8);
  outbound.settle();
  for (let n = 0; n < 2; n++) assert.throws(() => outbound.take(), /not sealed/);
});
