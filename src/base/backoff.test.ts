import assert from "node:assert/strict";
import { test } from "node:test";
import { retryDelayMs } from "./backoff.ts";

const backoff = { firstMs: 1_000, maxMs: 60_000 };

test("waits double up to the maximum, for any number of failures", () => {
  const waits = [0, 1, 2, 3, 7, 8, 1e6, Number.MAX_SAFE_INTEGER].map((failures) =>
    retryDelayMs(failures, backoff, 1),
  );
  assert.deepEqual(waits, [1_000, 1_000, 2_000, 4_000, 60_000, 60_000, 60_000, 60_000]);
});

test("chance takes away at most half", () => {
  assert.equal(retryDelayMs(3, backoff, 0), 2_000);
  assert.equal(retryDelayMs(3, backoff, 0.5), 3_000);
});
