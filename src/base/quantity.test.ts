import assert from "node:assert/strict";
import { test } from "node:test";
import { formatBytes, formatSeconds, parseBytes, parseSeconds } from "./quantity.ts";

test("durations", () => {
  const cases: [string, number][] = [
    ["30", 30],
    ["0.5", 0.5],
    ["30s", 30],
    ["250ms", 0.25],
    ["1h30m", 5400],
    ["1h 30min", 5400],
    ["2d", 172_800],
    ["1w", 604_800],
    ["1.5h", 5400],
    ["0", 0],
  ];
  for (const [text, seconds] of cases) assert.equal(parseSeconds(text), seconds, text);
  for (const text of ["", "s", "30x", "30 s m", "-5", "1h-3m", "1e9", "Infinity", "５s", "30S"]) {
    assert.throws(() => parseSeconds(text), { code: "OPERATOR_QUANTITY_INVALID" }, text);
  }
});

test("sizes", () => {
  const cases: [string, number][] = [
    ["4096", 4096],
    ["2MiB", 2 ** 21],
    ["2 mib", 2 ** 21],
    ["64KiB", 65_536],
    ["1GB", 1e9],
    ["1.5KiB", 1536],
    ["0B", 0],
  ];
  for (const [text, bytes] of cases) assert.equal(parseBytes(text), bytes, text);
  for (const text of ["", "MiB", "-1", "1.5B", "2M", "9999999TiB", "2MiB!"]) {
    assert.throws(() => parseBytes(text), { code: "OPERATOR_QUANTITY_INVALID" }, text);
  }
});

test("quantities are written as they are read", () => {
  for (const seconds of [0, 0.25, 1, 90, 120, 3600, 5400, 86_400, 604_800]) {
    assert.equal(parseSeconds(formatSeconds(seconds)), seconds);
  }
  for (const bytes of [0, 1, 1000, 1024, 2 ** 21, 2 ** 30, 2 ** 40 + 1])
    assert.equal(parseBytes(formatBytes(bytes)), bytes);
  assert.equal(formatSeconds(120), "2m");
  assert.equal(formatBytes(2 ** 21), "2MiB");
});
