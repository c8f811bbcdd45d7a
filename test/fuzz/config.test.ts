import { PosternError } from "#base";
import { ConfigInvalid, loadConfig, parseConfig } from "#config";
import fc from "fast-check";
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { stringify } from "yaml";

const numRuns = Number(process.env["FUZZ_RUNS"] ?? 150);
const golden = join(import.meta.dirname, "../../src/config/golden");
const samples = readdirSync(golden)
  .filter((name) => name.endsWith(".yaml"))
  .map((name) => readFileSync(join(golden, name), "utf8"));

/** The invariant: a configuration, or everything that is wrong with it, each with a place; never anything else. */
async function survives(text: string): Promise<void> {
  try {
    const { config } = await parseConfig(text, "<fuzz>", golden, {
      environment: { A: "1" },
      filesMustExist: false,
    });
    assert.equal(Object.isFrozen(config), true);
  } catch (error) {
    assert.ok(error instanceof ConfigInvalid && error instanceof PosternError, String(error));
    assert.equal(error.blame, "OPERATOR");
    assert.ok(error.problems.length > 0);
    for (const problem of error.problems) {
      assert.ok(problem.text.length > 0 && problem.column >= 0 && problem.line >= 0);
      assert.ok(problem.line <= text.split("\n").length + 1 || problem.file !== "<fuzz>");
    }
  }
}

const words =
  "listen rules name match user userPattern from login kind check upstream host port addresses credentials hostKey knownHosts include limits startups log level keepalive".split(
    " ",
  );
const scalars = [
  "password",
  "upstream",
  "client-password",
  ":22",
  "${env:A}",
  "${file:/}",
  "${",
  "{user}",
  "{",
  "(",
  "10.0.0.0/8",
  "*x",
  "!t",
];

const leaf = fc.oneof(
  fc.constantFrom<unknown>(...scalars, null, true, -1, 0, 22, 1e308, Number.NaN),
  fc.string({ unit: "binary", maxLength: 20 }),
);
const { tree } = fc.letrec((tie) => ({
  tree: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    leaf,
    fc.array(tie("tree"), { maxLength: 4 }),
    fc.dictionary(fc.oneof(fc.constantFrom(...words), fc.string({ maxLength: 8 })), tie("tree"), {
      maxKeys: 6,
    }),
  ),
}));

test("any tree of values is a configuration or an operator's error", async () => {
  await fc.assert(
    fc.asyncProperty(tree, async (value) => {
      await survives(stringify(value) ?? "");
    }),
    { numRuns },
  );
});

test("a configuration with pieces cut out, doubled and mixed is one or an operator's error", async () => {
  const cut = fc.record({
    sample: fc.constantFrom(...samples),
    other: fc.constantFrom(...samples),
    from: fc.double({ min: 0, max: 1, noNaN: true }),
    to: fc.double({ min: 0, max: 1, noNaN: true }),
    insert: fc.oneof(
      fc.constantFrom("", "\n", "\t", ": ", "- ", "{", "]", "&a ", "*a", "\0", "---\n", '"', "${file:key}"),
      fc.string({ maxLength: 5 }),
    ),
  });
  await fc.assert(
    fc.asyncProperty(cut, async ({ sample, other, from, to, insert }) => {
      const text = sample.slice(0, from * sample.length) + insert + other.slice(to * other.length);
      await survives(text);
    }),
    { numRuns },
  );
});

test("any bytes in a file are a configuration or an operator's error", async () => {
  await fc.assert(fc.asyncProperty(fc.string({ unit: "binary", maxLength: 200 }), survives), { numRuns });
  await assert.rejects(loadConfig(join(golden, "binary"), { environment: {} }), {
    code: "OPERATOR_CONFIG_INVALID",
  });
});
