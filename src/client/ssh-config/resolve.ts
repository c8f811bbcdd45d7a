import { matchPatternList } from "#ssh/keys";
import { clientErrors } from "../errors.ts";
import { aliases, idleKeywords, type KeywordForm, keywords } from "./keywords.ts";
import { badLine, commandLine, type ConfigLine, placeOf, readLines } from "./lines.ts";
import { expandEnvironment, expandHome, expandTokens, type LocalAccount } from "./tokens.ts";

/** What reading a configuration needs of the world. */
export interface ConfigPorts {
  readonly account: LocalAccount;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Undefined for a file that is not there. */
  read(path: string): Promise<string | undefined>;
  /** Paths that match a pattern, in order. */
  glob(pattern: string): Promise<readonly string[]>;
  /** Runs a command of `Match exec`: whether it ended well. */
  succeeds(command: string): Promise<boolean>;
  notice(text: string): void;
}

export interface ConfigQuery {
  /** The host as typed. */
  readonly host: string;
  /** What the command line says, which comes before all files: lines as in ssh_config. */
  readonly overrides: readonly { readonly keyword: string; readonly value: string }[];
}

/** Values by keyword in lower case; one for each line in force where several count. */
export type ConfigValues = ReadonlyMap<string, readonly string[]>;

/** A file, and what its relative includes are relative to. */
export interface ConfigFile {
  readonly path: string;
  readonly includeFolder: string;
  /** A file that somebody named must be there. */
  readonly required: boolean;
}

/** Files within files, as ssh(1) allows them. */
const maxDepth = 16;

/** Reads one host's settings out of files: the first value for a keyword wins (ssh_config(5)). Throws OPERATOR_CLIENT_CONFIG. */
export async function resolveConfig(
  query: ConfigQuery,
  files: readonly ConfigFile[],
  ports: ConfigPorts,
): Promise<ConfigValues> {
  const reading = new Reading(query, ports, false);
  await reading.files(files);
  if (!reading.wantsFinal) return reading.values;
  // `Match final` is about what the first reading found; the values of that stay, the host's name among them.
  const hostName = reading.hostName().replaceAll("%", "%%");
  const again = new Reading(query, ports, true, new Map([...reading.values, ["hostname", [hostName]]]));
  await again.files(files);
  return again.values;
}

class Reading {
  readonly values = new Map<string, string[]>();
  wantsFinal = false;
  readonly #query: ConfigQuery;
  readonly #ports: ConfigPorts;
  readonly #final: boolean;
  readonly #ignored: string[] = [];
  readonly #told = new Set<string>();

  constructor(query: ConfigQuery, ports: ConfigPorts, final: boolean, kept: ConfigValues = new Map()) {
    this.#query = query;
    this.#ports = ports;
    this.#final = final;
    for (const [keyword, values] of kept) this.values.set(keyword, [...values]);
    if (final) return;
    for (const { keyword, value } of query.overrides)
      for (const line of readLines(`${keyword} ${value}`, commandLine)) this.#set(line);
  }

  async files(files: readonly ConfigFile[]): Promise<void> {
    for (const { path, includeFolder, required } of files) {
      const text = await this.#ports.read(path);
      if (text === undefined && required)
        throw new clientErrors.OPERATOR_CLIENT_CONFIG(`${path}: there is no such file.`);
      if (text !== undefined) await this.#lines(readLines(text, path), includeFolder, 0, true);
    }
  }

  async #lines(
    lines: readonly ConfigLine[],
    includeFolder: string,
    depth: number,
    outer: boolean,
  ): Promise<void> {
    let active = outer;
    for (const line of lines) {
      if (line.keyword === "host") active = outer && this.#matchesHost(line);
      else if (line.keyword === "match") active = (await this.#matches(line, outer)) && outer;
      else if (line.keyword === "include") await this.#include(line, includeFolder, depth, active);
      else if (line.keyword === "ignoreunknown") this.#ignored.push(line.words.join(",").toLowerCase());
      else if (active) this.#set(line);
    }
  }

  #matchesHost({ words, fileName, line }: ConfigLine): boolean {
    if (words.length === 0) throw badLine(fileName, line, "Host needs a pattern");
    let found = false;
    const host = this.#query.host.toLowerCase();
    for (const word of words) {
      const verdict = matchPatternList(host, word.toLowerCase().replaceAll(",", "\\,"));
      if (verdict === "negated") return false;
      found ||= verdict === "match";
    }
    return found;
  }

  async #matches(line: ConfigLine, outer: boolean): Promise<boolean> {
    const { words, fileName, line: at } = line;
    let result = true;
    if (words.length === 0) throw badLine(fileName, at, "Match needs a condition");
    for (let index = 0; index < words.length; index += 1) {
      const word = words[index] ?? "";
      const negated = word.startsWith("!");
      const [, name = "", attached] = /^!?([^=]*)(?:=(.*))?$/s.exec(word) ?? [];
      const condition = name.toLowerCase();
      let verdict: boolean;
      if (condition === "all") {
        if (
          negated ||
          words.length > 2 ||
          (words.length === 2 && !/^(?:canonical|final)$/i.test(words[0] ?? ""))
        )
          throw badLine(fileName, at, '"all" stands by itself');
        verdict = true;
      } else if (condition === "final" || condition === "canonical") {
        if (condition === "final") this.wantsFinal = true;
        verdict = this.#final;
      } else {
        const value = attached ?? words[++index];
        if (value === undefined || value === "") throw badLine(fileName, at, `"${name}" needs a value`);
        verdict = await this.#meets(condition, value, outer && result, line);
      }
      if (verdict === negated) result = false;
    }
    return result;
  }

  async #meets(condition: string, value: string, live: boolean, line: ConfigLine): Promise<boolean> {
    const { account } = this.#ports;
    const { host } = this.#query;
    const list = (text: string): boolean => matchPatternList(text, value) === "match";
    const hosts = (text: string): boolean =>
      matchPatternList(text.toLowerCase(), value.toLowerCase()) === "match";
    switch (condition) {
      case "host":
        return hosts(this.hostName());
      case "originalhost":
        return hosts(host);
      case "user":
        return list(this.#first("user") ?? account.user);
      case "localuser":
        return list(account.user);
      case "tagged":
        return list(this.#first("tag") ?? "");
      case "exec":
        return live && (await this.#ports.succeeds(this.#expand(value)));
      case "localnetwork":
      case "sessiontype":
      case "version":
      case "command":
        this.#noticeOnce(line, `"Match ${condition}" is not known here: it matches nothing`);
        return false;
      default:
        throw badLine(line.fileName, line.line, `"${condition}" is no condition of Match`);
    }
  }

  async #include(line: ConfigLine, folder: string, depth: number, active: boolean): Promise<void> {
    if (line.words.length === 0) throw badLine(line.fileName, line.line, "Include needs a file");
    if (depth >= maxDepth) throw badLine(line.fileName, line.line, "too many files within files");
    if (!active) return;
    const { account, environment } = this.#ports;
    for (const word of line.words) {
      const named = expandHome(expandEnvironment(word, environment), account.home);
      const pattern = named.startsWith("/") ? named : `${folder}/${named}`;
      for (const path of await this.#ports.glob(pattern)) {
        const text = await this.#ports.read(path);
        if (text !== undefined) await this.#lines(readLines(text, path), folder, depth + 1, active);
      }
    }
  }

  #set(line: ConfigLine): void {
    const keyword = aliases.get(line.keyword) ?? line.keyword;
    const form = keywords.get(keyword);
    if (keyword === "tag" && !this.values.has("tag")) this.values.set("tag", [line.words[0] ?? ""]);
    if (form === undefined) {
      if (!idleKeywords.has(keyword) && !this.#isIgnored(keyword))
        this.#noticeOnce(line, `"${line.typed}" is not known here and changes nothing`);
      return;
    }
    const value = valueOf(line, form);
    const before = this.values.get(keyword);
    const adds = form === "each" || form === "all" || form === "forward";
    if (before === undefined) this.values.set(keyword, value);
    // The same file, name or forwarding twice is one, and the last reading meets most lines a second time.
    else if (adds) before.push(...value.filter((each) => !before.includes(each)));
    // Whichever of the two comes first switches the other off.
    if (keyword === "proxyjump" && before === undefined && value[0]?.toLowerCase() !== "none")
      this.#other("proxycommand");
    if (keyword === "proxycommand" && before === undefined) this.#other("proxyjump");
  }

  #other(keyword: string): void {
    if (!this.values.has(keyword)) this.values.set(keyword, ["none"]);
  }

  #isIgnored(keyword: string): boolean {
    return this.#ignored.some((list) => matchPatternList(keyword, list) === "match");
  }

  #first(keyword: string): string | undefined {
    return this.values.get(keyword)?.[0];
  }

  /** What `HostName` says so far, or the name typed. */
  hostName(): string {
    const { host } = this.#query;
    const named = this.#first("hostname");
    return named === undefined
      ? host
      : named.replace(/%([%hn])/g, (_whole, token) => (token === "%" ? "%" : host));
  }

  #expand(text: string): string {
    const { account } = this.#ports;
    const { host } = this.#query;
    return expandTokens(
      text,
      {
        host,
        hostName: this.hostName(),
        port: Number(this.#first("port") ?? 22),
        user: this.#first("user") ?? account.user,
        alias: this.#first("hostkeyalias") ?? host,
        jump: "",
      },
      account,
    );
  }

  #noticeOnce(line: ConfigLine, text: string): void {
    const whole = `${placeOf(line)}: ${text}.`;
    if (this.#told.has(whole) || this.#final) return;
    this.#told.add(whole);
    this.#ports.notice(whole);
  }
}

function valueOf(line: ConfigLine, form: KeywordForm): string[] {
  const [first] = line.words;
  const missing = (): never => {
    throw badLine(line.fileName, line.line, `"${line.typed}" needs a value`);
  };
  switch (form) {
    case "command": {
      const text = line.rest.trim();
      return text === "" ? missing() : [text];
    }
    case "words":
    case "all":
      return line.words.length === 0 ? missing() : [...line.words];
    case "forward":
      return first === undefined ? missing() : [line.words.slice(0, 2).join(" ")];
    case "word":
    case "each":
      return first === undefined || first === "" ? missing() : [first];
  }
}
