import assert from "node:assert/strict";
import { test } from "node:test";
import { fakeClock } from "#test/support/fake-clock";
import { FailureDelays } from "./failure-delays.ts";

function delays(random: () => number = () => 0): FailureDelays {
  return new FailureDelays({ clock: fakeClock(), secret: Buffer.from("key"), passwordFloorMs: 1000, random });
}

test("a name has always the same shadow, and names spread over all of them", () => {
  const choices = ["a", "b", "c"];
  const names = Array.from({ length: 100 }, (_, n) => `user${n}`);
  const first = names.map((name) => delays().shadow(name, choices));
  const second = names.map((name) => delays().shadow(name, choices));
  assert.deepEqual(first, second);
  assert.deepEqual(new Set(first), new Set(choices));
  assert.equal(delays().shadow("x", []), undefined);
});

test("no refusal is told before the name's floor, nor between the steps above it", () => {
  const made = delays();
  const floor = made.dueMs("ada", "first-password", 0);
  assert.ok(floor >= 1000 && floor <= 1250);
  assert.equal(made.dueMs("ada", "next-password", floor), floor);
  const above = made.dueMs("ada", "first-password", floor + 1);
  assert.equal(above, floor * 1.25);
  assert.equal(made.dueMs("ada", "first-password", floor * 1.2), above);
  assert.ok(made.dueMs("ada", "first-password", 10_000) >= 10_000);
  assert.ok(made.dueMs("ada", "key", 0) < 20);
});

test("samples are drawn from the rule's recent times, old ones are forgotten", () => {
  let dice = 0;
  const made = delays(() => dice);
  assert.equal(made.sample("web", "first-password"), 0);
  made.record("web", "first-password", 111);
  made.record("web", "first-password", 222);
  made.record("db", "first-password", 999);
  assert.equal(made.sample("web", "first-password"), 111);
  assert.equal(
    made.sample("web", "next-password"),
    111,
    "until a second try was seen, a first stands for it",
  );
  dice = 0.99;
  assert.equal(made.sample("web", "first-password"), 222);
  for (let n = 0; n < 100; n++) made.record("web", "first-password", 333);
  dice = 0;
  assert.equal(made.sample("web", "first-password"), 333);
});

test("waiting lasts until the due time, or until it is given up", async () => {
  const clock = fakeClock();
  const made = new FailureDelays({ clock, secret: Buffer.from("key"), passwordFloorMs: 1000 });
  const started = clock.monotonic();
  let done = false;
  const waiting = made.wait("ada", "first-password", started, 3000, new AbortController().signal);
  void waiting.then(() => {
    done = true;
  });
  clock.advance(2999);
  await Promise.resolve();
  assert.equal(done, false);
  clock.advance(1000);
  await waiting;
  const controller = new AbortController();
  const aborted = made.wait("ada", "first-password", clock.monotonic(), 0, controller.signal);
  controller.abort();
  await aborted;
  assert.equal(clock.pending, 0);
});
