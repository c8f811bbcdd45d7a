import assert from "node:assert/strict";
import { test } from "node:test";
import { nearest } from "./nearest.ts";

test("slips are recognised, other words are left alone", () => {
  const known = ["host", "hostKey", "port", "credentials", "connectTimeoutSeconds"];
  const cases: [string, string | undefined][] = [
    ["hots", "host"],
    ["prot", "port"],
    ["HOSTKEY", "hostKey"],
    ["hostKeys", "hostKey"],
    ["credential", "credentials"],
    ["connectTimeout", undefined],
    ["user", undefined],
    ["", undefined],
    ["x".repeat(100_000), undefined],
  ];
  for (const [word, meant] of cases) assert.equal(nearest(word, known), meant, word.slice(0, 20));
});
