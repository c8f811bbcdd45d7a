import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import { comment, flow, scalar, Verbatim } from "./yaml-text.ts";

test("every text comes back as it was", () => {
  const texts = [
    "",
    "a",
    "web12",
    "true",
    "No",
    "null",
    "~",
    "12",
    "1.5",
    "0x1F",
    "2026-01-01",
    "a: b",
    "a #b",
    "- a",
    "{a}",
    "[a]",
    "a,b",
    "'",
    '"',
    'it\'s "x"',
    "\\d+",
    "a\nb",
    "\t",
    "\0",
    "\x7f\x85",
    "\u2028",
    "ö",
    "😀",
    "*a",
    "&a",
    "!a",
    "%a",
    "@a",
    "|",
    ">",
    "a:b",
    "a:",
    ":a",
    "0.0.0.0:22",
    "::1",
    " a ",
    "${env:A}",
    "$${",
    "=",
    "<<",
    "?",
    "---",
  ];
  for (const text of texts) {
    const wanted = text.replaceAll("${", () => "$${");
    for (const written of [`x: ${scalar(text)}`, `x: [${scalar(text)}, 1]`]) {
      const { x } = parse(written) as { x: unknown };
      assert.equal(Array.isArray(x) ? x[0] : x, wanted, written);
    }
  }
  assert.equal(scalar(new Verbatim("${file:a}")), '"${file:a}"');
});

test("maps and lists in one line", () => {
  assert.equal(
    flow({ kind: "password", none: undefined, list: ["a b", 5, true], map: { x: "1" } }),
    '{ kind: password, list: ["a b", 5, true], map: { x: "1" } }',
  );
});

test("a comment never ends early", () => {
  const lines = comment("one\ntwo\r\u2028\u0085\0three\n  kept  as it is", "  ");
  assert.deepEqual(lines, ["  # one", "  # two????three", "  #   kept  as it is"]);
  for (const line of comment("word ".repeat(100))) assert.ok(line.length <= 102);
});
