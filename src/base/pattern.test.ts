import assert from "node:assert/strict";
import { test } from "node:test";
import { Pattern } from "./pattern.ts";

test("a pattern must match the whole text", () => {
  const pattern = new Pattern("web(?<id>[0-9]+)|root");
  assert.deepEqual({ ...pattern.match("web12") }, { 0: "web12", 1: "12", id: "12" });
  assert.deepEqual({ ...pattern.match("root") }, { 0: "root" });
  for (const text of ["xweb12", "web12x", "web12\n", "Web12", "", "web"])
    assert.equal(pattern.match(text), undefined, text);
});

test("anchors of the operator's own do no harm", () => {
  const pattern = new Pattern("^(?<login>[^+]+)\\+(?<host>[a-z0-9.-]+?)(:(?<port>[0-9]+))?$");
  assert.deepEqual(pattern.names, ["login", "host", "port"]);
  assert.equal(pattern.groupCount, 4);
  const whole = pattern.match("ada+db.example.lan:2222");
  assert.equal(whole?.["port"], "2222");
  const short = pattern.match("ada+db.example.lan");
  assert.equal(short?.["host"], "db.example.lan");
  assert.equal(Object.hasOwn(short ?? {}, "port"), false);
});

test("a group called like a property of objects is only a group", () => {
  const found = new Pattern("(?<__proto__>a)(?<constructor>b)?").match("a");
  assert.equal(found?.["__proto__"], "a");
  assert.equal(found?.["constructor"], undefined);
});

test("what cannot be matched in linear time is refused, and the reason given", () => {
  const cases: [string, RegExp][] = [
    ["(?=a)b", /look-around is not possible/],
    ["(?<!a)b", /look-around is not possible/],
    ["(a)\\1", /back-references are not possible/],
    ["[", /missing closing \]/],
    ["(", /missing closing \)/],
    ["a{2000}", /invalid repeat count/],
    ["(?<a>x)(?<a>y)", /duplicate/],
  ];
  for (const [source, message] of cases) {
    assert.throws(() => new Pattern(source), { code: "OPERATOR_PATTERN_INVALID", message }, source);
  }
});

test("a pattern that would hang a backtracking engine does not hang this one", () => {
  // With backtracking this takes some 2 ** 200 steps: ending at all is the proof.
  assert.equal(new Pattern("((a+)+)+b").match("a".repeat(200)), undefined);
});
