import { path as pathShape, withPaths } from "#base";
import { glob, stat } from "node:fs/promises";
import { basename, dirname, join, relative, resolve } from "node:path";
import type * as z from "zod";
import { adviceOn, type PlacedRule, secretsInClear, unrecorded, userless, usersInClear } from "./advice.ts";
import {
  checkTargets,
  checkUpstreamTargets,
  placedMounts,
  placedUpstream,
  type PlacedSplice,
  type PlacedTarget,
} from "./target-advice.ts";
import { checkDevices } from "./device-advice.ts";
import { checkEntries } from "./entry-advice.ts";
import { uncertified } from "./certificate-advice.ts";
import { checkSignIn } from "./sign-in-advice.ts";
import { maxFileBytes, YamlDocument } from "./document.ts";
import { ConfigInvalid } from "./errors.ts";
import { deepFreeze } from "./freeze.ts";
import { problemsOf, valueAt } from "./issue.ts";
import { devicePortPlan } from "./listen.ts";
import type { Problem } from "./problem.ts";
import { readText } from "./read-text.ts";
import {
  type Config,
  controlSchema,
  type IncludedFile,
  includedSchema,
  type MainFile,
  mainSchema,
} from "./schema.ts";

export interface LoadOptions {
  /** What `${env:NAME}` may name. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Refuse paths of keys and known_hosts where no file is. Default true. */
  readonly filesMustExist?: boolean;
  /** Reads one file of text; default `readText`. For who keeps what was read, or reads what was kept. */
  readonly read?: (path: string, maxBytes: number) => Promise<string>;
}

export interface Loaded {
  readonly config: Config;
  readonly warnings: readonly Problem[];
}

/** Far more than anybody writes; a glob over a whole disk ends here. */
const maxIncludedFiles = 1000;
const maxSubstitutedFileBytes = 64 * 1024;

/** Reads a configuration file and all that it includes. Throws ConfigInvalid with everything that is wrong. */
export async function loadConfig(file: string, options: LoadOptions): Promise<Loaded> {
  const path = resolve(file);
  const loader = new Loader(options);
  return await loader.load(path, shownName(path), () => loader.readText(path));
}

/** The same for a text that is in no file: `name` stands for it in messages, relative paths begin at `directory`. */
export async function parseConfig(
  text: string,
  name: string,
  directory: string,
  options: LoadOptions,
): Promise<Loaded> {
  const loader = new Loader(options);
  return await loader.load(join(directory, "config"), name, async () => text);
}

/** As the operator would name it: relative where that is shorter. */
function shownName(path: string): string {
  const fromHere = relative(process.cwd(), path);
  return fromHere.length < path.length && !fromHere.startsWith("..") ? fromHere : path;
}

/**
 * Where the control socket of a gateway with this file is, even if the rest of the file is wrong: its reload is what will say so. Throws
 * ConfigInvalid only when these lines themselves cannot be read.
 */
export async function readControlPath(file: string, options: LoadOptions): Promise<string> {
  const { control, stateDir } = await new Loader(options).places(resolve(file));
  return control ?? join(stateDir, "control.sock");
}

/** Its state directory, likewise. */
export async function readStateDir(file: string, options: LoadOptions): Promise<string> {
  const { stateDir } = await new Loader(options).places(resolve(file));
  return stateDir;
}

class Loader {
  readonly #options: LoadOptions;
  readonly #problems: Problem[] = [];
  readonly #rules: PlacedRule[] = [];
  readonly #splices: PlacedSplice[] = [];
  readonly #targets: PlacedTarget[] = [];
  #files = 0;

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  async readText(path: string, maxBytes: number = maxFileBytes): Promise<string> {
    return await (this.#options.read ?? readText)(path, maxBytes);
  }

  async load(path: string, name: string, read: () => Promise<string>): Promise<Loaded> {
    const main = await this.#visit(path, name, read, mainSchema, [path]);
    if (main !== undefined) {
      this.#checkRules(main.document);
      const named = { targets: this.#targets, rules: this.#splices };
      this.#problems.push(...checkEntries(main.found, main.document, named));
      const all = { targets: this.#targets, rules: this.#rules };
      this.#problems.push(...checkDevices(main.found, main.document, all));
      const logins = { rules: this.#rules, splices: this.#splices };
      this.#problems.push(...checkSignIn(main.found, main.document, logins));
      if (this.#options.filesMustExist !== false)
        this.#problems.push(...(await uncertified(main.found, main.document, (path) => this.readText(path))));
    }
    const config = main === undefined ? undefined : this.#finish(name, main.found, main.document);
    const problems = inOrder(this.#problems);
    if (config === undefined || problems.some(({ severity }) => severity === "error"))
      throw new ConfigInvalid(problems);
    return { config: deepFreeze(config), warnings: problems };
  }

  async places(path: string): Promise<Pick<MainFile, "stateDir" | "control">> {
    const document = await this.#read(path, shownName(path), () => this.readText(path));
    if (document === undefined) throw new ConfigInvalid(this.#problems);
    const paths = { directory: dirname(path), mustExist: false };
    const parsed = withPaths(paths, () => controlSchema.safeParse(document.value));
    if (parsed.data !== undefined && !document.isBroken(["control"]) && !document.isBroken(["stateDir"])) {
      return parsed.data;
    }
    const issues = parsed.error?.issues ?? [];
    throw new ConfigInvalid([
      ...document.problems,
      ...issues.flatMap((issue) => problemsOf(issue, controlSchema, document)),
    ]);
  }

  /** One file: its own values checked, its rules and those that it includes appended in their order. */
  async #visit<T extends IncludedFile>(
    path: string,
    name: string,
    read: () => Promise<string>,
    schema: z.ZodType<T>,
    chain: readonly string[],
  ): Promise<{ found: T; document: YamlDocument } | undefined> {
    const directory = dirname(path);
    const document = await this.#read(path, name, read);
    if (document === undefined) return undefined;
    const found = this.#check(document, schema, directory);
    const includesFirst = document.keyOffset(["include"]) < document.keyOffset(["rules"]);
    const own = rulesOf(found, document);
    this.#targets.push(...(found?.targets ?? []).map((target, at) => ({ target, document, at })));
    if (!includesFirst) this.#add(own);
    for (const [at, entry] of includesOf(document.value)) {
      await this.#include(document, ["include", at], entry, directory, chain);
    }
    if (includesFirst) this.#add(own);
    await this.#adviseOnMode(path, document, own.rules);
    return found === undefined ? undefined : { found, document };
  }

  #add({ rules, splices }: ReturnType<typeof rulesOf>): void {
    this.#rules.push(...rules);
    this.#splices.push(...splices);
  }

  async #read(path: string, name: string, read: () => Promise<string>): Promise<YamlDocument | undefined> {
    let text: string;
    try {
      text = await read();
    } catch (error) {
      this.#problems.push(wholeFile(name, error));
      return undefined;
    }
    const document = await YamlDocument.read(name, text, {
      variable: (variable) => this.#options.environment[variable],
      file: (file) => this.readText(resolve(dirname(path), file), maxSubstitutedFileBytes),
    });
    if (document.value !== undefined) return document;
    this.#problems.push(...document.problems);
    return undefined;
  }

  #check<T>(document: YamlDocument, schema: z.ZodType<T>, directory: string): T | undefined {
    const paths = { directory, mustExist: this.#options.filesMustExist ?? true };
    const parse = (): z.ZodSafeParseResult<T> => withPaths(paths, () => schema.safeParse(document.value));
    let parsed = parse();
    // What comes from outside is text; where a number or a truth value is due, it is read as one.
    if (parsed.error !== undefined && this.#readForeign(document, parsed.error.issues)) parsed = parse();
    this.#problems.push(...document.problems);
    for (const issue of parsed.error?.issues ?? [])
      this.#problems.push(...problemsOf(issue, schema, document));
    return parsed.data;
  }

  #readForeign(document: YamlDocument, issues: readonly z.core.$ZodIssue[]): boolean {
    let changed = false;
    for (const issue of issues) {
      const key = issue.path.at(-1);
      if (issue.code !== "invalid_type" || key === undefined || !document.isForeign(issue.path)) continue;
      const holder = valueAt(document.value, issue.path.slice(0, -1)) as Record<PropertyKey, unknown>;
      const read = asScalar(String(holder[key]), issue.expected);
      if (read === undefined) continue;
      holder[key] = read;
      changed = true;
    }
    return changed;
  }

  async #include(
    document: YamlDocument,
    place: readonly PropertyKey[],
    entry: string,
    directory: string,
    chain: readonly string[],
  ): Promise<void> {
    const refuse = (text: string): void => void this.#problems.push(document.problem(place, text));
    const paths: string[] = [];
    if (/[*?[\]{}]/.test(entry)) {
      for await (const match of glob(entry, { cwd: directory })) {
        paths.push(resolve(directory, match));
        if (paths.length > maxIncludedFiles) break;
      }
      paths.sort((one, other) => (one < other ? -1 : 1));
    } else paths.push(resolve(directory, entry));
    for (const path of paths) {
      if (chain.includes(path)) {
        const circle = [...chain.slice(chain.indexOf(path)), path].map((step) => basename(step));
        refuse(`goes in a circle: ${circle.join(" includes ")}`);
      } else if (++this.#files > maxIncludedFiles) {
        refuse(`brings more than ${maxIncludedFiles} files`);
        return;
      } else {
        await this.#visit(path, shownName(path), () => this.readText(path), includedSchema, [...chain, path]);
      }
    }
  }

  #checkRules(main: YamlDocument): void {
    const places = new Map<string, string>();
    for (const { rule, document, at } of [...this.#rules, ...this.#splices]) {
      const earlier = places.get(rule.name);
      if (earlier !== undefined) {
        this.#problems.push(
          document.problem(["rules", at, "name"], `"${rule.name}" is the name of the rule at ${earlier} too`),
        );
      } else places.set(rule.name, placeOf(document, at));
    }
    if (this.#problems.length === 0 && places.size === 0) {
      this.#problems.push(
        main.problem(["rules"], "has no rule, so nobody can log in", { severity: "warning" }),
      );
    }
    const serves = this.#rules.flatMap(({ rule: { serve, match }, document, at }) => [
      ...(serve === undefined ? [] : [{ targets: serve.targets, document, path: ["rules", at, "targets"] }]),
      ...(match.targets === undefined
        ? []
        : [{ targets: match.targets, document, path: ["rules", at, "match", "targets"] }]),
    ]);
    this.#problems.push(...adviceOn(this.#rules), ...checkTargets(this.#targets, this.#splices, serves));
    this.#problems.push(...checkUpstreamTargets(this.#targets, this.#rules));
  }

  #finish(name: string, main: MainFile, document: YamlDocument): Config {
    const { include, ...kept } = main;
    void include;
    const hostKeys = main.hostKeys ?? [join(main.stateDir, "ssh_host_ed25519_key")];
    if (main.audit.length === 0) this.#problems.push(...unrecorded(this.#rules));
    const { people, file, htpasswd } = main.users;
    if (file === undefined && htpasswd === undefined && Object.keys(people).length === 0)
      this.#problems.push(...userless(this.#rules));
    if (main.hostKeys === undefined && this.#options.filesMustExist !== false) {
      for (const file of hostKeys) this.#requireHostKey(file, document);
    }
    return {
      ...kept,
      listen: [
        ...main.listen,
        ...(main.devices?.tcp ?? []).map(({ listen, ...device }) => devicePortPlan(listen, device)),
      ],
      file: name,
      hostKeys,
      control: main.control ?? join(main.stateDir, "control.sock"),
      targets: this.#targets.map(({ target }) => target),
      rules: this.#rules.map(({ rule, document: holder, at }) => ({
        ...rule,
        upstream: placedUpstream(rule.upstream, this.#targets),
        ...(rule.sftp === undefined ? {} : { sftp: placedMounts(rule.sftp, this.#targets) }),
        place: placeOf(holder, at),
      })),
      spliceRules: this.#splices.map(({ rule, document: holder, at }) => ({
        ...rule,
        place: placeOf(holder, at),
      })),
    };
  }

  #requireHostKey(file: string, document: YamlDocument): void {
    // The same look as for hostKeys that are given, at the same moment.
    const missing = withPaths(
      { directory: "/", mustExist: true },
      () => pathShape({ exists: true }).safeParse(file).error,
    );
    if (missing === undefined) return;
    const hint = `there is no file ${file}; make it with: postern key generate ${file}`;
    this.#problems.push(document.problem(["hostKeys"], hint));
  }

  async #adviseOnMode(path: string, document: YamlDocument, own: readonly PlacedRule[]): Promise<void> {
    // It has no mode if it is no file.
    const { mode } = await stat(path).catch(() => ({ mode: 0 }));
    if ((mode & 0o044) === 0) return;
    const first = [...usersInClear(document), ...own.flatMap(({ at }) => secretsInClear(document, at))][0];
    if (first === undefined) return;
    const text = `stands in a file that others may read; write \${file:/path} or \${env:NAME}, or take the right away: chmod 640 ${document.file}`;
    this.#problems.push(document.problem(first, text, { severity: "warning" }));
  }
}

/** The rules of one file, by what becomes of them; each keeps its number in the file. */
function rulesOf(
  found: IncludedFile | undefined,
  document: YamlDocument,
): { rules: PlacedRule[]; splices: PlacedSplice[] } {
  const rules: PlacedRule[] = [];
  const splices: PlacedSplice[] = [];
  for (const [at, rule] of (found?.rules ?? []).entries()) {
    if ("mode" in rule) splices.push({ rule, document, at });
    else rules.push({ rule, document, at });
  }
  return { rules, splices };
}

/** File by file as they were read, from top to bottom. */
function inOrder(problems: readonly Problem[]): Problem[] {
  const files = [...new Set(problems.map(({ file }) => file))];
  const rank = ({ file }: Problem): number => files.indexOf(file);
  return problems.toSorted(
    (one, other) => rank(one) - rank(other) || one.line - other.line || one.column - other.column,
  );
}

function placeOf(document: YamlDocument, at: number): string {
  return `${document.file}:${document.line(["rules", at])}`;
}

/** What `include` says, as far as it is a list of texts: what is wrong with it, the schema reports. */
function includesOf(value: unknown): [number, string][] {
  const entries = valueAt(value, ["include"]);
  if (!Array.isArray(entries)) return [];
  return [...entries.entries()].filter(
    (entry): entry is [number, string] => typeof entry[1] === "string" && entry[1] !== "",
  );
}

function wholeFile(file: string, error: unknown): Problem {
  const text = error instanceof Error ? error.message : String(error);
  return { severity: "error", file, line: 0, column: 0, text };
}

function asScalar(text: string, expected: string): number | boolean | undefined {
  if (expected === "boolean") return { true: true, false: false }[text];
  const number = expected === "number" || expected === "int";
  return number && /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : undefined;
}
