import { Secret } from "#base";
import { type Config, restartKeys } from "./schema.ts";

/** What differs between two configurations: top-level keys, and of `log` the keys within. */
export interface ConfigDiff {
  /** Takes effect at a reload. */
  readonly live: readonly string[];
  /** Stays as it was until the gateway is started anew. */
  readonly restart: readonly string[];
}

export function diffConfig(before: Config, after: Config): ConfigDiff {
  const [old, recent] = [flat(before), flat(after)];
  const keys = new Set([...Object.keys(old), ...Object.keys(recent)]);
  const changed = [...keys].filter((key) => key !== "file" && !alike(old[key], recent[key]));
  const restart: readonly string[] = restartKeys;
  return {
    live: changed.filter((key) => !restart.includes(key)),
    restart: changed.filter((key) => restart.includes(key)),
  };
}

/** The level of the log changes at once, its place does not. */
function flat({ log, ...rest }: Config): Readonly<Record<string, unknown>> {
  const inner = Object.entries(log).map(([key, value]): [string, unknown] => [`log.${key}`, value]);
  return { ...rest, ...Object.fromEntries(inner) };
}

/** Whether two parts of configurations say the same. */
export function alike(one: unknown, other: unknown): boolean {
  if (one instanceof Secret || other instanceof Secret) {
    return one instanceof Secret && other instanceof Secret && one.equals(other);
  }
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null)
    return one === other;
  const plainOne = plain(one);
  const plainOther = plain(other);
  if (typeof plainOne === "string" || typeof plainOther === "string") return plainOne === plainOther;
  const keys = Object.keys(plainOne);
  return (
    keys.length === Object.keys(plainOther).length &&
    keys.every((key) => Object.hasOwn(plainOther, key) && alike(plainOne[key], plainOther[key]))
  );
}

/** Networks, patterns and templates are what their text is. A rule's place may move without the rule changing. */
function plain(value: object): string | Readonly<Record<string, unknown>> {
  if ("toJSON" in value && typeof value.toJSON === "function") return String(value.toJSON());
  if ("text" in value && "expand" in value) return String(value.text);
  const { place: _, ...rest } = value as Readonly<Record<string, unknown>>;
  return rest;
}
