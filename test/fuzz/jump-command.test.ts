/** Whatever a client says to a jump host in place of a command: it is one of a few forms, or none, and costs little. */
import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { maxCommandChars, parseCommand } from "../../src/serve/jump/command.ts";
import { nameOfPath } from "../../src/serve/socket-path.ts";

const runs = { numRuns: Number(process.env["FUZZ_RUNS"] ?? 3000) };
const word = fc.oneof(
  fc.constantFrom(
    "nc",
    "exec",
    "ls",
    "--json",
    "-U",
    "-N",
    "-q",
    "-w",
    "0",
    "22",
    "web1",
    "/a/b.sock",
    "2>/dev/null",
    ";",
    "$(id)",
  ),
  fc.string({ maxLength: 12, unit: "binary" }),
);
const line = fc.oneof(
  fc.array(word, { maxLength: 8 }).map((words) => words.join(" ")),
  fc.string({ maxLength: maxCommandChars + 10, unit: "binary" }),
);

test("a command line is one of the forms, or none", () => {
  fc.assert(
    fc.property(line, (text) => {
      const command = parseCommand(text);
      if (command.kind === "connect") {
        assert(command.port >= 1 && command.port <= 65_535);
        // What is taken for a name stands in the line as it is, whole.
        assert(text.split(/[ \t]+/).includes(command.name));
        assert(!command.name.startsWith("-"));
      }
      if (command.kind === "connect-path") assert(text.split(/[ \t]+/).includes(command.path));
      // Told on the client's terminal: no signs that it acts upon.
      if (command.kind === "unknown") assert.match(command.text, /^[\x20-\x7e]+$/);
    }),
    runs,
  );
});

test("a name in a path is one part of it", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: "binary" }),
        line.map((text) => `/${text}`),
      ),
      (path) => {
        const name = nameOfPath(path);
        if (name !== undefined) assert(!/[/\0]/.test(name) && path.includes(name));
      },
    ),
    runs,
  );
});
