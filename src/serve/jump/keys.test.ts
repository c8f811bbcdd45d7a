import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { type Key, KeyReader } from "./keys.ts";

function read(bytes: Uint8Array): Key[] {
  const reader = new KeyReader();
  return [...bytes].flatMap((byte) => reader.next(byte) ?? []);
}

function named(text: string): string[] {
  return read(Buffer.from(text)).map((key) => (key.kind === "text" ? key.text : `<${key.kind}>`));
}

const presses: readonly [string, string[]][] = [
  ["ab", ["a", "b"]],
  ["é漢😀", ["é", "漢", "😀"]],
  ["\u001b[A\u001b[B\u001bOA\u001bOB", ["<up>", "<down>", "<up>", "<down>"]],
  [
    "\u001b[5~\u001b[6~\u001b[H\u001bOF\u001b[1~\u001b[4~",
    ["<page-up>", "<page-down>", "<first>", "<last>", "<first>", "<last>"],
  ],
  [
    "\r\n\u007f\b\u0015\u0003\u0004",
    ["<enter>", "<enter>", "<erase>", "<erase>", "<clear>", "<leave>", "<end>"],
  ],
  ["\u001b[1;5Ax\u001b[200~y", ["x", "y"]],
  ["\u001bxa", ["a"]],
  ["\u001b\u001b", ["<leave>"]],
  ["\u001b[12\u0003", ["<leave>"]],
  [`\u001b[${"1".repeat(1000)}Ax`, ["x"]],
];
for (const [typed, keys] of presses)
  test(`keys of ${JSON.stringify(typed.slice(0, 40))}`, () => assert.deepEqual(named(typed), keys));

test("ESC alone is a key once nothing has followed", () => {
  const reader = new KeyReader();
  assert.equal(reader.next(0x1b), undefined);
  assert.equal(reader.pending, true);
  assert.deepEqual(reader.idle(), { kind: "leave" });
  assert.equal(reader.pending, false);
  assert.equal(reader.idle(), undefined);
});

test("bytes that are no character are nothing, and what follows is read", () => {
  for (const hex of ["ff", "c0", "80", "e282", "f09f98", "eda080", "f4908080"])
    assert.deepEqual(
      read(Buffer.from(`${hex}61`, "hex"))
        .filter(({ kind }) => kind === "text")
        .at(-1),
      { kind: "text", text: "a" },
      hex,
    );
});

test("any bytes are keys, and never more text than was typed", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const keys = read(bytes);
      assert(keys.length <= bytes.length);
      for (const key of keys) if (key.kind === "text") assert.equal(Array.from(key.text).length, 1);
    }),
  );
});
