import type { ListedTarget, Menu, MenuOutcome, MenuStep, MenuTerminal } from "#contract";
import { type Key, KeyReader } from "./keys.ts";
import { detailsOf } from "./list.ts";
import { columnsOf, cutTo, printable, tailOf } from "./width.ts";

/** Characters of the text by which the list is narrowed. */
export const maxFilterChars = 64;

/** What terminals may say of their size; beyond it nobody can read anyhow. */
const maxColumns = 1000;
const maxRows = 500;

const enterScreen = "\u001b[?1049h\u001b[?25l";
const leaveScreen = "\u001b[?25h\u001b[?1049l";
const home = "\u001b[H";
const clearLine = "\u001b[K";
const clearBelow = "\u001b[J";
const inverse = "\u001b[7m";
const faint = "\u001b[2m";
const plain = "\u001b[0m";

const prompt = "> ";
const keysText = "type to filter, arrows to move, enter to connect, escape to leave";

/** A list of targets on a terminal: keys in, text out. It knows no connection and no clock. */
export class TargetMenu implements Menu {
  readonly #targets: readonly ListedTarget[];
  readonly #keys = new KeyReader();
  #columns: number;
  #rows: number;
  #filter = "";
  /** Of the targets that are shown. */
  #at = 0;
  #notice: string | undefined;

  constructor(targets: readonly ListedTarget[], terminal: MenuTerminal) {
    this.#targets = targets;
    [this.#columns, this.#rows] = sizeOf(terminal);
  }

  get pending(): boolean {
    return this.#keys.pending;
  }

  open(): string {
    return enterScreen + this.#draw();
  }

  close(): string {
    return leaveScreen;
  }

  resize(terminal: Pick<MenuTerminal, "columns" | "rows">): string {
    [this.#columns, this.#rows] = sizeOf(terminal);
    return this.#draw();
  }

  feed(bytes: Uint8Array): MenuStep {
    let moved = false;
    for (const [at, byte] of bytes.entries()) {
      const key = this.#keys.next(byte);
      if (key === undefined) continue;
      moved = true;
      const outcome = this.#press(key);
      if (outcome !== undefined) return { output: "", outcome, taken: at + 1 };
    }
    return { output: moved ? this.#draw() : "", taken: bytes.length };
  }

  idle(): MenuStep {
    const key = this.#keys.idle();
    const outcome = key === undefined ? undefined : this.#press(key);
    return { output: "", taken: 0, ...(outcome === undefined ? {} : { outcome }) };
  }

  notice(text: string): string {
    this.#notice = printable(text);
    return this.#draw();
  }

  #press(key: Key): MenuOutcome | undefined {
    const shown = this.#shown();
    const last = Math.max(0, shown.length - 1);
    const go = (at: number): void => void (this.#at = Math.min(last, Math.max(0, at)));
    switch (key.kind) {
      case "text":
        this.#narrow(this.#filter + printable(key.text));
        return undefined;
      case "erase":
        this.#narrow(Array.from(this.#filter).slice(0, -1).join(""));
        return undefined;
      case "clear":
        this.#narrow("");
        return undefined;
      case "up":
        go(this.#at - 1);
        return undefined;
      case "down":
        go(this.#at + 1);
        return undefined;
      case "page-up":
        go(this.#at - this.#listRows);
        return undefined;
      case "page-down":
        go(this.#at + this.#listRows);
        return undefined;
      case "first":
        go(0);
        return undefined;
      case "last":
        go(last);
        return undefined;
      case "redraw":
        return undefined;
      case "enter":
        return chosenBy(shown[this.#at], this.#filter);
      case "end":
        return this.#filter === "" ? { kind: "left" } : undefined;
      case "leave":
        return { kind: "left" };
    }
  }

  #narrow(filter: string): void {
    if (Array.from(filter).length > maxFilterChars) return;
    this.#filter = filter;
    this.#at = 0;
  }

  #shown(): readonly ListedTarget[] {
    return filtered(this.#targets, this.#filter);
  }

  /** Rows for targets: what the title, the filter and the last line leave, as far as there is room for those. */
  get #listRows(): number {
    if (this.#rows > 4) return this.#rows - 3;
    return Math.max(1, this.#rows - (this.#rows > 2 ? 1 : 0) - (this.#notice === undefined ? 0 : 1));
  }

  #draw(): string {
    const shown = this.#shown();
    const rows = this.#listRows;
    const first = Math.max(0, Math.min(this.#at - Math.floor(rows / 2), shown.length - rows));
    const visible = shown.slice(first, first + rows);
    const width = Math.max(0, ...visible.map(({ name }) => columnsOf(name)));
    const list = visible.map((target, at) => this.#line(target, width, first + at === this.#at));
    if (shown.length === 0) list.push(this.#cut("  nothing like that"));
    const filter = this.#cut(
      `${prompt}${tailOf(this.#filter, Math.max(0, this.#columns - prompt.length - 2))}_`,
    );
    const all = [...(this.#rows > 2 ? [filter] : []), ...list];
    const notice = this.#notice;
    if (notice !== undefined && this.#rows > 1) {
      // Where the keys are explained, if there is room for that.
      while (all.length < this.#rows - 1) all.push("");
      all.push(`${inverse}${this.#cut(notice)}${plain}`);
    } else if (this.#rows > 4) {
      const count = `${shown.length === 0 ? 0 : this.#at + 1}/${shown.length}`;
      while (all.length < this.#rows - 2) all.push("");
      all.push("", `${faint}${this.#cut(`${count}  ${keysText}`)}${plain}`);
    }
    return `${home}${all.map((line) => `${line}${clearLine}`).join("\r\n")}${clearBelow}`;
  }

  #line(target: ListedTarget, width: number, chosen: boolean): string {
    const name = target.name + " ".repeat(Math.max(0, width - columnsOf(target.name)));
    const text = this.#cut(`${chosen ? "▸ " : "  "}${name}  ${printable(detailsOf(target))}`.trimEnd());
    return chosen ? `${inverse}${text}${plain}` : text;
  }

  /** One column stays free: a full line would make some terminals wrap. */
  #cut(text: string): string {
    return cutTo(text, this.#columns - 1);
  }
}

/** All words of the filter stand somewhere in what is shown of a target. */
export function filtered(targets: readonly ListedTarget[], filter: string): readonly ListedTarget[] {
  const words = filter
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "");
  if (words.length === 0) return targets;
  return targets.filter((target) => {
    const text = `${target.name} ${detailsOf(target)}`.toLowerCase();
    return words.every((word) => text.includes(word)) || target.pattern !== undefined;
  });
}

/** A target that stands for many names is chosen by one of them: what was typed. */
export function chosenBy(target: ListedTarget | undefined, typed: string): MenuOutcome | undefined {
  if (target === undefined) return undefined;
  if (target.pattern === undefined) return { kind: "chosen", name: target.name };
  const name = typed.trim();
  return name === "" ? undefined : { kind: "chosen", name };
}

function sizeOf({ columns, rows }: Pick<MenuTerminal, "columns" | "rows">): [columns: number, rows: number] {
  // Zero: the terminal does not know.
  return [Math.min(columns === 0 ? 80 : columns, maxColumns), Math.min(rows === 0 ? 24 : rows, maxRows)];
}
