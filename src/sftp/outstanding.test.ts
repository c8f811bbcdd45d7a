import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Outstanding } from "./outstanding.ts";

test("as a map that keeps the order, whatever goes first", () => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ add: fc.nat(400) }) },
    fc.record({ remove: fc.nat(400) }),
    { weight: 2, arbitrary: fc.constant("shift" as const) },
    fc.constant("first that was added" as const),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 600 }), (steps) => {
      const map = new Map<number, string>();
      const outstanding = new Outstanding<string>();
      for (const [at, each] of steps.entries()) {
        const first = map.keys().next().value;
        if (each === "shift" || each === "first that was added") {
          if (first !== undefined) map.delete(first);
          if (each === "shift") outstanding.shift();
          else if (first !== undefined) outstanding.delete(first);
        } else if ("remove" in each) {
          map.delete(each.remove);
          outstanding.delete(each.remove);
        } else if (!map.has(each.add)) {
          map.set(each.add, `entry ${at}`);
          outstanding.add(each.add, `entry ${at}`);
        }
        assert.equal(outstanding.size, map.size);
        assert.equal(outstanding.first, map.values().next().value);
        for (const id of [0, 1, 200]) {
          assert.equal(outstanding.has(id), map.has(id));
          assert.equal(outstanding.get(id), map.get(id));
        }
      }
      assert.deepEqual(outstanding.clear(), [...map.values()]);
      assert.deepEqual([outstanding.size, outstanding.first, outstanding.has(0)], [0, undefined, false]);
    }),
  );
});
