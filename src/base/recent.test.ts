import assert from "node:assert/strict";
import { test } from "node:test";
import { Recent } from "./recent.ts";

test("a value is made once, and the one not asked for the longest is forgotten", () => {
  const made: string[] = [];
  const recent = new Recent<string, string>(2);
  const ask = (key: string): string =>
    recent.of(key, () => {
      made.push(key);
      return `${key}!`;
    });
  assert.equal(ask("a"), "a!");
  assert.equal(ask("b"), "b!");
  assert.equal(ask("a"), "a!");
  assert.equal(ask("c"), "c!");
  assert.equal(ask("a"), "a!");
  assert.equal(ask("b"), "b!");
  assert.deepEqual(made, ["a", "b", "c", "b"]);
});

test("undefined is a value, a throw is none", () => {
  const recent = new Recent<number, undefined>(1);
  let made = 0;
  const make = (): undefined => {
    made++;
    if (made === 1) throw new Error("not yet");
    return undefined;
  };
  assert.throws(() => recent.of(1, make));
  recent.of(1, make);
  recent.of(1, make);
  assert.equal(made, 2);
});
