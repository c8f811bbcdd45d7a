/** One quoted string of Python 2, from its prefix to its closing quote. */
export interface StringToken {
  /** UTF-8, if the operator meant text. */
  readonly bytes: Buffer;
  /** Offset behind the closing quote. */
  readonly end: number;
}

/** Why a string cannot be read, and at which offset. */
export class StringProblem extends Error {
  readonly at: number;

  constructor(at: number, text: string) {
    super(text);
    this.at = at;
  }
}

const opening = /([A-Za-z]{0,2})('''|"""|'|")/y;

/** Whether a string begins at `at`: a quote, or letters that touch one. */
export function isStringStart(text: string, at: number): boolean {
  opening.lastIndex = at;
  return opening.test(text);
}

const singleEscapes: Readonly<Record<string, string>> = {
  "\\": "\\",
  "'": "'",
  '"': '"',
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

/**
 * Reads the string that begins at `at`, with the meaning that Python 2 gives it: without the prefix `u` it is bytes, in which `\u` is no
 * escape. Throws StringProblem.
 */
export function readString(text: string, at: number): StringToken {
  opening.lastIndex = at;
  const [whole = "", prefix = "", quote = ""] = opening.exec(text) ?? [];
  const letters = prefix.toLowerCase();
  if (letters.includes("f")) throw new StringProblem(at, "an f-string is code: write the finished text");
  if (!["", "r", "b", "u", "br", "rb", "ur"].includes(letters))
    throw new StringProblem(
      at,
      `a string cannot begin with ${prefix}${quote}: write r, b, u or nothing before the quote`,
    );
  const reader = new StringReader(
    text,
    at + whole.length,
    quote,
    letters.includes("r"),
    letters.includes("u"),
  );
  return reader.read(at);
}

class StringReader {
  readonly #text: string;
  readonly #quote: string;
  readonly #raw: boolean;
  readonly #unicode: boolean;
  #at: number;
  readonly #parts: Buffer[] = [];
  /** Text that is not yet in `parts`. */
  #pending = "";

  constructor(text: string, at: number, quote: string, raw: boolean, unicode: boolean) {
    this.#text = text;
    this.#at = at;
    this.#quote = quote;
    this.#raw = raw;
    this.#unicode = unicode;
  }

  read(start: number): StringToken {
    const text = this.#text;
    const long = this.#quote.length === 3;
    while (!text.startsWith(this.#quote, this.#at)) {
      const mark = text[this.#at];
      if (mark === undefined || (mark === "\n" && !long)) {
        const where = mark === undefined ? "the end of the file" : "the end of its line";
        throw new StringProblem(start, `this string is open at ${where}: close it with ${this.#quote}`);
      }
      if (mark === "\\") this.#escape();
      else {
        this.#pending += mark;
        this.#at += 1;
      }
    }
    this.#flush();
    return { bytes: Buffer.concat(this.#parts), end: this.#at + this.#quote.length };
  }

  #escape(): void {
    const at = this.#at;
    const mark = this.#text[at + 1] ?? "";
    if (this.#unicode && (mark === "u" || mark === "U")) {
      this.#codePoint(mark === "u" ? 4 : 8);
    } else if (this.#raw) {
      this.#pending += `\\${mark}`;
      this.#at += 1 + mark.length;
    } else if (mark === "\n") {
      this.#at += 2;
    } else if (mark === "x") {
      const digits = /^[0-9a-fA-F]{2}/.exec(this.#text.slice(at + 2, at + 4))?.[0];
      if (digits === undefined) throw new StringProblem(at, "\\x needs two hexadecimal digits behind it");
      this.#byte(Number.parseInt(digits, 16));
      this.#at += 4;
    } else if (/[0-7]/.test(mark)) {
      const digits = /^[0-7]{1,3}/.exec(this.#text.slice(at + 1, at + 4))?.[0] ?? "";
      this.#byte(Number.parseInt(digits, 8));
      this.#at += 1 + digits.length;
    } else if (this.#unicode && mark === "N") {
      throw new StringProblem(at, "\\N{…} is not read: write the character itself");
    } else {
      // An escape that Python does not know is no escape: the backslash stays.
      this.#pending += singleEscapes[mark] ?? `\\${mark}`;
      this.#at += 1 + mark.length;
    }
  }

  #codePoint(length: number): void {
    const digits = this.#text.slice(this.#at + 2, this.#at + 2 + length);
    const value = new RegExp(`^[0-9a-fA-F]{${length}}$`).test(digits)
      ? Number.parseInt(digits, 16)
      : Infinity;
    if (value > 0x10ffff) {
      const mark = this.#text[this.#at + 1] ?? "";
      throw new StringProblem(
        this.#at,
        `\\${mark} needs ${length} hexadecimal digits behind it, 10ffff at most`,
      );
    }
    this.#pending += String.fromCodePoint(value);
    this.#at += 2 + length;
  }

  #byte(value: number): void {
    if (this.#unicode) {
      this.#pending += String.fromCodePoint(value);
      return;
    }
    this.#flush();
    this.#parts.push(Buffer.of(value & 0xff));
  }

  #flush(): void {
    if (!this.#pending.isWellFormed())
      throw new StringProblem(this.#at, "half a character: \\ud800 to \\udfff stand in pairs only");
    this.#parts.push(Buffer.from(this.#pending, "utf8"));
    this.#pending = "";
  }
}
