import assert from "node:assert/strict";
import { test } from "node:test";
import { bulkReadBytes, ReadPace, Typing } from "./read-pace.ts";

const bufferBytes = 1024 * 1024;
const packet = 32 * 1024;

test("what somebody types is never held up, nor what a sender has ready in plenty", () => {
  const pace = new ReadPace();
  for (const bytes of [1, 64, bulkReadBytes - 1, bufferBytes / 2, bufferBytes - 1])
    assert.equal(pace.after(bytes, bufferBytes), "on");
});

test("a read that filled the buffer lets the other sockets have their turn", () => {
  const pace = new ReadPace();
  assert.equal(pace.after(bufferBytes, bufferBytes), "give-way");
  assert.equal(pace.after(bufferBytes, bufferBytes), "give-way");
});

test("bulk data that trickle in are gathered for as long as that gathers any", () => {
  const pace = new ReadPace();
  assert.equal(pace.after(packet, bufferBytes), "pause");
  for (let n = 0; n < 1000; n++) assert.equal(pace.after(3 * packet, bufferBytes), "pause");
});

test("a peer that waits for an answer to each packet is not made to wait for more of them", () => {
  const pace = new ReadPace();
  const steps = Array.from({ length: 1040 }, () => pace.after(packet, bufferBytes));
  const pauses = steps.filter((step) => step === "pause").length;
  assert.ok(pauses >= 30 && pauses <= 60, `${pauses} pauses`);
});

test("a busy moment does not end the gathering", () => {
  const pace = new ReadPace();
  assert.equal(pace.after(packet, bufferBytes), "pause");
  for (let n = 0; n < 200; n++)
    assert.equal(pace.after(n % 4 === 0 ? 2 * packet : packet, bufferBytes), "pause");
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
