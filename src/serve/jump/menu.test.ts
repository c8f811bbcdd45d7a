import assert from "node:assert/strict";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import * as fc from "fast-check";
import type { ListedTarget, Menu, MenuOutcome } from "#contract";
import { LineMenu } from "./line-menu.ts";
import { TargetMenu } from "./menu.ts";
import { columnsOf, cutTo, tailOf } from "./width.ts";

const targets: readonly ListedTarget[] = [
  { name: "web1", names: ["web1.gate.example"], tags: ["production"] },
  { name: "web2", names: [], tags: ["production"] },
  { name: "database", names: [], tags: ["production", "db"] },
  { name: "lab", names: [], tags: [], pattern: "lab[0-9]+" },
];
const terminal = { term: "xterm", columns: 80, rows: 24 };

function lines(output: string): string[] {
  return stripVTControlCharacters(output)
    .split("\r\n")
    .map((line) => line.trimEnd())
    .filter((line) => line !== "");
}

/** Types, and gives what is shown last. */
function typed(
  menu: Menu,
  text: string,
): { shown: string[]; outcome: MenuOutcome | undefined; taken: number } {
  const { output, outcome, taken } = menu.feed(Buffer.from(text));
  return { shown: lines(output), outcome, taken };
}

const names = (shown: readonly string[]): string[] =>
  shown.filter((line) => /^[▸ ] /.test(line)).map((line) => line.slice(2).split(/\s/)[0] ?? "");

test("all targets are listed, with their details, and the first is chosen", () => {
  assert.deepEqual(lines(new TargetMenu(targets, terminal).open()), [
    "> _",
    "▸ web1      web1.gate.example  #production",
    "  web2      #production",
    "  database  #production  #db",
    "  lab       names like lab[0-9]+",
    "1/4  type to filter, arrows to move, enter to connect, escape to leave",
  ]);
});

test("the screen is taken, and given back as it was", () => {
  const menu = new TargetMenu(targets, terminal);
  assert(menu.open().startsWith("\u001b[?1049h"));
  assert(menu.close().endsWith("\u001b[?1049l"));
});

test("typing narrows the list by all words, in any case; erasing widens it", () => {
  const menu = new TargetMenu(targets.slice(0, 3), terminal);
  assert.deepEqual(names(typed(menu, "PROD db").shown), ["database"]);
  assert.deepEqual(names(typed(menu, "\u007f\u007f\u007f").shown), ["web1", "web2", "database"]);
  assert.deepEqual(names(typed(menu, "\u0015web").shown), ["web1", "web2"]);
  assert.deepEqual(typed(menu, "x").shown.slice(0, 2), ["> webx_", "  nothing like that"]);
  assert.equal(typed(menu, "\r").outcome, undefined);
});

test("arrows move, and enter connects; what was typed after it is not the menu's", () => {
  const menu = new TargetMenu(targets, terminal);
  assert.deepEqual(typed(menu, "\u001b[B\u001b[B\u001b[A").shown[2], "▸ web2      #production");
  assert.deepEqual(typed(menu, "\rls\r"), { shown: [], outcome: { kind: "chosen", name: "web2" }, taken: 1 });
});

test("the ends of the list are where arrows stop", () => {
  const menu = new TargetMenu(targets.slice(0, 3), terminal);
  assert.deepEqual(typed(menu, "\u001b[A\r").outcome, { kind: "chosen", name: "web1" });
  assert.deepEqual(typed(menu, "\u001b[F\u001b[B\r").outcome, { kind: "chosen", name: "database" });
  assert.deepEqual(typed(menu, "\u001b[H\r").outcome, { kind: "chosen", name: "web1" });
});

test("a target with a pattern is chosen by the name that was typed", () => {
  const menu = new TargetMenu(targets, terminal);
  assert.equal(typed(menu, "\u001b[F\r").outcome, undefined);
  assert.deepEqual(names(typed(menu, "lab7").shown), ["lab"]);
  assert.deepEqual(typed(menu, "\r").outcome, { kind: "chosen", name: "lab7" });
});

test("ctrl-C, ctrl-D and escape leave", () => {
  for (const key of ["\u0003", "\u0004", "\u001b\u001b"])
    assert.deepEqual(typed(new TargetMenu(targets, terminal), key).outcome, { kind: "left" });
  const menu = new TargetMenu(targets, terminal);
  assert.equal(typed(menu, "\u001b").outcome, undefined);
  assert.equal(menu.pending, true);
  assert.deepEqual(menu.idle().outcome, { kind: "left" });
  assert.equal(menu.idle().outcome, undefined);
  // With something typed, ctrl-D is no end.
  assert.equal(typed(menu, "a\u0004").outcome, undefined);
});

test("a longer list is scrolled, and the chosen one is always seen", () => {
  const many = Array.from({ length: 1000 }, (_, at) => ({ name: `t${at}`, names: [], tags: [] }));
  const menu = new TargetMenu(many, terminal);
  for (let press = 0; press < 60; press++) {
    const { shown } = typed(menu, "\u001b[6~");
    assert(shown.length <= 24);
    assert(shown.some((line) => line.startsWith("▸ ")));
  }
  assert.deepEqual(typed(menu, "\r").outcome, { kind: "chosen", name: "t999" });
});

test("whatever the size and the targets, nothing is wider or longer than the terminal", () => {
  const target = fc.record({
    name: fc.string({ minLength: 1, maxLength: 30 }).map((text) => text.replaceAll(/\P{L}/gu, "x")),
    names: fc.array(fc.constantFrom("a.example", "漢字.example"), { maxLength: 3 }),
    tags: fc.array(fc.constant("tag"), { maxLength: 3 }),
  });
  const size = fc.record({
    columns: fc.integer({ min: 1, max: 200 }),
    rows: fc.integer({ min: 1, max: 60 }),
  });
  fc.assert(
    fc.property(
      fc.array(target, { maxLength: 100 }),
      fc.array(size, { minLength: 1, maxLength: 3 }),
      fc.string(),
      (all, sizes, text) => {
        const menu = new TargetMenu(all, { ...terminal, ...sizes[0] });
        menu.feed(Buffer.from(text));
        for (const each of sizes) {
          const shown = stripVTControlCharacters(menu.resize(each)).split("\r\n");
          assert(shown.length <= Math.max(1, each.rows), JSON.stringify(each));
          for (const line of shown)
            assert(columnsOf(line) <= Math.max(1, each.columns), JSON.stringify([line, each]));
        }
      },
    ),
  );
});

test("a terminal that does not know its size has 80 columns and 24 rows", () => {
  const shown = new TargetMenu(targets, { term: "xterm", columns: 0, rows: 0 }).open();
  assert.equal(shown.split("\r\n").length, 24);
});

test("widths of wide and of joined characters", () => {
  assert.equal(columnsOf("漢字"), 4);
  assert.equal(columnsOf("e\u0301x"), 2);
  assert.equal(cutTo("漢字漢字", 5), "漢字…");
  assert.equal(cutTo("abc", 3), "abc");
  assert.equal(cutTo("abc", 0), "");
  assert.equal(tailOf("漢字abc", 4), "abc");
});

test("a notice stands on the last row whatever the size, without a terminal's own commands", () => {
  for (const rows of [2, 3, 4, 5, 24]) {
    const menu = new TargetMenu(targets, { term: "xterm", columns: 40, rows });
    const shown = menu.notice("It \u001b[2Jstops.").split("\r\n");
    assert.equal(shown.length, rows);
    assert.ok(shown.at(-1)?.startsWith("\u001b[7mIt [2Jstops."));
    assert(!shown.at(-1)?.includes("\u001b[2J"));
    assert.match(menu.feed(Buffer.from("w")).output, /stops\./);
  }
  const lines = new LineMenu(targets);
  lines.feed(Buffer.from("we"));
  assert.equal(lines.notice("It stops."), "\r\nIt stops.\r\nNumber or name: we");
});

test("a terminal of lines has no escape sequences: numbers, names, and a narrower list", () => {
  const menu = new LineMenu(targets);
  assert.equal(
    menu.open(),
    "1  web1  web1.gate.example  #production\r\n2  web2  #production\r\n3  database  #production  #db\r\n4  lab  names like lab[0-9]+\r\nNumber or name: ",
  );
  assert.equal(menu.feed(Buffer.from("wx\u007f")).output, "wx\b \b");
  const narrowed = menu.feed(Buffer.from("eb\r")).output;
  assert.equal(
    narrowed,
    "eb\r\n1  web1  web1.gate.example  #production\r\n2  web2  #production\r\n3  lab  names like lab[0-9]+\r\nNumber or name: ",
  );
  assert.deepEqual(menu.feed(Buffer.from("2\rls")), {
    output: "2",
    outcome: { kind: "chosen", name: "web2" },
    taken: 2,
  });
});

test("a terminal of lines: whole names, names of patterns, and the ways out", () => {
  assert.deepEqual(typed(new LineMenu(targets), "database\r").outcome, { kind: "chosen", name: "database" });
  assert.deepEqual(typed(new LineMenu(targets), "lab12\r").outcome, { kind: "chosen", name: "lab12" });
  for (const key of ["\u0003", "\u0004", "\u001b\u001b"])
    assert.deepEqual(typed(new LineMenu(targets), key).outcome, { kind: "left" });
  const menu = new LineMenu(targets.slice(0, 3));
  assert.match(menu.feed(Buffer.from("nothing\r")).output, /Nothing like that/);
  assert.match(menu.feed(Buffer.from("\r")).output, /3 {2}database/);
  assert.equal(typed(menu, "99\r").outcome, undefined);
});
