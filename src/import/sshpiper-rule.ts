import { parseHostPort, PosternError } from "#base";
import { type Problem, readText } from "#config";
import { isAbsolute, join } from "node:path";
import { type Place, placeText, problemAt, Untranslatable } from "./errors.ts";
import { fromGoExpression, type Translated } from "./expression.ts";
import { isUpstreamHost } from "./hosts.ts";
import type { ImportOptions, SideFile } from "./imported.ts";
import type { Entry, Names, RuleText } from "./rule-text.ts";
import { keyFile, knownHostsFile, passwordFile } from "./side-files.ts";
import { importPath, type PathNames } from "./sshpiper-paths.ts";
import type { Pipe, PipeFrom, PipeTo } from "./sshpiper-pipes.ts";
import { fromGoTemplate, literal } from "./template.ts";
import { type Flow, Verbatim } from "./yaml-text.ts";

const maxCaFileBytes = 64 * 1024;

type PlacedFrom = Pipe["from"][number];

/** What has been found about one rule so far. */
interface Draft {
  readonly name: string;
  readonly names: PathNames;
  readonly notes: string[];
  readonly loginNotes: string[];
  readonly login: Flow[];
  readonly credentials: Flow[];
  readonly credentialNotes: string[];
  readonly unsafe: string[];
  readonly lost: string[];
}

/** Makes rules of pipes. */
export class PipeRules {
  readonly #options: ImportOptions;
  readonly #names: Names;
  readonly #files: SideFile[];
  readonly #problems: Problem[];
  readonly #folder: string;
  /** Where the first pipe of each name or expression stands. */
  readonly #seen = new Map<string, Place>();
  #serial = 0;
  /** The `to` at hand, for problems with what is in it. */
  #current: Place = { file: "", line: 0, column: 0 };

  constructor(options: ImportOptions, names: Names, files: SideFile[], problems: Problem[], folder: string) {
    this.#options = options;
    this.#names = names;
    this.#files = files;
    this.#problems = problems;
    this.#folder = folder;
  }

  /** One rule for each name or expression of the pipe. What is wrong goes to the problems. */
  async rules(pipe: Pipe): Promise<RuleText[]> {
    const groups = new Map<string, PlacedFrom[]>();
    for (const from of pipe.from) groups.set(keyOf(from), [...(groups.get(keyOf(from)) ?? []), from]);
    const rules: RuleText[] = [];
    for (const [key, froms] of groups) {
      const rule = await this.#rule(pipe, froms, key);
      if (rule !== undefined) rules.push(rule);
    }
    return rules;
  }

  async #rule(pipe: Pipe, froms: readonly PlacedFrom[], key: string): Promise<RuleText | undefined> {
    const [first] = froms;
    if (first === undefined) return undefined;
    if (first.username === "" && first.groupname === "") {
      const text = "neither username nor groupname is given, so it matched nobody: left out";
      this.#problems.push(problemAt(first.place, text, "warning"));
      return undefined;
    }
    this.#serial += 1;
    const { to, toPlace } = pipe;
    this.#current = toPlace;
    const address = this.#attempt(toPlace, "host", () => addressOf(to.host));
    const expression = this.#attempt(first.place, "username", () =>
      first.username_regex_match && first.username !== "" ? fromGoExpression(first.username) : undefined,
    );
    if (address === null || expression === null) return undefined;
    const user = this.#attempt(toPlace, "username", () => upstreamUser(to, expression));
    if (user === null) return undefined;
    const single = expression === undefined && first.username !== "" ? first.username : undefined;
    const draft: Draft = {
      name: this.#names.take(nameFor(first), `rule-${this.#serial}`),
      names: { user: single, upstreamUser: user ?? "{user}" },
      notes: [],
      loginNotes: [],
      login: [],
      credentials: [],
      credentialNotes: [],
      unsafe: [],
      lost: [],
    };
    this.#checkSeen(key, first, draft);
    if (first.username === "") draft.unsafe.push(nobodyIn(first));
    for (const from of froms) await this.#login(from, draft);
    this.#credentials(to, froms, draft);
    const { notes, loginNotes, login, unsafe, lost } = draft;
    return {
      name: draft.name,
      place: first.place,
      notes: [
        ...notes,
        ...(expression?.names.has("user") === true
          ? ["The group user has another name here: {user} is the whole name."]
          : []),
      ],
      match: matchOf(first, expression),
      login,
      loginNotes,
      upstream: [
        { key: "host", value: address.host },
        ...(address.port === 22 ? [] : [{ key: "port", value: address.port }]),
        ...(user === undefined ? [] : [{ key: "user", value: user }]),
        { key: "credentials", value: draft.credentials, notes: draft.credentialNotes },
        this.#hostKey(to, draft),
      ],
      unsafe,
      lost,
    };
  }

  #checkSeen(key: string, from: PlacedFrom, draft: Draft): void {
    const earlier = this.#seen.get(key);
    if (earlier === undefined) this.#seen.set(key, from.place);
    else {
      draft.lost.push(
        `the pipe at ${placeText(earlier, this.#folder)} is for the same name and decides alone here; there, a login that failed at it came to this one`,
      );
    }
  }

  async #login(from: PlacedFrom, draft: Draft): Promise<void> {
    if (!byKey(from)) {
      if (!draft.login.some((login) => isPassword(login)))
        draft.login.push({ kind: "password", check: "upstream" });
      return;
    }
    const files: Verbatim[] = [];
    const keys: string[] = [];
    for (const path of from.authorized_keys) {
      try {
        files.push(importPath(path, this.#folder, draft.names, true));
      } catch (error) {
        this.#note(error, draft.lost);
      }
    }
    for (const data of from.authorized_keys_data)
      keys.push(...keyLines(this.#decode(data, from, "authorized_keys_data")));
    const authorities: string[] = [];
    for (const data of from.trusted_user_ca_keys_data)
      authorities.push(...keyLines(this.#decode(data, from, "trusted_user_ca_keys_data")));
    for (const path of from.trusted_user_ca_keys)
      authorities.push(...(await this.#readAuthorities(path, from, draft)));
    if (authorities.length > 0)
      draft.loginNotes.push("A certificate must name the user: sshpiper let in one without any principal.");
    keys.push(...authorities.map((line) => `cert-authority ${line}`));
    if (files.length > 0 || keys.length > 0) {
      draft.login.push({
        kind: "publickey",
        files: files.length > 0 ? files : undefined,
        keys: keys.length > 0 ? keys : undefined,
      });
    }
  }

  /** CA keys are copied: in files of ours they would need `cert-authority` before them. */
  async #readAuthorities(path: string, from: PlacedFrom, draft: Draft): Promise<string[]> {
    if (path.includes("$")) {
      draft.lost.push(
        `trusted_user_ca_keys ${JSON.stringify(path)} has a placeholder; list its keys by hand, as "cert-authority KEY"`,
      );
      return [];
    }
    const file = isAbsolute(path) ? path : join(this.#folder, path);
    try {
      const lines = keyLines(await readText(file, maxCaFileBytes));
      draft.loginNotes.push(`The authorities of ${JSON.stringify(file)} as they were at the import.`);
      return lines;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#problems.push(problemAt(from.place, `trusted_user_ca_keys: ${why}`));
      return [];
    }
  }

  #credentials(to: PipeTo, froms: readonly PipeFrom[], draft: Draft): void {
    const { credentials, credentialNotes, login, unsafe, lost } = draft;
    const keyed = froms.some(byKey);
    const password = login.findIndex(isPassword);
    if (to.private_key !== "" || to.private_key_data !== "") {
      if (password >= 0) {
        login.splice(password, 1);
        const why = "any password logged in, since none was checked and the stored key opened the upstream";
        // Who logs in by key still can: only the hole is gone.
        if (keyed) draft.loginNotes.push(`No login by password: ${why}.`);
        else unsafe.push(`${why}; say how people prove who they are`);
      }
      const key = this.#privateKey(to, draft);
      credentials.push(key ?? { kind: "client-password" });
      return;
    }
    if (password >= 0) {
      credentials.push({ kind: "client-password" });
      if (to.password !== "")
        credentialNotes.push("sshpiper never sent the password that stands in to.password: left out.");
      if (keyed) {
        for (const at of [...login.keys()].reverse()) if (!isPassword(login[at])) login.splice(at, 1);
        lost.push(
          "logins by public key have nothing to open the upstream with (they failed in sshpiper too); give to.private_key",
        );
      }
      return;
    }
    if (to.password !== "") {
      credentials.push({
        kind: "password",
        password: this.#beside(passwordFile(draft.name, to.password), "to.password", true),
      });
      credentialNotes.push(
        "sshpiper never sent the password that stands in to.password, so these logins failed there.",
      );
      return;
    }
    credentials.push({ kind: "client-password" });
    unsafe.push(
      "who logs in by key has nothing to open the upstream with (this failed in sshpiper too); give a credential of kind key",
    );
  }

  #privateKey(to: PipeTo, draft: Draft): Flow | undefined {
    if (to.private_key === "") {
      const content = this.#decode(to.private_key_data, undefined, "private_key_data");
      return { kind: "key", file: this.#beside(keyFile(draft.name, content), "private_key_data", false) };
    }
    try {
      return { kind: "key", file: importPath(to.private_key, this.#folder, draft.names, false) };
    } catch (error) {
      this.#note(error, draft.unsafe);
      return undefined;
    }
  }

  /** A file beside the result: as its text (`filled`), or as its path. */
  #beside(file: SideFile, what: string, filled: boolean): Flow {
    if (this.#options.besides) this.#files.push(file);
    else {
      const text = `${what}: this must go to a file of its own; give the result a file with -o FILE, and it is written beside it`;
      this.#problems.push(problemAt(this.#current, text));
    }
    return filled ? new Verbatim(`\${file:${file.path}}`) : file.path;
  }

  #hostKey(to: PipeTo, draft: Draft): Entry {
    const knownHosts: Flow[] = [];
    for (const path of to.known_hosts) {
      try {
        knownHosts.push(importPath(path, this.#folder, draft.names, false));
      } catch (error) {
        this.#note(error, draft.unsafe);
      }
    }
    const data = to.known_hosts_data.map((each) => this.#decode(each, undefined, "known_hosts_data"));
    if (data.length > 0) {
      const content = data.map((text) => (text.endsWith("\n") ? text : `${text}\n`)).join("");
      knownHosts.push(this.#beside(knownHostsFile(draft.name, content), "known_hosts_data", false));
    }
    const given = to.known_hosts.length > 0 || to.known_hosts_data.length > 0;
    if (given && !to.ignore_hostkey && knownHosts.length > 0)
      return { key: "hostKey", value: { knownHosts } };
    return {
      key: "hostKey",
      value: { acceptNew: `${this.#options.stateDir.replace(/\/$/, "")}/known_hosts` },
      notes: [
        "sshpiper did not check this upstream's host key. Here the first key seen is kept, and from then on required; better is knownHosts with keys that you know.",
      ],
    };
  }

  /** Base64 as text; what is no such thing stands among the problems. */
  #decode(data: string, from: PlacedFrom | undefined, key: string): string {
    const compact = data.replace(/\s+/g, "");
    if (/^[A-Za-z0-9+/]*={0,2}$/.test(compact) && compact.length % 4 === 0) {
      const bytes = Buffer.from(compact, "base64");
      const text = bytes.toString("utf8");
      if (Buffer.from(text).equals(bytes)) return text;
    }
    this.#problems.push(problemAt(from?.place ?? this.#current, `${key}: expected base64 of text`));
    return "";
  }

  #note(error: unknown, reasons: string[]): void {
    if (!(error instanceof Untranslatable)) throw error;
    reasons.push(error.message);
  }

  /** Null when it could not be translated, which then stands among the problems. */
  #attempt<T>(place: Place, key: string, translate: () => T): T | null {
    try {
      return translate();
    } catch (error) {
      if (!(error instanceof Untranslatable)) throw error;
      this.#problems.push(problemAt(place, `${key}: ${error.message}`));
      return null;
    }
  }
}

/** Froms with the same key match the same names. */
function keyOf({ username, username_regex_match, groupname }: PipeFrom): string {
  return JSON.stringify(username === "" ? ["group", groupname] : [username_regex_match, username]);
}

function byKey(from: PipeFrom): boolean {
  const lists = [
    from.authorized_keys,
    from.authorized_keys_data,
    from.trusted_user_ca_keys,
    from.trusted_user_ca_keys_data,
  ];
  return lists.some((list) => list.length > 0);
}

function isPassword(login: Flow | undefined): boolean {
  return typeof login === "object" && "kind" in login && login["kind"] === "password";
}

function keyLines(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
}

function nameFor({ username, groupname, username_regex_match }: PipeFrom): string {
  if (username === "") return groupname;
  return username_regex_match ? (/^\^?([\w-]*)/.exec(username)?.[1] ?? "") : username;
}

function nobodyIn({ groupname }: PipeFrom): string {
  return `groups of the gateway's own accounts (groupname ${JSON.stringify(groupname)}) are not possible; list its members, as userPattern: 'ada|bob'. Until then nobody comes past this rule`;
}

function matchOf(from: PipeFrom, expression: Translated | undefined): Flow {
  if (expression !== undefined) return { userPattern: expression.pattern };
  return from.username === "" ? { userPattern: ".*" } : { user: from.username };
}

/** A template of ours; undefined: the client's own name. Throws Untranslatable. */
function upstreamUser(to: PipeTo, expression: Translated | undefined): string | undefined {
  if (expression === undefined) return to.username === "" ? undefined : literal(to.username);
  const { before, after } = expression;
  if (to.username === "" && before === undefined && after === undefined) return undefined;
  const user = fromGoTemplate(to.username, expression);
  return user === "" ? undefined : user;
}

/** Host and port of sshpiper's one text. Throws Untranslatable. */
function addressOf(text: string): { host: string; port: number } {
  const named = /^\[[^\]]*\](?::\d+)?$|^[^:]*(?::\d+)?$/.test(text);
  try {
    const { host, port } = named ? parseHostPort(text, 22) : { host: text, port: 22 };
    if (isUpstreamHost(host)) return { host, port };
  } catch (error) {
    if (!(error instanceof PosternError)) throw error;
  }
  throw new Untranslatable(`${JSON.stringify(text)} is no host:port`);
}
