import type { Problem } from "#config";
import { type Place, placeText, problemAt } from "./errors.ts";
import type { Imported, ImportOptions, SideFile } from "./imported.ts";
import { comment, type Flow, flow, scalar } from "./yaml-text.ts";

/** One key of the result, with what there is to say about it. */
export interface Entry {
  readonly key: string;
  readonly value: Flow;
  readonly notes?: readonly string[];
}

/** A rule as it is to be written. */
export interface RuleText {
  readonly name: string;
  readonly place: Place;
  readonly notes: readonly string[];
  readonly match: Flow;
  readonly targets?: Entry | undefined;
  readonly policy?: Entry | undefined;
  readonly sftp?: Entry | undefined;
  readonly login: readonly Flow[];
  readonly loginNotes: readonly string[];
  readonly upstream: readonly Entry[];
  /** Restrictions that would be lost, or proofs that are missing: each reason disables the rule. */
  readonly unsafe: readonly string[];
  /** What it can no longer do; disables it too, unless a partial result is wanted. */
  readonly lost: readonly string[];
}

/** Names of rules and of files beside the result: each once. */
export class Names {
  readonly #taken = new Set<string>();

  /** From what the other program calls it; without a letter or digit in it, `fallback`. */
  take(text: string, fallback: string): string {
    const cleaned = text
      .replace(/[^\w.-]+/g, "-")
      .replace(/^[-.]+|[-.]+$/g, "")
      .slice(0, 56);
    const wanted = /[A-Za-z0-9]/.test(cleaned) ? cleaned : fallback;
    for (let serial = 1; ; serial++) {
      const name = serial === 1 ? wanted : `${wanted}-${serial}`;
      // A file system may not tell upper from lower case.
      if (this.#taken.has(name.toLowerCase())) continue;
      this.#taken.add(name.toLowerCase());
      return name;
    }
  }
}

export interface ResultParts {
  /** Folder of the file that is imported. */
  readonly folder: string;
  readonly header: readonly string[];
  readonly globals: readonly Entry[];
  readonly rules: readonly RuleText[];
  readonly files: readonly SideFile[];
  readonly warnings: readonly Problem[];
}

/** Puts the result together. A rule that is disabled keeps its place: its names must not fall to a rule below it. */
export async function writeResult(
  parts: ResultParts,
  options: ImportOptions,
  nobody: string,
): Promise<Imported> {
  const lines = [...comment(parts.header.join("\n"))];
  for (const entry of parts.globals) lines.push(...entryLines(entry, ""));
  lines.push("", parts.rules.length === 0 ? "rules: []" : "rules:");
  const warnings = [...parts.warnings];
  let disabled = 0;
  // One hash, whose password was forgotten as soon as it was made, is enough for all.
  const locked = parts.rules.some((rule) => isDisabled(rule, options)) ? await options.hash(nobody) : "";
  for (const rule of parts.rules) {
    const off = isDisabled(rule, options);
    if (off) disabled += 1;
    for (const reason of [...rule.unsafe, ...rule.lost]) {
      const state = off ? "disabled" : "imported in part";
      warnings.push(problemAt(rule.place, `rule "${rule.name}" is ${state}: ${reason}`, "warning"));
    }
    lines.push("", ...ruleLines(rule, parts.folder, off ? locked : undefined));
  }
  const complete = parts.rules.every(({ unsafe, lost }) => unsafe.length + lost.length === 0);
  return {
    text: `${lines.join("\n")}\n`,
    files: parts.files,
    warnings,
    complete,
    rules: parts.rules.length,
    disabled,
  };
}

function isDisabled(rule: RuleText, options: ImportOptions): boolean {
  return rule.unsafe.length > 0 || (rule.lost.length > 0 && !options.partial) || rule.login.length === 0;
}

function entryLines({ key, value, notes = [] }: Entry, indent: string): string[] {
  return [...notes.flatMap((note) => comment(note, indent)), `${indent}${scalar(key)}: ${flow(value)}`];
}

function ruleLines(rule: RuleText, folder: string, locked: string | undefined): string[] {
  const indent = "    ";
  const lines = [
    ...comment(`From ${placeText(rule.place, folder)}.`, "  "),
    ...rule.notes.flatMap((note) => comment(note, "  ")),
  ];
  for (const reason of [...rule.unsafe, ...rule.lost])
    lines.push(...comment(`${locked === undefined ? "NOT IMPORTED" : "DISABLED"}: ${reason}`, "  "));
  lines.push(`  - name: ${scalar(rule.name)}`, `${indent}match: ${flow(rule.match)}`);
  for (const entry of [rule.policy, rule.sftp])
    if (entry !== undefined) lines.push(...entryLines(entry, indent));
  if (rule.targets !== undefined) lines.push(...entryLines(rule.targets, indent));
  lines.push(...rule.loginNotes.flatMap((note) => comment(note, indent)));
  if (locked === undefined) {
    lines.push(`${indent}login:`, ...rule.login.map((login) => `${indent}  - ${flow(login)}`));
  } else {
    const was =
      rule.login.length === 0
        ? "say here how people prove who they are."
        : `put this in its place:\n${rule.login.map((login) => `   - ${flow(login)}`).join("\n")}`;
    lines.push(
      ...comment(`Nobody knows the password of this hash. When what stands above is settled, ${was}`, indent),
      `${indent}login: [${flow({ kind: "password", hashes: [locked] })}]`,
    );
  }
  lines.push(`${indent}upstream:`, ...rule.upstream.flatMap((entry) => entryLines(entry, `${indent}  `)));
  return lines;
}
