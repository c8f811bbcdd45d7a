import assert from "node:assert/strict";
import { test } from "node:test";
import { ImportInvalid } from "./errors.ts";
import { parsePython, type PythonValue } from "./python.ts";

/** A value without its places, as JavaScript has it. */
function plain(value: PythonValue): unknown {
  switch (value.kind) {
    case "none":
      return null;
    case "list":
      return value.tuple ? { tuple: value.items.map(plain) } : value.items.map(plain);
    case "dict":
      return new Map(value.entries.map(([key, inner]) => [plain(key), plain(inner)]));
    default:
      return value.value;
  }
}

function valueOf(text: string): unknown {
  const [statement] = parsePython("x.py", `x = ${text}`);
  assert.equal(statement?.kind, "assign");
  return plain(statement.value);
}

function refusalOf(text: string): string {
  try {
    parsePython("x.py", text);
  } catch (error) {
    assert.ok(error instanceof ImportInvalid, String(error));
    return error.problems.map(({ line, column, text: said }) => `${line}:${column}: ${said}`).join("\n");
  }
  return assert.fail(`was taken: ${text}`);
}

test("strings of every quoting", () => {
  const cases: [string, string][] = [
    [`'a"b'`, 'a"b'],
    [`"a'b"`, "a'b"],
    [`'''a'b\n"c'''`, `a'b\n"c`],
    [`"""a"b""c"""`, 'a"b""c'],
    [`''`, ""],
    [`""""""`, ""],
    [`'a' "b" '''c'''`, "abc"],
    [`('a'\n # comment\n 'b')`, "ab"],
    [`'a' \\\n 'b'`, "ab"],
    [`'a\\\nb'`, "ab"],
    [`'ü€😀'`, "ü€😀"],
  ];
  for (const [text, wanted] of cases) assert.equal(valueOf(text), wanted, text);
});

test("escapes, and the prefixes that change them", () => {
  const cases: [string, string][] = [
    [String.raw`'\\\'\"\a\b\f\n\r\t\v'`, "\\'\"\x07\b\f\n\r\t\v"],
    [String.raw`'\x41\101\0'`, "AA\0"],
    [String.raw`'\q\g<id>\d'`, "\\q\\g<id>\\d"],
    // Bytes that are UTF-8 together, in one string and in two.
    [String.raw`'\xc3\xb6'`, "ö"],
    [String.raw`'\xc3' '\xb6'`, "ö"],
    [String.raw`'\303\266'`, "ö"],
    // Only with u are these escapes.
    [String.raw`'\u00f6'`, "\\u00f6"],
    [String.raw`u'\u00f6\U0001F600\xf6'`, "ö😀ö"],
    [String.raw`u'\ud83d\ude00'`, "😀"],
    [String.raw`b'\xc3\xb6'`, "ö"],
    [String.raw`r'^web(?P<id>\d+)$'`, "^web(?P<id>\\d+)$"],
    [String.raw`R"\'\""`, `\\'\\"`],
    [String.raw`br'\x41'`, "\\x41"],
    [String.raw`Rb'\x41'`, "\\x41"],
    [String.raw`ur'\d\u00f6'`, "\\dö"],
    [`r'a\\\nb'`, "a\\\nb"],
  ];
  for (const [text, wanted] of cases) assert.equal(valueOf(text), wanted, text);
});

test("numbers, truth, nothing", () => {
  const cases: [string, unknown][] = [
    ["22", 22n],
    ["0", 0n],
    ["-1", -1n],
    ["+ 1", 1n],
    ["1_000", 1000n],
    ["0x1F", 31n],
    ["0o17", 15n],
    ["017", 15n],
    ["00", 0n],
    ["0b101", 5n],
    ["22L", 22n],
    ["99999999999999999999", 99999999999999999999n],
    ["1.5", 1.5],
    [".5", 0.5],
    ["5.", 5],
    ["1e3", 1000],
    ["-1.5E-1", -0.15],
    ["True", true],
    ["False", false],
    ["None", null],
  ];
  for (const [text, wanted] of cases) assert.equal(valueOf(text), wanted, text);
});

test("lists, tuples, dicts, nested, with comments and commas at the end", () => {
  assert.deepEqual(valueOf("[]"), []);
  assert.deepEqual(valueOf("[1, [2,], # three\n 3,\n]"), [1n, [2n], 3n]);
  assert.deepEqual(valueOf("()"), { tuple: [] });
  assert.deepEqual(valueOf("(1,)"), { tuple: [1n] });
  assert.deepEqual(valueOf("(1)"), 1n);
  assert.deepEqual(valueOf("1, 2,"), { tuple: [1n, 2n] });
  assert.deepEqual(valueOf("{}"), new Map());
  assert.deepEqual(
    valueOf("{'a': {'b': (1, 2)}, # c\n 2: None,}"),
    new Map<unknown, unknown>([
      ["a", new Map([["b", { tuple: [1n, 2n] }]])],
      [2n, null],
    ]),
  );
});

test("statements: comments, joined lines, semicolons, several names, includes", () => {
  const statements = parsePython(
    "x.py",
    "\ufeff#!/usr/bin/python\r\n'''about'''\r\n\r\na = b = 'x'; c \\\r\n = 2;\r\n   # indented comment\r\nexecfile ( 'conf.d/' # here\r\n 'x.py' )",
  );
  assert.deepEqual(
    statements.map((each) =>
      each.kind === "include" ? ["include", each.path, each.line] : [each.name, plain(each.value), each.line],
    ),
    [
      ["a", "x", 4],
      ["b", "x", 4],
      ["c", 2n, 4],
      ["include", "conf.d/x.py", 7],
    ],
  );
  assert.deepEqual(parsePython("x.py", ""), []);
  assert.deepEqual(parsePython("x.py", "# only"), []);
});

test("places count from 1, in the file as it is", () => {
  const [statement] = parsePython("x.py", "\nservers = [\n  {'a': 5}]");
  assert.equal(statement?.kind, "assign");
  assert.deepEqual(
    [statement.line, statement.column, statement.value.line, statement.value.column],
    [2, 1, 2, 11],
  );
});

test("what is no literal is refused: where, and what would be right", () => {
  const cases: [string, RegExp][] = [
    ["import os", /^1:1: "import" begins code, .*NAME = VALUE/],
    ["a = 1\nif a: b = 2", /^2:1: "if" begins code/],
    ["def f(): pass", /"def" begins code/],
    ["a = os.environ['X']", /^1:5: "os" is a name or code, .*write the value itself/],
    ["a = 'x' + 'y'", /^1:9: "\+" makes this an expression/],
    ["a = ['x' % 5]", /^1:10: "%" makes this an expression/],
    ["a = f('x')", /"f" is a name or code/],
    ["a = 'x'.upper()", /"\." makes this an expression/],
    ["a += 1", /^1:3: "a" is changed here: write the whole value in one assignment/],
    ["a.append(1)", /"a" is changed here/],
    ["a == 1", /found "=" in place of|makes this an expression/],
    ["a", /^1:2: found the end of the file in place of "=" and a value for a/],
    ["a =", /found the end of the file in place of a value/],
    ["a = \nb = 1", /^1:5: found the end of the line in place of a value/],
    ["  a = 1", /^1:3: this line is indented/],
    ["a = 1 2", /in place of the end of the line/],
    ["a = [1 2]", /in place of "," or "\]"/],
    ["a = [1", /found the end of the file in place of "," or "\]"/],
    ["a = [,]", /in place of a value/],
    ["a = {1}", /in place of ":" and a value/],
    ["a = {1: 2 3: 4}", /in place of "," or "\}"/],
    ["a = 'x", /^1:5: this string is open at the end of the file: close it with '/],
    ["a = 'x\nb = 1", /^1:5: this string is open at the end of its line/],
    ["a = '''x", /close it with '''/],
    ["a = 'x\\", /open at the end of the file/],
    ["a = f'x'", /an f-string is code/],
    ["a = bu'x'", /cannot begin with bu'/],
    [String.raw`a = '\x4'`, /\\x needs two/],
    [String.raw`a = u'\u12'`, /\\u needs 4/],
    [String.raw`a = u'\U00110000'`, /\\U needs 8/],
    [String.raw`a = u'\N{DASH}'`, /write the character itself/],
    [String.raw`a = u'\ud83d'`, /half a character/],
    [String.raw`a = '\xff'`, /^1:5: this string is not text in UTF-8/],
    ["a = 089", /begins with 0, which makes it octal/],
    ["a = 1j", /no number that can be read/],
    ["a = 1__0", /is no number/],
    ["a = 0x", /is no number|in place of|no number that can be read/],
    ["a = -'x'", /in place of a number|found/],
    ["execfile(x)", /in place of the name of a file/],
    ["execfile('a', 'b')", /one file is included at a time/],
    ["execfile('')", /no name of a file/],
    ["execfile = 5 +", /makes this an expression/],
    [`a = ${"[".repeat(100)}`, /nested too deeply/],
    ["= 5", /in place of an assignment|makes this an expression/],
    ["a = \0", /found "\\u0000"/],
  ];
  for (const [text, wanted] of cases) assert.match(refusalOf(text), wanted, text);
});

test("each beginning of a file is read, or refused with a place in it", () => {
  const text = String.raw`listen = '0.0.0.0:22'
servers = [{'user': r'^w(?P<x>\d)', 'p': "\x41" u'\u00f6', 'n': -0x5, 't': (1,)}]
execfile('''a''')`;
  for (let length = 0; length <= text.length; length++) {
    try {
      parsePython("x.py", text.slice(0, length));
    } catch (error) {
      assert.ok(error instanceof ImportInvalid, String(error));
      const [problem] = error.problems;
      assert.ok((problem?.line ?? 0) >= 1 && (problem?.line ?? 9) <= 3 && (problem?.column ?? 0) >= 1);
    }
  }
});
