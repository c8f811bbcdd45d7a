/** Regular expressions of other programs, cut into pieces, and made to match whole names, as ours do. */
import { Pattern, PosternError } from "#base";
import { Untranslatable } from "./errors.ts";

/** An expression that has become ours. */
export interface Translated {
  /** Over the whole name. */
  readonly pattern: string;
  /** Our name for each named group, by the name it had. */
  readonly names: ReadonlyMap<string, string>;
  /** How many groups the expression had; they keep their numbers. */
  readonly groups: number;
  /** The groups that hold what stands before and after the match; absent where nothing can. */
  readonly before?: string;
  readonly after?: string;
}

/** No name is as long, and nobody reads one. */
const maxExpressionChars = 10_000;

type PieceKind = "text" | "escape" | "class" | "open" | "close" | "or" | "start" | "end" | "repeat";

interface Piece {
  readonly kind: PieceKind;
  readonly text: string;
  /** Within no group. */
  readonly outermost: boolean;
}

const posix = /\[:\^?[a-z]+:\]/y;
const group =
  /\((?:\?(?:P?<([A-Za-z_]\w*)>|P=\w*\)|<?[=!]|:|#[^)]*\)|\([^)]*\)|P?[^a-zA-Z]|P?[a-zA-Z]*-?[a-zA-Z]*[:)]|))?/y;
const repeat = /\{(\d*)(,?)(\d*)\}/y;

/** `posixClasses`: whether [[:alpha:]] means something. */
function piecesOf(source: string, posixClasses: boolean): Piece[] {
  const pieces: Piece[] = [];
  let depth = 0;
  let at = 0;
  const push = (kind: PieceKind, length: number, outermost = depth === 0): void => {
    pieces.push({ kind, text: source.slice(at, at + length), outermost });
    at += length;
  };
  while (at < source.length) {
    const mark = source[at] ?? "";
    if (mark === "\\") push("escape", escapeLength(source, at));
    else if (mark === "[") push("class", classLength(source, at, posixClasses));
    else if (mark === "(") {
      group.lastIndex = at;
      const length = group.exec(source)?.[0].length ?? 1;
      const outermost = depth === 0;
      // Comments, flags and back-references close themselves.
      if (source[at + length - 1] !== ")") depth += 1;
      push("open", length, outermost);
    } else if (mark === ")") {
      depth = Math.max(0, depth - 1);
      push("close", 1);
    } else if (mark === "|") push("or", 1);
    else if (mark === "^") push("start", 1);
    else if (mark === "$") push("end", 1);
    else if ("*+?".includes(mark)) push("repeat", 1);
    else {
      repeat.lastIndex = at;
      const repeats = mark === "{" ? repeat.exec(source) : null;
      const real = repeats !== null && repeats[0] !== "{}";
      push(real ? "repeat" : "text", real ? repeats[0].length : mark.length);
    }
  }
  return pieces;
}

function escapeLength(source: string, at: number): number {
  const found =
    /^\\(?:x[0-9a-fA-F]{2}|x\{[0-9a-fA-F]+\}|[pP]\{[^}]*\}|0[0-7]{0,2}|[0-3][0-7]{2}|[1-9][0-9]?|.)?/s;
  return found.exec(source.slice(at, at + 64))?.[0].length ?? 1;
}

function classLength(source: string, start: number, posixClasses: boolean): number {
  let at = start + 1;
  if (source[at] === "^") at += 1;
  // The first bracket is a member.
  if (source[at] === "]") at += 1;
  while (at < source.length && source[at] !== "]") {
    posix.lastIndex = at;
    const named = posixClasses ? posix.exec(source) : null;
    at += named !== null ? named[0].length : source[at] === "\\" ? 2 : 1;
  }
  return Math.min(at + 1, source.length) - start;
}

/** The name of a group that a piece opens. */
function groupName(text: string): string | undefined {
  return /^\(\?P?<([A-Za-z_]\w*)>$/.exec(text)?.[1];
}

function isCapturing(text: string): boolean {
  return text === "(" || groupName(text) !== undefined;
}

/** Names of groups for our templates: `user` is the whole name there, so a group that has it gets another. */
function renamed(pieces: readonly Piece[]): Map<string, string> {
  const taken = pieces.flatMap(({ kind, text }) => (kind === "open" ? (groupName(text) ?? []) : []));
  return new Map(taken.map((name) => [name, name === "user" ? fresh("user_", taken) : name]));
}

function fresh(name: string, taken: readonly string[]): string {
  return taken.includes(name) ? fresh(`${name}_`, taken) : name;
}

/** A piece of Python's syntax in RE2's. Flags go to `flags`. Throws Untranslatable. */
function fromPython(piece: Piece, names: ReadonlyMap<string, string>, flags: Set<string>): string {
  const { kind, text } = piece;
  switch (kind) {
    case "escape":
      return escapeFromPython(text);
    case "class":
      return classFromPython(text);
    case "repeat":
      if (text.startsWith("{,")) return text === "{,}" ? "*" : `{0${text.slice(1)}`;
      return text;
    case "open":
      return openFromPython(text, names, flags);
    case "text":
      return text === "{" || text === "}" ? `\\${text}` : text;
    case "close":
    case "or":
    case "start":
    case "end":
      return text;
  }
}

const linear = "because matching must take linear time, so that no name can hang the gateway";

function openFromPython(text: string, names: ReadonlyMap<string, string>, flags: Set<string>): string {
  const name = groupName(text);
  if (name !== undefined) return `(?<${names.get(name) ?? name}>`;
  if (text.startsWith("(?#")) return "";
  if (/^\(\?<?[=!]/.test(text)) {
    throw new Untranslatable(
      `${text}…) is look-around, which is not possible ${linear}; write the expression without it`,
    );
  }
  if (text.startsWith("(?P=")) {
    throw new Untranslatable(
      `${text} is a back-reference, which is not possible ${linear}; write the expression without it`,
    );
  }
  if (text.startsWith("(?(")) {
    throw new Untranslatable(
      `${text}…) is a condition, which is not possible ${linear}; write the expression without it`,
    );
  }
  const found = /^\(\?([a-zA-Z]+)\)$/.exec(text)?.[1];
  if (found === undefined) return text;
  for (const flag of found) {
    if (!"ims".includes(flag))
      throw new Untranslatable(
        `${text} is not possible: of the flags only i, m and s are; write the expression without it`,
      );
    flags.add(flag);
  }
  return "";
}

function escapeFromPython(text: string): string {
  const mark = text[1];
  if (mark === undefined) throw new Untranslatable("it ends with a backslash");
  if (text === "\\Z") return "\\z";
  if (/^\\0|^\\[0-3][0-7]{2}$/.test(text)) return byteEscape(Number.parseInt(text.slice(1), 8));
  if (/[1-9]/.test(mark)) {
    throw new Untranslatable(
      `${text} is a back-reference, which is not possible ${linear}; write the expression without it`,
    );
  }
  if (text.startsWith("\\x") || /[AbBdDsSwWafnrtv]/.test(mark)) return text;
  // Python takes a letter that means nothing as itself; RE2 would refuse it, or take it for something of its own.
  if (/[A-Za-z]/.test(mark)) return mark;
  return /[ -~]/.test(mark) ? text : mark;
}

function byteEscape(value: number): string {
  return `\\x${value.toString(16).padStart(2, "0")}`;
}

function classFromPython(text: string): string {
  if (!text.endsWith("]") || text.length < 3) throw new Untranslatable("a [ is not closed");
  const negated = text.startsWith("[^");
  let inner = text.slice(negated ? 2 : 1, -1);
  let out = "";
  while (inner !== "") {
    const length = inner.startsWith("\\") ? escapeLength(inner, 0) : 1;
    const one = inner.slice(0, length);
    inner = inner.slice(length);
    if (one === "\\b") out += "\\x08";
    else if (one === "[" || one === "]") out += `\\${one}`;
    else if (/^\\[AZB]$/.test(one)) out += one.slice(1);
    else if (/^\\[1-9]/.test(one)) out += byteEscape(Number.parseInt(one.slice(1), 8) & 0xff);
    else out += one.startsWith("\\") ? escapeFromPython(one) : one;
  }
  return `[${negated ? "^" : ""}${out}]`;
}

/** An expression as Python 2's `re.search` reads it, made ours. Throws Untranslatable. */
export function fromPythonExpression(source: string): Translated {
  return translate(source, false, fromPython);
}

/** An expression as Go's `MatchString` reads it: RE2's syntax as ours, but found anywhere in the name. Throws Untranslatable. */
export function fromGoExpression(source: string): Translated {
  return translate(source, true, ({ kind, text }, names) => {
    const name = kind === "open" ? groupName(text) : undefined;
    return name === undefined ? text : `(?<${names.get(name) ?? name}>`;
  });
}

function translate(
  source: string,
  go: boolean,
  one: (piece: Piece, names: ReadonlyMap<string, string>, flags: Set<string>) => string,
): Translated {
  if (source.length > maxExpressionChars)
    throw new Untranslatable(`is longer than ${maxExpressionChars} characters`);
  const pieces = piecesOf(source, go);
  const names = renamed(pieces);
  const flags = new Set<string>();
  const parts = pieces.map((piece) => one(piece, names, flags));
  const prefix = flags.size === 0 ? "" : `(?${[...flags].sort().join("")})`;
  const { starts, ends } = anchorsOf(pieces);
  const either = pieces.some(({ kind, outermost }) => kind === "or" && outermost);
  const body = either ? `(?:${parts.join("")})` : parts.join("");
  const taken = [...names.values()];
  // Group numbers must stay: what stands before the match is caught only where a template may ask for it, by a number that shifts.
  const beforeName = starts ? undefined : fresh("before", taken);
  const afterName = ends ? undefined : fresh("after", taken);
  const groups = pieces.filter(({ kind, text }) => kind === "open" && isCapturing(text)).length;
  const catches = go && (beforeName !== undefined || afterName !== undefined);
  const any = (name: string | undefined, lazy: string): string => {
    if (name === undefined) return "";
    return catches ? `(?<${name}>.*${lazy})` : `.*${lazy}`;
  };
  const pattern = `${prefix}${any(beforeName, "?")}${body}${any(afterName, "")}`;
  check(pattern, source);
  return {
    pattern,
    names,
    groups,
    ...(beforeName === undefined ? {} : { before: beforeName }),
    ...(afterName === undefined ? {} : { after: afterName }),
  };
}

/** Whether a match always begins where the name begins, and ends where it ends. */
function anchorsOf(pieces: readonly Piece[]): { starts: boolean; ends: boolean } {
  const lines = pieces.some(({ kind, text }) => kind === "open" && /^\(\?[a-zA-Z]*m/.test(text));
  const either = pieces.some(({ kind, outermost }) => kind === "or" && outermost);
  if (lines || either) return { starts: false, ends: false };
  const own = pieces.filter(
    ({ kind, text }) => kind !== "open" || !/^\(\?(?:[a-zA-Z-]*|#[^)]*)\)$/.test(text),
  );
  const [first, second] = own;
  const last = own.at(-1);
  const beforeLast = own.at(-2);
  // Greedy, it takes all that there is.
  const any = (dot: Piece | undefined, star: Piece | undefined): boolean =>
    dot?.kind === "text" && dot.text === "." && dot.outermost && star?.kind === "repeat" && star.text === "*";
  return {
    starts:
      // What may occur, or may not, holds nothing.
      (second?.kind !== "repeat" && (first?.kind === "start" || first?.text === "\\A")) ||
      (any(first, second) && own[2]?.kind !== "repeat"),
    ends:
      (last?.outermost === true && (last.kind === "end" || /^\\[zZ]$/.test(last.text))) ||
      any(beforeLast, last),
  };
}

function check(pattern: string, source: string): void {
  try {
    void new Pattern(pattern);
  } catch (error) {
    if (!(error instanceof PosternError)) throw error;
    throw new Untranslatable(`${JSON.stringify(source)} cannot be used: ${error.detail ?? error.message}`);
  }
}
