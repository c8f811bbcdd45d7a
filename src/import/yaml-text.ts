/** YAML as text, with comments where they belong. */

/** What stands in the result: text that means itself, or as `Verbatim` a reference that the loader is to fill in. */
export type Scalar = string | number | boolean | Verbatim;
export type Flow = Scalar | readonly Flow[] | { readonly [key: string]: Flow | undefined };

/** Text in which `${file:…}` and `${env:…}` are references. */
export class Verbatim {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

const commentWidth = 100;

/** Words that YAML, in its core schema or an older one, may take for something else than text. */
const special = /^(?:true|false|yes|no|on|off|null|y|n|~)$/i;

/** A scalar as it can stand anywhere, in a list in brackets too. */
export function scalar(value: Scalar): string {
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  const text = value instanceof Verbatim ? value.text : value.replaceAll("${", () => "$${");
  if (/^[A-Za-z_/][\w./@+-]*(?::[\w./@+-]+)*$/.test(text) && !special.test(text)) return text;
  // What has backslashes is easier to read without more of them.
  if (/^[\x20-\x7e]*$/.test(text) && /["\\]/.test(text)) return `'${text.replaceAll("'", "''")}'`;
  return JSON.stringify(text).replace(
    /[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]/g,
    (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** On one line: `[a, b]`, `{ kind: password, check: upstream }`. */
export function flow(value: Flow): string {
  if (typeof value !== "object" || value instanceof Verbatim) return scalar(value);
  if (isList(value)) return `[${value.map(flow).join(", ")}]`;
  const entries = Object.entries(value).flatMap(([key, inner]) =>
    inner === undefined ? [] : [`${scalar(key)}: ${flow(inner)}`],
  );
  return `{ ${entries.join(", ")} }`;
}

function isList(value: object): value is readonly Flow[] {
  return Array.isArray(value);
}

/** Lines of comment. Each line break of the text begins another; what is no printable text is left out. */
export function comment(text: string, indent: string = ""): string[] {
  const lines: string[] = [];
  for (const paragraph of text.split("\n")) {
    // A line that begins with a space is shown as it is.
    if (paragraph.startsWith(" ")) {
      lines.push(paragraph);
      continue;
    }
    let line = "";
    for (const word of paragraph.split(" ")) {
      if (line !== "" && line.length + word.length + 1 > commentWidth) {
        lines.push(line);
        line = word;
      } else line = line === "" ? word : `${line} ${word}`;
    }
    lines.push(line);
  }
  return lines.map((line) => `${indent}# ${printable(line)}`.trimEnd());
}

function printable(text: string): string {
  return text.replace(/[^\P{C}]/gu, "?").replace(/[\u2028\u2029]/g, "?");
}
