import assert from "node:assert/strict";
import { test } from "node:test";
import { fakeClock } from "#test/support/fake-clock";
import { Rounds } from "./rounds.ts";

test("each is called once in each interval, the first time a fiftieth of it early at most, whenever it came", () => {
  const clock = fakeClock();
  const rounds = Rounds.of(clock, 1000);
  const calls: number[][] = [];
  for (const atMs of [0, 7, 333, 999, 1450]) {
    clock.advance(atMs - clock.monotonic());
    const mine: number[] = [];
    calls.push(mine);
    rounds.join(() => mine.push(clock.monotonic() - atMs));
  }
  clock.advance(10_000 - clock.monotonic());
  for (const mine of calls) {
    assert.ok(mine.length >= 8, `${mine.length} calls`);
    for (const [n, ms] of mine.entries())
      assert.ok(ms > (n + 1) * 1000 - 20 && ms <= (n + 1) * 1000, `${n}: ${ms}`);
  }
});

test("who has left is not called, also when it leaves in the midst of a call; without anybody no timer runs", () => {
  const clock = fakeClock();
  const rounds = Rounds.of(clock, 1000);
  let first = 0;
  let second = 0;
  const a = rounds.join(() => {
    first++;
    a[Symbol.dispose]();
    b[Symbol.dispose]();
  });
  const b = rounds.join(() => second++);
  clock.advance(5000);
  assert.deepEqual([first, second], [1, 0]);
  assert.equal(clock.pending, 0);
  a[Symbol.dispose]();
  let again = 0;
  using _ = rounds.join(() => again++);
  clock.advance(3000);
  assert.equal(again, 3);
});

test("those of one clock and interval share their timer", () => {
  const clock = fakeClock();
  assert.equal(Rounds.of(clock, 1000), Rounds.of(clock, 1000));
  assert.notEqual(Rounds.of(clock, 1000), Rounds.of(clock, 2000));
  assert.notEqual(Rounds.of(clock, 1000), Rounds.of(fakeClock(), 1000));
});
