import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { LineEditor, maxLineCharacters } from "./line-editor.ts";

interface Typed {
  readonly shown: string;
  readonly events: readonly string[];
}

function type(...chunks: readonly (string | Uint8Array)[]): Typed {
  const events: string[] = [];
  let shown = "";
  const editor = new LineEditor({
    echo: true,
    show: (text) => (shown += text),
    line: (text) => events.push(`line ${text}`),
    interrupt: () => events.push("interrupt"),
    end: () => events.push("end"),
  });
  editor.prompt = "> ";
  for (const chunk of chunks) editor.feed(typeof chunk === "string" ? Buffer.from(chunk) : chunk);
  return { shown, events };
}

const cases: readonly [what: string, keys: string, shown: string, events: readonly string[]][] = [
  ["a line ended by CR", "ab\r", "ab\n", ["line ab"]],
  ["a line ended by LF", "ab\n", "ab\n", ["line ab"]],
  ["CR LF is one end", "a\r\nb\r\n", "a\nb\n", ["line a", "line b"]],
  ["two line feeds are two ends", "\n\n", "\n\n", ["line ", "line "]],
  ["backspace, and one too many", "ab\u007f\b\u007f", "ab\b \b\b \b", []],
  ["backspace over a wide character draws the line anew", "a名\u007f", "a名\r\u001b[K> a", []],
  ["Ctrl-C", "ab\u0003c\r", "ab^C\nc\n", ["interrupt", "line c"]],
  ["Ctrl-D on an empty line only", "a\u0004\u007f\u0004", "a\b \b", ["end"]],
  ["Ctrl-U", "ab\u0015c\r", "ab\r\u001b[K> c\n", ["line c"]],
  ["Ctrl-L", "ab\u000c", "ab\u001b[2J\u001b[H\r\u001b[K> ab", []],
  [
    "arrow and function keys, and Alt with a letter, are swallowed",
    "a\u001b[A\u001b[15~\u001bOP\u001bxb\r",
    "ab\n",
    ["line ab"],
  ],
  ["other controls are swallowed", "a\u0001\u0007\tb\r", "ab\n", ["line ab"]],
];
for (const [what, keys, shown, events] of cases) {
  test(what, () => {
    assert.deepEqual(type(keys), { shown, events });
    assert.deepEqual(type(...[...Buffer.from(keys)].map((byte) => Uint8Array.of(byte))), { shown, events });
  });
}

test("a line does not grow beyond its bound", () => {
  const { events, shown } = type("x".repeat(maxLineCharacters + 5), "\r");
  assert.deepEqual(events, [`line ${"x".repeat(maxLineCharacters)}`]);
  assert(shown.endsWith("\u0007\n"));
});

test("without echo nothing is shown", () => {
  const lines: string[] = [];
  const editor = new LineEditor({
    echo: false,
    show: () => assert.fail(),
    line: (text) => lines.push(text),
    interrupt: () => {},
    end: () => {},
  });
  editor.feed(Buffer.from("ab\u007f\u000c\u0015c\r"));
  assert.deepEqual(lines, ["c"]);
});

test("any bytes are taken, and no line holds a control character", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 50 })), (chunks) => {
      for (const event of type(...chunks).events) {
        for (const character of event) assert(character >= " ");
      }
    }),
  );
});
