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
  #compiled: Compiled | undefined;

  /** Throws OPERATOR_PATTERN_INVALID; one that is ours, and so right, may wait: the engine is large, and not every gateway needs it. */
  constructor(source: string, when: "now" | "first-used" = "now") {
    this.source = source;
    if (when === "now") this.#compiled = compile(source);
  }

  /** Names of its groups, in order. */
  get names(): readonly string[] {
    return this.#parts().names;
  }

  /** How many groups it has, named or not. */
  get groupCount(): number {
    return this.#parts().groupCount;
  }

  #parts(): Compiled {
    this.#compiled ??= compile(this.source);
    return this.#compiled;
  }

  /** What was caught, by name and by number ("1" …); undefined unless the whole text matches. */
  match(text: string): Captures | undefined {
    const { program, names, groupCount } = this.#parts();
    const matcher = program.matcher(text);
    if (!matcher.matches()) return undefined;
    const captures: Record<string, string> = Object.create(null) as Record<string, string>;
    captures[0] = text;
    for (const group of [
      ...Array(groupCount)
        .keys()
        .map((at) => at + 1),
      ...names,
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

interface Compiled {
  readonly program: RE2JS;
  readonly names: readonly string[];
  readonly groupCount: number;
}

function compile(source: string): Compiled {
  let program: RE2JS;
  try {
    program = RE2JS.compile(source);
  } catch (cause) {
    throw new baseErrors.OPERATOR_PATTERN_INVALID(reasonOf(cause), { cause });
  }
  const named = program.namedGroups() as Readonly<Record<string, number>>;
  const names = Object.keys(named).sort((one, other) => (named[one] ?? 0) - (named[other] ?? 0));
  return { program, names, groupCount: program.groupCount() };
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
