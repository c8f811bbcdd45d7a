import assert from "node:assert/strict";
import { test } from "node:test";
import { fakeClock } from "#test/support/fake-clock";
import { systemClock } from "./clock.ts";

test("the system's clock calls once, and not after it was stopped", async () => {
  const calls: string[] = [];
  using stopped = systemClock.after(1, () => calls.push("stopped"));
  stopped[Symbol.dispose]();
  await new Promise<void>((resolve) => {
    systemClock.after(0, () => calls.push("called"));
    // Its timers keep no process alive, so this one must.
    setTimeout(resolve, 20);
  });
  assert.deepEqual(calls, ["called"]);
});

test("a delay longer than setTimeout can hold does not fire at once", async () => {
  let fired = false;
  const timer = systemClock.after(2 ** 40, () => {
    fired = true;
  });
  await new Promise((resolve) => {
    setTimeout(resolve, 10);
  });
  timer[Symbol.dispose]();
  assert.equal(fired, false);
});

test("the fake clock moves only when told", () => {
  const clock = fakeClock(1000);
  const calls: string[] = [];
  clock.after(20, () => calls.push(`b at ${clock.now()}`));
  clock.after(10, () => {
    calls.push(`a at ${clock.monotonic()}`);
    clock.after(5, () => calls.push(`c at ${clock.monotonic()}`));
  });
  const never = clock.after(15, () => calls.push("never"));
  never[Symbol.dispose]();
  const late = clock.after(5, () => calls.push(`late at ${clock.monotonic()}`));
  clock.advance(4);
  late.refresh();
  assert.deepEqual(calls, []);
  clock.advance(16);
  assert.deepEqual(calls, ["late at 9", "a at 10", "c at 15", "b at 1020"]);
  assert.equal(clock.pending, 0);
  clock.jump(5);
  assert.equal(clock.now(), 5);
  assert.equal(clock.monotonic(), 20);
});
