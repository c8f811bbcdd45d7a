import { ImportInvalid, type Place, problemAt } from "./errors.ts";
import { isStringStart, readString, StringProblem } from "./python-string.ts";

/** A value of Python's literal syntax. Tuples are lists. */
export type PythonValue = Place &
  (
    | { readonly kind: "text"; readonly value: string }
    | { readonly kind: "whole"; readonly value: bigint }
    | { readonly kind: "number"; readonly value: number }
    | { readonly kind: "truth"; readonly value: boolean }
    | { readonly kind: "none" }
    | { readonly kind: "list"; readonly items: readonly PythonValue[]; readonly tuple: boolean }
    | { readonly kind: "dict"; readonly entries: readonly (readonly [PythonValue, PythonValue])[] }
  );

/** What a file does, in its order. */
export type PythonStatement = Place &
  (
    | { readonly kind: "assign"; readonly name: string; readonly value: PythonValue }
    | { readonly kind: "include"; readonly path: string }
  );

const maxDepth = 64;
const numberText =
  /0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9_]+)?/y;
const nameText = /[\p{L}_][\p{L}\p{N}_]*/uy;
const codeWords = new Set(
  "import from def class if for while try with return print del global exec assert raise lambda pass async not".split(
    " ",
  ),
);

/**
 * Reads a file of assignments of literals and of `execfile("…")`, which is all that is understood: nothing is run. Throws
 * ImportInvalid with the place of what is anything else.
 */
export function parsePython(file: string, text: string): PythonStatement[] {
  return new PythonReader(file, text.replace(/^\ufeff/, "").replace(/\r\n?/g, "\n")).statements();
}

class PythonReader {
  readonly #file: string;
  readonly #text: string;
  #at = 0;
  /** Open brackets: within them a line end is space. */
  #depth = 0;
  /** Offsets at which lines begin, as far as they were counted. */
  readonly #lines: number[] = [0];

  constructor(file: string, text: string) {
    this.#file = file;
    this.#text = text;
    for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) this.#lines.push(at + 1);
  }

  statements(): PythonStatement[] {
    const found: PythonStatement[] = [];
    for (;;) {
      this.#toNextLine();
      if (this.#at >= this.#text.length) return found;
      do {
        this.#space();
        // A semicolon may end a line.
        if (this.#peek() === "\n" || this.#at >= this.#text.length) break;
        found.push(...this.#statement());
        this.#space();
      } while (this.#take(";"));
      if (this.#at < this.#text.length && this.#peek() !== "\n") this.#unexpected("the end of the line");
    }
  }

  /** To the first word of a line that has one. */
  #toNextLine(): void {
    for (;;) {
      const start = this.#at;
      this.#space();
      const mark = this.#peek();
      if (mark === "\n") this.#at += 1;
      else if (mark === undefined) return;
      else if (/[ \t]/.test(this.#text[start] ?? ""))
        this.#refuse(this.#at, "this line is indented: write assignments at the beginning of their lines");
      else return;
    }
  }

  #statement(): PythonStatement[] {
    if (isStringStart(this.#text, this.#at)) {
      // A text that stands alone does nothing: people write their comments so.
      this.#string();
      return [];
    }
    const at = this.#at;
    const name = this.#name();
    if (name === undefined) this.#unexpected('an assignment, such as listen = "0.0.0.0:2200"');
    this.#space();
    if (name === "execfile" && this.#take("(")) return [this.#include(at)];
    if (codeWords.has(name)) {
      this.#refuse(
        at,
        `"${name}" begins code, and nothing is run: write the values themselves, as NAME = VALUE`,
      );
    }
    const targets = [{ name, at }];
    for (;;) {
      if (this.#peek() !== "=" || this.#text[this.#at + 1] === "=") this.#notAssigned(name);
      this.#at += 1;
      this.#space();
      const next = this.#target();
      if (next === undefined) break;
      targets.push(next);
    }
    const value = this.#values();
    return targets.map((target) => ({ kind: "assign", name: target.name, value, ...this.#place(target.at) }));
  }

  #notAssigned(name: string): never {
    const grows = /(?:\+=|\.)/y;
    grows.lastIndex = this.#at;
    if (grows.test(this.#text))
      this.#refuse(
        this.#at,
        `"${name}" is changed here: write the whole value in one assignment, ${name} = …`,
      );
    return this.#unexpected(`"=" and a value for ${name}`);
  }

  /** The b of a = b = 1. */
  #target(): { name: string; at: number } | undefined {
    const at = this.#at;
    const name = isStringStart(this.#text, at) ? undefined : this.#name();
    if (name !== undefined) {
      this.#space();
      if (this.#peek() === "=" && this.#text[this.#at + 1] !== "=") return { name, at };
    }
    this.#at = at;
    return undefined;
  }

  #include(at: number): PythonStatement {
    this.#depth += 1;
    this.#space();
    if (!isStringStart(this.#text, this.#at))
      this.#unexpected('the name of a file, as execfile("conf.d/web.py")');
    const { value: path } = this.#string();
    this.#space();
    if (!this.#take(")")) this.#unexpected('")": one file is included at a time');
    this.#depth -= 1;
    if (path === "" || path.includes("\0")) this.#refuse(at, "this is no name of a file");
    return { kind: "include", path, ...this.#place(at) };
  }

  /** A value; with commas and without brackets, a tuple. */
  #values(): PythonValue {
    const at = this.#at;
    const items = [this.#value()];
    let tuple = false;
    for (this.#space(); this.#take(","); this.#space()) {
      tuple = true;
      this.#space();
      const mark = this.#peek();
      if (mark === undefined || mark === "\n" || mark === ";") break;
      items.push(this.#value());
    }
    const [first] = items;
    return tuple || first === undefined ? { kind: "list", items, tuple: true, ...this.#place(at) } : first;
  }

  #value(): PythonValue {
    this.#space();
    const at = this.#at;
    const place = this.#place(at);
    const mark = this.#peek();
    if (isStringStart(this.#text, at)) return { kind: "text", value: this.#string().value, ...place };
    if (mark === "[") return { kind: "list", tuple: false, ...this.#items("]"), ...place };
    if (mark === "(") {
      const { items, comma } = this.#items(")");
      const [first] = items;
      return items.length === 1 && !comma && first !== undefined
        ? first
        : { kind: "list", items, tuple: true, ...place };
    }
    if (mark === "{") return { kind: "dict", entries: this.#entries(), ...place };
    if (mark === "-" || mark === "+") {
      this.#at += 1;
      this.#space();
      return { ...this.#number(mark === "-"), ...place };
    }
    if (mark !== undefined && /[0-9.]/.test(mark)) return { ...this.#number(false), ...place };
    const name = this.#name();
    if (name === "True" || name === "False") return { kind: "truth", value: name === "True", ...place };
    if (name === "None") return { kind: "none", ...place };
    if (name !== undefined) {
      this.#refuse(
        at,
        `"${name}" is a name or code, and nothing is run: write the value itself, as "text", 22, True or [ … ]`,
      );
    }
    return this.#unexpected('a value: "text", a number, True, False, None, [ … ] or { … }');
  }

  #open(): void {
    this.#at += 1;
    this.#depth += 1;
    if (this.#depth > maxDepth) this.#refuse(this.#at - 1, "is nested too deeply");
  }

  #items(end: "]" | ")"): { items: PythonValue[]; comma: boolean } {
    this.#open();
    const items: PythonValue[] = [];
    let comma = false;
    for (this.#space(); this.#peek() !== end; this.#space()) {
      if (items.length > 0 && !comma) this.#unexpected(`"," or "${end}"`);
      items.push(this.#value());
      this.#space();
      comma = this.#take(",");
    }
    this.#at += 1;
    this.#depth -= 1;
    return { items, comma };
  }

  #entries(): (readonly [PythonValue, PythonValue])[] {
    this.#open();
    const entries: (readonly [PythonValue, PythonValue])[] = [];
    let comma = true;
    for (this.#space(); this.#peek() !== "}"; this.#space()) {
      if (!comma) this.#unexpected('"," or "}"');
      const key = this.#value();
      this.#space();
      if (!this.#take(":")) this.#unexpected('":" and a value behind the key');
      entries.push([key, this.#value()]);
      this.#space();
      comma = this.#take(",");
    }
    this.#at += 1;
    this.#depth -= 1;
    return entries;
  }

  /** Strings that stand side by side are one. */
  #string(): { value: string } {
    const start = this.#at;
    const parts: Buffer[] = [];
    try {
      do {
        const { bytes, end } = readString(this.#text, this.#at);
        parts.push(bytes);
        this.#at = end;
        this.#space();
      } while (isStringStart(this.#text, this.#at));
      return {
        value: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.concat(parts)),
      };
    } catch (error) {
      if (error instanceof StringProblem) this.#refuse(error.at, error.message);
      return this.#refuse(start, "this string is not text in UTF-8");
    }
  }

  #number(negative: boolean): { kind: "whole"; value: bigint } | { kind: "number"; value: number } {
    const at = this.#at;
    numberText.lastIndex = at;
    const written = numberText.exec(this.#text)?.[0];
    if (written === undefined) return this.#unexpected("a number");
    this.#at = numberText.lastIndex;
    if (/_(?:$|[_.])|[._xXoObB]_{2}/.test(written)) this.#refuse(at, `"${written}" is no number`);
    const digits = written.replaceAll("_", "");
    const whole = /^(?:0[xXoObB])?[0-9a-fA-F]+$/.test(digits) && !/^[0-9]+[eE]/.test(digits);
    if (whole && /[lL]/.test(this.#peek() ?? "")) this.#at += 1;
    if (/[\p{L}_]/u.test(this.#peek() ?? ""))
      this.#refuse(at, "no number that can be read: write a whole number, such as 22");
    if (!whole) {
      const value = Number(digits);
      return { kind: "number", value: negative ? -value : value };
    }
    if (/^0[0-9]+$/.test(digits) && /[89]/.test(digits))
      this.#refuse(at, `"${written}" begins with 0, which makes it octal: leave the 0 out`);
    const value = BigInt(digits.replace(/^0(?=[0-9])/, "0o"));
    return { kind: "whole", value: negative ? -value : value };
  }

  #name(): string | undefined {
    nameText.lastIndex = this.#at;
    const found = nameText.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  /** Spaces, comments, joined lines; within brackets line ends too. */
  #space(): void {
    for (;;) {
      const mark = this.#peek();
      if (mark === " " || mark === "\t" || mark === "\f" || (mark === "\n" && this.#depth > 0)) this.#at += 1;
      else if (mark === "#") {
        const end = this.#text.indexOf("\n", this.#at);
        this.#at = end < 0 ? this.#text.length : end;
      } else if (mark === "\\" && this.#text[this.#at + 1] === "\n") this.#at += 2;
      else return;
    }
  }

  #peek(): string | undefined {
    return this.#text[this.#at];
  }

  #take(mark: string): boolean {
    if (this.#peek() !== mark) return false;
    this.#at += 1;
    return true;
  }

  #unexpected(wanted: string): never {
    const mark = this.#peek();
    if (mark !== undefined && /[+\-*/%.([<>=!&|^~@]/.test(mark)) {
      this.#refuse(
        this.#at,
        `"${mark}" makes this an expression, and nothing is run: write the finished value (here, ${wanted})`,
      );
    }
    const found =
      mark === undefined
        ? "the end of the file"
        : mark === "\n"
          ? "the end of the line"
          : JSON.stringify(mark);
    this.#refuse(this.#at, `found ${found} in place of ${wanted}`);
  }

  #refuse(at: number, text: string): never {
    throw new ImportInvalid([problemAt(this.#place(at), text)]);
  }

  #place(at: number): Place {
    let low = 0;
    let high = this.#lines.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((this.#lines[middle] ?? 0) <= at) low = middle;
      else high = middle - 1;
    }
    return { file: this.#file, line: low + 1, column: at - (this.#lines[low] ?? 0) + 1 };
  }
}
