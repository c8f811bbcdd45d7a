import { RE2JS } from "re2js";
import { baseErrors } from "./rows.ts";
import type { Captures } from "./template.ts";

/**
 * A regular expression over a whole text, matched in time linear in its length. People who have not logged in choose the text, so
 * an engine that backtracks would hand them the processor; this one (RE2's) cannot. Its price: no look-around, no back-references.
 */
export class Pattern {
  /** As written by the operator. */
  readonly source: string;
  /** Names of its groups, in order. */
  readonly names: readonly string[];
  /** How many groups it has, named or not. */
  readonly groupCount: number;
  readonly #program: RE2JS;

  /** Throws OPERATOR_PATTERN_INVALID. */
  constructor(source: string) {
    try {
      this.#program = RE2JS.compile(source);
    } catch (cause) {
      throw new baseErrors.OPERATOR_PATTERN_INVALID(reasonOf(cause), { cause });
    }
    this.source = source;
    this.groupCount = this.#program.groupCount();
    const named = this.#program.namedGroups() as Readonly<Record<string, number>>;
    this.names = Object.keys(named).sort((one, other) => (named[one] ?? 0) - (named[other] ?? 0));
  }

  /** What was caught, by name and by number ("1" …); undefined unless the whole text matches. */
  match(text: string): Captures | undefined {
    const matcher = this.#program.matcher(text);
    if (!matcher.matches()) return undefined;
    const captures: Record<string, string> = Object.create(null) as Record<string, string>;
    captures[0] = text;
    for (const group of [
      ...Array(this.groupCount)
        .keys()
        .map((at) => at + 1),
      ...this.names,
    ]) {
      const value: string | null = matcher.group(group);
      if (value !== null) captures[group] = value;
    }
    return captures;
  }

  toJSON(): string {
    return this.source;
  }
}

const lookAround = /\(\?<?[=!]/;

function reasonOf(cause: unknown): string {
  const text = cause instanceof Error ? cause.message.replace(/^error parsing regexp: /, "") : String(cause);
  if (lookAround.test(text))
    return `${text}; look-around is not possible, because matching must take linear time`;
  if (/invalid escape sequence: `\\[1-9]/.test(text)) {
    return `${text}; back-references are not possible, because matching must take linear time`;
  }
  return text;
}
