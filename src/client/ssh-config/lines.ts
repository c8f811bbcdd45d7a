import { clientErrors } from "../errors.ts";

/** One setting of an ssh_config file. */
export interface ConfigLine {
  /** In lower case. */
  readonly keyword: string;
  /** The same as it was written. */
  readonly typed: string;
  /** The words after it, quotes and escapes resolved. */
  readonly words: readonly string[];
  /** All that follows it as written: commands are taken so. */
  readonly rest: string;
  readonly fileName: string;
  /** Counted from 1. */
  readonly line: number;
}

/** In place of a file: what was typed has no lines. */
export const commandLine = "On the command line";

/** More than any file of people holds. */
export const maxConfigBytes: number = 4 * 1024 * 1024;

/** Reads the lines of an ssh_config file (ssh_config(5)). Throws OPERATOR_CLIENT_CONFIG with file and line. */
export function readLines(text: string, fileName: string): ConfigLine[] {
  const lines: ConfigLine[] = [];
  for (const [index, content] of text.split("\n").entries()) {
    const line = index + 1;
    // Blanks and form feeds at the end mean nothing; nor does the return of other systems.
    const whole = content.replace(/[\s\f]+$/, "").replace(/^[ \t]+/, "");
    if (whole === "" || whole.startsWith("#")) continue;
    const found = /^("?)([A-Za-z0-9]+)\1(?:[ \t]*=[ \t]*|[ \t]+|$)(.*)$/s.exec(whole);
    const [, , keyword = "", rest = ""] = found ?? [];
    if (found === null) throw badLine(fileName, line, "there is no keyword");
    lines.push({
      keyword: keyword.toLowerCase(),
      typed: keyword,
      words: wordsOf(rest, fileName, line),
      rest,
      fileName,
      line,
    });
  }
  return lines;
}

export function badLine(fileName: string, line: number, reason: string): Error {
  return new clientErrors.OPERATOR_CLIENT_CONFIG(`${placeOf({ fileName, line })}: ${reason}.`);
}

/** As it is shown. */
export function placeOf({ fileName, line }: Pick<ConfigLine, "fileName" | "line">): string {
  return fileName === commandLine ? fileName : `${fileName}:${line}`;
}

/** Words between blanks; quotes hold blanks together, a backslash takes a quote, a backslash or a blank as it is, `#` ends the line. */
function wordsOf(rest: string, fileName: string, line: number): string[] {
  const words: string[] = [];
  let at = 0;
  for (;;) {
    while (rest[at] === " " || rest[at] === "\t") at += 1;
    if (at >= rest.length || rest[at] === "#") return words;
    let word = "";
    let quote = "";
    for (; at < rest.length; at += 1) {
      const char = rest[at] ?? "";
      const next = rest[at + 1] ?? "";
      if (
        char === "\\" &&
        (next === '"' || next === "'" || next === "\\" || (quote === "" && next === " "))
      ) {
        word += next;
        at += 1;
      } else if (quote === "" && (char === " " || char === "\t")) break;
      else if (quote === "" && (char === '"' || char === "'")) quote = char;
      else if (char === quote) quote = "";
      else word += char;
    }
    if (quote !== "") throw badLine(fileName, line, "a quote is not closed");
    words.push(word);
  }
}
