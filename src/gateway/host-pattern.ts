import { isHost, normalAddress } from "#base";
import { isIP } from "node:net";

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
  readonly expression: RegExp;
}

function stepOf(pattern: string, flags: string): PatternStep {
  const refuse = pattern.startsWith("!");
  const text = normalAddress(refuse ? pattern.slice(1) : pattern);
  const source = text.replace(/[\\^$.*+?()[\]{}|]/g, (mark) => {
    if (mark === "*") return ".*";
    return mark === "?" ? "." : `\\${mark}`;
  });
  return { refuse, expression: new RegExp(`^${source.replace(/(?:\.\*)+/g, ".*")}$`, flags) };
}

/**
 * An allow-list of hosts in the manner of ssh_config(5): `*` is any run of characters, `?` any one, `!` before a pattern refuses
 * what it matches. Upper and lower case are one; addresses are matched in their shortest form, mapped IPv4 as IPv4. `tag:NAME` is for devices by their tags.
 */
export class HostPatterns {
  readonly #patterns: readonly (PatternStep & { readonly overTags: boolean })[];

  constructor(patterns: readonly string[]) {
    this.#patterns = patterns.map((pattern) => ({
      ...stepOf(pattern, "is"),
      overTags: /^!?tag:/.test(pattern),
    }));
  }

  allow(host: string, tags: readonly string[] = []): boolean {
    // An address has many spellings, and one form here: what a pattern refuses, none of them may bring back.
    const name = normalAddress(host.endsWith(".") ? host.slice(0, -1) : host);
    const tagged = tags.map((tag) => `tag:${tag}`);
    const hosts = this.#patterns.filter(({ overTags }) => !overTags);
    const others = this.#patterns.filter(({ overTags }) => overTags);
    return decided([...taken(hosts, [name]), ...taken(others, tagged)]);
  }
}

/** The same for other names, of which one may have several. Upper and lower case differ. */
export class NamePatterns {
  readonly #patterns: readonly PatternStep[];

  constructor(patterns: readonly string[]) {
    this.#patterns = patterns.map((pattern) => stepOf(pattern, "s"));
  }

  /** One of the names is allowed, and none is refused. */
  allowAny(names: readonly string[]): boolean {
    return allowed(this.#patterns, names);
  }
}

function allowed(patterns: readonly PatternStep[], names: readonly string[]): boolean {
  return decided(taken(patterns, names));
}

function taken(patterns: readonly PatternStep[], names: readonly string[]): readonly PatternStep[] {
  return patterns.filter(({ expression }) => names.some((name) => expression.test(name)));
}

function decided(steps: readonly PatternStep[]): boolean {
  return steps.length > 0 && !steps.some(({ refuse }) => refuse);
}
