import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Handles } from "./handles.ts";
import { OpenFile } from "./record.ts";

test("as a map, whether few are open or many", () => {
  const handle = fc.nat(30).map((number) => `handle ${number}`);
  const step = fc.oneof(
    fc.record({ set: handle }),
    fc.record({ remove: handle }),
    fc.constant("clear" as const),
  );
  const steps = fc.array(step, { maxLength: 300 });
  fc.assert(
    fc.property(steps, (taken) => {
      const map = new Map<string, OpenFile>();
      const handles = new Handles();
      for (const each of taken) {
        if (each === "clear") {
          assert.deepEqual(new Set(handles.clear()), new Set(map.values()));
          map.clear();
        } else if ("remove" in each) {
          map.delete(each.remove);
          handles.delete(each.remove);
        } else {
          const file = new OpenFile({ path: each.set }, { hashing: false });
          map.set(each.set, file);
          handles.set(each.set, file);
        }
        assert.equal(handles.size, map.size);
        for (let number = 0; number <= 30; number++)
          assert.equal(handles.get(`handle ${number}`), map.get(`handle ${number}`));
      }
    }),
  );
});
