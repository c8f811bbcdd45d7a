import assert from "node:assert/strict";
import { test } from "node:test";
import { Pattern } from "#base";
import { pretendedContext } from "./attempt-context.ts";

test("in the shadow of a rule the name stands in for all that the rule would catch", () => {
  const who = { user: "eve", from: { text: "192.0.2.7" }, nowMs: 0, signal: new AbortController().signal };
  const { captures, pretended } = pretendedContext(who, {
    userPattern: new Pattern("(?<login>[a-z]+)@(?<host>.+)"),
  });
  assert.equal(pretended, true);
  assert.deepEqual(captures, { user: "eve", 0: "eve", 1: "eve", 2: "eve", login: "eve", host: "eve" });
  assert.deepEqual(pretendedContext(who).captures, { user: "eve", 0: "eve" });
});
