import assert from "node:assert/strict";
import { test } from "node:test";
import { parseTemplate } from "./template.ts";

test("a template is filled with captures", () => {
  const cases: [string, Record<string, string | undefined>, string | undefined][] = [
    ["web.example.lan", {}, "web.example.lan"],
    ["web{id}.example.lan", { id: "12" }, "web12.example.lan"],
    ["{1}-{2}{1}", { 1: "a", 2: "b" }, "a-ba"],
    ["{{{user}}}", { user: "x" }, "{x}"],
    ["", {}, ""],
    ["{port}", {}, undefined],
    ["{port}", { port: undefined }, undefined],
    ["{toString}", {}, undefined],
  ];
  for (const [text, values, filled] of cases) assert.equal(parseTemplate(text).expand(values), filled, text);
});

test("captures are never templates themselves", () => {
  assert.equal(parseTemplate("{a}{b}").expand({ a: "{b}", b: "$&" }), "{b}$&");
});

test("a template names its places", () => {
  assert.deepEqual(parseTemplate("{a}{{c}}{b}{a}").names, ["a", "b"]);
});

test("a malformed template is the operator's error", () => {
  for (const text of ["{", "}", "{}", "{a", "a}", "{a b}", "{-}", "{123}", "{{a}"]) {
    assert.throws(() => parseTemplate(text), { code: "OPERATOR_TEMPLATE_INVALID" }, text);
  }
});
