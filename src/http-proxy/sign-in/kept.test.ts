import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "#test/support/fake-clock";
import { Kept } from "./kept.ts";

const from = (ip: string): { readonly ip: string; readonly text: string } => ({ ip, text: ip });

test("where the table is full, the network with the most makes room, its oldest first", () => {
  const kept = new Kept<number>({ clock: new FakeClock(), lifeMs: 100, max: 5, maxPerNetwork: 4 });
  const ada = kept.put(0, from("192.0.2.1"));
  const crowd = [1, 2, 3].map((each) => kept.put(each, from("198.51.100.1")));
  kept.put(4, from("192.0.2.2"));
  const bob = kept.put(5, from("192.0.2.3"));
  assert.deepEqual(
    [ada, bob, ...crowd].map((name) => kept.find(name)),
    [0, 5, undefined, 2, 3],
  );
  assert.equal(kept.size, 5);
});

test("taken once, found until its time is over", () => {
  const clock = new FakeClock();
  const kept = new Kept<string>({ clock, lifeMs: 100, max: 5, maxPerNetwork: 4 });
  const name = kept.put("a", from("192.0.2.1"));
  assert.match(name, /^[\w-]{43}$/);
  assert.equal(kept.find(name), "a");
  assert.equal(kept.take(name), "a");
  assert.equal(kept.take(name), undefined);
  const late = kept.put("b", from("192.0.2.1"), "its own name");
  assert.equal(late, "its own name");
  clock.advance(99);
  assert.equal(kept.find(late), "b");
  clock.advance(1);
  assert.equal(kept.take(late), undefined);
  assert.equal(kept.size, 0);
});
