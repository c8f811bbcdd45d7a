import assert from "node:assert/strict";
import { test } from "node:test";
import { substitute, type TextSource } from "./substitute.ts";

const source: TextSource = {
  variable: (name) => ({ A: "one", EMPTY: "", NESTED: "${env:A}" })[name],
  file: async (path) => {
    if (path === "/lines") return "two\r\n";
    throw new Error(`there is no file ${path}`);
  },
};

test("references are filled in once, and only known ones", async () => {
  const cases: [string, string, boolean][] = [
    ["plain $A {env:A} $", "plain $A {env:A} $", false],
    ["${env:A}", "one", true],
    ["<${env:A}${env:EMPTY}-${file:/lines}>", "<one-two>", true],
    ["${env:NESTED}", "${env:A}", true],
    ["$${env:A}", "${env:A}", false],
    ["$$${env:A}", "$${env:A}", false],
    ["$2b$10$abc", "$2b$10$abc", false],
  ];
  for (const [text, filled, foreign] of cases) {
    assert.deepEqual(await substitute(text, source), { text: filled, foreign, problems: [] }, text);
  }
});

test("what cannot be filled in is named", async () => {
  const cases: [string, RegExp][] = [
    ["${env:B}", /^the environment variable B is not set$/],
    ["${file:/none}", /^there is no file \/none$/],
    ["${home}", /^"\$\{home\}" is not understood: write \$\{env:NAME\}/],
    ["${env:A", /is not understood/],
    ["${env:}", /is not understood/],
    ["${}", /is not understood/],
  ];
  for (const [text, problem] of cases) {
    const { problems } = await substitute(text, source);
    assert.equal(problems.length, 1, text);
    assert.match(problems[0] ?? "", problem);
  }
});
