import assert from "node:assert/strict";
import { test } from "node:test";
import type { PacketView } from "#ssh/transport";
import { passing, type Tap, TapTable, type TapVerdict } from "./taps.ts";

const packet: PacketView = { bytes: new Uint8Array([0]), start: 0, end: 1, padding: 0 };
const dropping: TapVerdict = { kind: "replace", payloads: [] };
const replying: TapVerdict = { kind: "reply", payloads: [] };

/** A tap that notes its name each time, and what it was told of others. */
function noting(seen: string[], name: string, numbers: readonly number[], verdict: TapVerdict): Tap {
  return {
    numbers,
    see: () => {
      seen.push(name);
      return verdict;
    },
    stopped: () => seen.push(`${name} stopped`),
  };
}

test("each number has the taps that asked for it, and no other has any", () => {
  const seen: string[] = [];
  const table = new TapTable([
    noting(seen, "first", [90, 97], passing),
    noting(seen, "second", [97, 94], dropping),
  ]);
  for (let number = 0; number < 256; number++) {
    seen.length = 0;
    const verdict = table.see(number, packet);
    const due = { 90: ["first"], 94: ["second"], 97: ["first", "second"] }[number] ?? [];
    assert.deepEqual(seen, due, `number ${number}`);
    assert.equal(verdict, number === 94 || number === 97 ? dropping : passing, `number ${number}`);
  }
});

test("the lowest and the highest number that there is", () => {
  const seen: string[] = [];
  const table = new TapTable([noting(seen, "ends", [255, 0], dropping)]);
  assert.equal(table.see(0, packet), dropping);
  assert.equal(table.see(255, packet), dropping);
  assert.equal(table.see(128, packet), passing);
  assert.deepEqual(seen, ["ends", "ends"]);
});

test("without taps everything passes", () => {
  const table = new TapTable([]);
  for (let number = 0; number < 256; number++) assert.equal(table.see(number, packet), passing);
});

test("a tap that lets pass is told that one after it has answered, and the one behind sees nothing", () => {
  const seen: string[] = [];
  const table = new TapTable([
    noting(seen, "first", [90], passing),
    noting(seen, "second", [90], replying),
    noting(seen, "third", [90], passing),
  ]);
  assert.equal(table.see(90, packet), replying);
  assert.deepEqual(seen, ["first", "second", "first stopped"]);
});
