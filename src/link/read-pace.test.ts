import assert from "node:assert/strict";
import { test } from "node:test";
import { bulkReadBytes, ReadPace } from "./read-pace.ts";

const bufferBytes = 1024 * 1024;
const packet = 32 * 1024;

test("what somebody types is never held up, nor what a sender has ready in plenty", () => {
  const pace = new ReadPace(bufferBytes);
  for (const bytes of [1, 64, bulkReadBytes - 1, bufferBytes / 2, bufferBytes - 1])
    assert.equal(pace.after(bytes), "on");
});

test("a read that filled the buffer lets the other sockets have their turn", () => {
  const pace = new ReadPace(bufferBytes);
  assert.equal(pace.after(bufferBytes), "give-way");
  assert.equal(pace.after(bufferBytes), "give-way");
});

test("bulk data that trickle in are gathered for as long as that gathers any", () => {
  const pace = new ReadPace(bufferBytes);
  assert.equal(pace.after(packet), "pause");
  for (let n = 0; n < 1000; n++) assert.equal(pace.after(3 * packet), "pause");
});

test("a peer that waits for an answer to each packet is not made to wait for more of them", () => {
  const pace = new ReadPace(bufferBytes);
  const steps = Array.from({ length: 1040 }, () => pace.after(packet));
  const pauses = steps.filter((step) => step === "pause").length;
  assert.ok(pauses >= 30 && pauses <= 60, `${pauses} pauses`);
});

test("a busy moment does not end the gathering", () => {
  const pace = new ReadPace(bufferBytes);
  assert.equal(pace.after(packet), "pause");
  for (let n = 0; n < 200; n++) assert.equal(pace.after(n % 4 === 0 ? 2 * packet : packet), "pause");
});
