import { isHost, normalAddress } from "#base";
import { isIP } from "node:net";
import { matchPattern } from "#ssh/keys";

/**
 * Whether `host` can be dialled as what it says. Resolvers read "0x7f.1" or "127.1" as addresses, so a name that ends like a number
 * must be a plain address.
 */
export function isDialable(host: string): boolean {
  if (!isHost(host)) return false;
  const last = host.replace(/\.$/, "").split(".").at(-1) ?? "";
  return isIP(host) !== 0 || !/^(?:[0-9]+|0x[0-9a-f]*)$/i.test(last);
}

interface PatternStep {
  readonly refuse: boolean;
  readonly pattern: string;
}

function stepOf(pattern: string): PatternStep {
  const refuse = pattern.startsWith("!");
  return { refuse, pattern: refuse ? pattern.slice(1) : pattern };
}

/** Of ASCII alone: in other tables the Kelvin sign is a k, and the long s an s. */
function folded(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/**
 * An allow-list of hosts in the manner of ssh_config(5): `*` is any run of characters, `?` any one, `!` before a pattern refuses
 * what it matches. Upper and lower case are one; addresses are matched in their shortest form, mapped IPv4 as IPv4. `tag:NAME` is for devices by their tags.
 */
export class HostPatterns {
  readonly #hosts: readonly PatternStep[];
  readonly #tags: readonly PatternStep[];

  constructor(patterns: readonly string[]) {
    const steps = patterns.map(stepOf).map(({ refuse, pattern }) => ({
      refuse,
      pattern: folded(normalAddress(pattern)),
      overTags: pattern.startsWith("tag:"),
    }));
    this.#hosts = steps.filter(({ overTags }) => !overTags);
    this.#tags = steps.filter(({ overTags }) => overTags);
  }

  allow(host: string, tags: readonly string[] = []): boolean {
    // An address has many spellings, and one form here: what a pattern refuses, none of them may bring back.
    const name = folded(normalAddress(host.endsWith(".") ? host.slice(0, -1) : host));
    const tagged = tags.map((tag) => folded(`tag:${tag}`));
    return decided([...taken(this.#hosts, [name]), ...taken(this.#tags, tagged)]);
  }
}

/** The same for other names, of which one may have several. Upper and lower case differ. */
export class NamePatterns {
  readonly #patterns: readonly PatternStep[];

  constructor(patterns: readonly string[]) {
    this.#patterns = patterns.map(stepOf);
  }

  /** One of the names is allowed, and none is refused. */
  allowAny(names: readonly string[]): boolean {
    return decided(taken(this.#patterns, names));
  }
}

function taken(steps: readonly PatternStep[], names: readonly string[]): readonly PatternStep[] {
  return steps.filter(({ pattern }) => names.some((name) => matchPattern(name, pattern)));
}

function decided(steps: readonly PatternStep[]): boolean {
  return steps.length > 0 && !steps.some(({ refuse }) => refuse);
}
