import assert from "node:assert/strict";
import { test } from "node:test";
import { bulkReadBytes, ReadPace, type ReadStep, Typing } from "./read-pace.ts";

const bufferBytes = 1024 * 1024;
const packet = 32 * 1024;

/** What is said to reads of so many bytes, so far apart. */
function stepsOf(pace: ReadPace, reads: Iterable<number>, apartMs = 1): ReadStep[] {
  return Array.from(reads, (bytes, n) => pace.after(bytes, bufferBytes, 1000 + n * apartMs));
}

test("what somebody types is never held up, nor what a sender has ready in plenty", () => {
  const reads = [1, 64, bulkReadBytes - 1, bufferBytes / 2, bufferBytes - 1];
  assert.deepEqual(new Set(stepsOf(new ReadPace(), reads)), new Set(["on"]));
});

test("a read that filled the buffer lets the other sockets have their turn", () => {
  assert.deepEqual(stepsOf(new ReadPace(), [bufferBytes, bufferBytes]), ["give-way", "give-way"]);
});

test("bulk data that come in pieces are gathered for as long as that gathers any, longer where they come slowly", () => {
  for (const { apartMs, rest } of [
    { apartMs: 0.5, rest: 1 },
    { apartMs: 1, rest: 2 },
  ]) {
    const reads = [packet, ...Array<number>(1000).fill(3 * packet)];
    const steps = stepsOf(new ReadPace(), reads, apartMs);
    // Of the first, nobody knows yet how fast they come.
    assert.deepEqual(new Set(steps.slice(40)), new Set([rest]));
    assert.ok(steps.every((step) => typeof step === "number"));
  }
});

test("a peer that waits for an answer to each packet is made to wait ever more seldom", () => {
  const pauses = stepsOf(new ReadPace(), Array<number>(10_000).fill(packet)).filter((step) => step !== "on");
  // Four of the first 104, of the next 204, and so on.
  assert.ok(pauses.length >= 28 && pauses.length <= 36, `${pauses.length} pauses`);
});

test("a peer that did wait and does no longer is gathered from again", () => {
  const pace = new ReadPace();
  let step = stepsOf(pace, Array<number>(10_000).fill(packet)).at(-1);
  const steps = Array.from({ length: 4000 }, () => {
    step = pace.after(step === "on" ? packet : 3 * packet, bufferBytes, 20_000);
    return step;
  });
  assert.ok(steps.slice(-100).every((last) => typeof last === "number"));
});

test("a busy moment does not end the gathering", () => {
  const reads = Array.from({ length: 200 }, (_, n) => (n % 4 === 1 ? 3 * packet : packet));
  assert.ok(stepsOf(new ReadPace(), reads).every((step) => typeof step === "number"));
});

test("somebody types when little comes on a socket that moves no bulk data", () => {
  const typing = new Typing();
  const never = Number.NEGATIVE_INFINITY;
  assert.equal(typing.going(0), "no");
  typing.note(bulkReadBytes, never, 1);
  assert.equal(typing.going(1), "no");
  // The other end of a download: it says now and then that it takes more.
  typing.note(36, 5_000, 5_010);
  assert.equal(typing.going(5_010), "no");
  typing.note(36, never, 5_020);
  assert.equal(typing.going(5_021), "just now");
  assert.equal(typing.going(5_100), "on and off");
  assert.equal(typing.going(7_000), "no");
});
