import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { systemClock } from "#base";
import { type CommandContext, parseLine, runLine } from "./commands.ts";

const environment = new Map([
  ["A", "one two"],
  ["B", "$A"],
]);

const lines: readonly [line: string, words: string[][]][] = [
  ["", [[]]],
  ["a  b\tc", [["a", "b", "c"]]],
  ["a;b ; c", [["a"], ["b"], ["c"]]],
  ["a 'b  c' \"d; e\" f\\ g \\;", [["a", "b  c", "d; e", "f g", ";"]]],
  ["a'b'\"c\"d ''", [["abcd", ""]]],
  ['$A ${A}x \'$A\' "$A" \\$A "\\$A"', [["one two", "one twox", "$A", "one two", "$A", "$A"]]],
  ["$B $NOPE", [["$A", ""]]],
  ["a 'open", [["a", "open"]]],
];
for (const [line, words] of lines) {
  test(`words of ${JSON.stringify(line)}`, () => {
    assert.deepEqual(parseLine(line, environment), words);
  });
}

test("any line runs to its end, with a status", async () => {
  const nothing = async function* (): AsyncGenerator<Uint8Array> {};
  await fc.assert(
    fc.asyncProperty(fc.string({ maxLength: 100, unit: "grapheme" }), async (line) => {
      const context: CommandContext = {
        user: "a",
        environment,
        size: undefined,
        clock: systemClock,
        signal: new AbortController().signal,
        out: async () => {},
        error: async () => {},
        input: nothing,
      };
      const { status } = await runLine(line, context);
      assert(status >= 0 && status <= 255);
    }),
  );
});
