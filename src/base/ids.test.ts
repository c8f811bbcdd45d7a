import assert from "node:assert/strict";
import { test } from "node:test";
import { newSessionId, randomId } from "./ids.ts";

test("session ids are short, plain and differ", () => {
  const ids = new Set(Array.from({ length: 1000 }, newSessionId));
  assert.equal(ids.size, 1000);
  for (const id of ids) assert.match(id, /^[0-9a-hjkmnp-tv-z]{10}$/);
  assert.equal(randomId(4).length, 4);
});
