import { resolve } from "node:path";
import type { Problem } from "#config";
import { type Place, placeText, problemAt, Untranslatable } from "./errors.ts";
import { fromPythonExpression, type Translated } from "./expression.ts";
import { isUpstreamHost } from "./hosts.ts";
import type { ImportOptions, SideFile } from "./imported.ts";
import type { Server } from "./pysshrp-servers.ts";
import { type Entry, type Names, type RuleText } from "./rule-text.ts";
import { passwordFile } from "./side-files.ts";
import { fromPythonTemplate, literal } from "./template.ts";
import { type Flow, Verbatim } from "./yaml-text.ts";

/** pysshrp's own: `.ssh/authorized_keys` on the upstream. */
const defaultAuthorizedKeys = ".ssh/authorized_keys";

const keyLoginNotes = [
  "pysshrp told whether a key stood in the file without a proof that the client had it, and logged in at the upstream for each question. Here the file is read for keys that are proven, and remembered for a minute.",
  "Lines with options, or without a comment, never matched in pysshrp. Here they do, and their options are obeyed.",
];

/** Makes rules of servers. */
export class PysshrpRules {
  readonly #options: ImportOptions;
  readonly #names: Names;
  readonly #files: SideFile[];
  readonly #problems: Problem[];
  readonly #folder: string;
  #serial = 0;

  constructor(options: ImportOptions, names: Names, files: SideFile[], problems: Problem[], folder: string) {
    this.#folder = folder;
    this.#options = options;
    this.#names = names;
    this.#files = files;
    this.#problems = problems;
  }

  /** No rule if something is wrong, which then stands among the problems. `followed`: another expression stood below it. */
  async rule(server: Server, followed: boolean): Promise<RuleText[]> {
    this.#serial += 1;
    const expression = this.#attempt(server.userPlace, "user", () =>
      server.expression ? fromPythonExpression(server.user) : undefined,
    );
    if (expression === null) return [];
    const template = (name: string, given: { value: string; place: Place }): string | null =>
      this.#attempt(given.place, name, () =>
        expression === undefined ? literal(given.value) : fromPythonTemplate(given.value, expression),
      );
    const host = template("upstream_host", server.host);
    const user =
      server.upstreamUser === undefined ? undefined : template("upstream_user", server.upstreamUser);
    if (host === null || user === null || !this.#checkHost(host, server)) return [];
    const name = this.#names.take(nameFor(server, expression), `rule-${this.#serial}`);
    const open = isOpen(host);
    const { login, loginNotes, credentials, credentialNotes, unsafe } = await this.#logins(server, name);
    return [
      {
        name,
        place: server.place,
        notes: [
          ...notesOf(server, this.#folder),
          ...(expression === undefined ? [] : expressionNotes(expression)),
        ],
        match: expression === undefined ? { user: server.user } : { userPattern: expression.pattern },
        policy: policyOf(server),
        sftp: sftpOf(server),
        targets: open
          ? {
              key: "targets",
              value: ["nowhere.invalid"],
              notes: [
                "pysshrp let the client name any host. List here those that it may name, such as *.example.lan.",
              ],
            }
          : undefined,
        login,
        loginNotes,
        upstream: [
          { key: "host", value: host, notes: hostNotes(host, user, followed, open) },
          ...(server.port === undefined ? [] : [{ key: "port", value: server.port.value }]),
          ...(user === undefined ? [] : [{ key: "user", value: user }]),
          { key: "credentials", value: credentials, notes: credentialNotes },
          hostKeyEntry(this.#options),
        ],
        unsafe: [
          ...unsafe,
          ...(open ? ["the client could name any host: say in targets which ones it may"] : []),
        ],
        lost: [],
      },
    ];
  }

  async #logins(
    server: Server,
    name: string,
  ): Promise<{
    login: Flow[];
    loginNotes: string[];
    credentials: Flow[];
    credentialNotes: string[];
    unsafe: string[];
  }> {
    const { password, upstreamPassword, upstreamKey } = server;
    const login: Flow[] = [];
    const loginNotes: string[] = [];
    const unsafe: string[] = [];
    const credentialNotes = [
      "pysshrp offered the upstream the key files and the agent of the daemon's own account first. Here it is offered this and nothing else.",
    ];
    if (password !== undefined) {
      login.push({ kind: "password", hashes: [await this.#options.hash(password.value)] });
      loginNotes.push(`The hash of the password at ${placeText(password.place, this.#folder)}.`);
    } else if (upstreamPassword === undefined) login.push({ kind: "password", check: "upstream" });
    else {
      unsafe.push(
        "upstream_password is set and password is not, so any password logged in; say how people prove who they are",
      );
    }
    const credentials: Flow[] =
      upstreamPassword === undefined
        ? [{ kind: "client-password" }]
        : [{ kind: "password", password: this.#storePassword(name, upstreamPassword) }];
    if (password !== undefined && upstreamPassword === undefined) {
      credentialNotes.push(
        "pysshrp sent the upstream this same password, though it promised not to: no other was given.",
      );
    }
    if (upstreamKey !== undefined) {
      login.push({
        kind: "publickey",
        upstreamFile: literal(server.authorizedKeys?.value ?? defaultAuthorizedKeys),
      });
      credentials.push({ kind: "key", file: resolve(server.folder, upstreamKey.value) });
      loginNotes.push(...keyLoginNotes);
      if (password !== undefined && upstreamPassword === undefined)
        credentialNotes.push("If the upstream does not take the password, the key is tried.");
    } else if (server.authorizedKeys !== undefined)
      loginNotes.push("upstream_authorized_keys has no effect without upstream_key: left out.");
    return { login, loginNotes, credentials, credentialNotes, unsafe };
  }

  #storePassword(name: string, { value, place }: { value: string; place: Place }): Flow {
    if (!this.#options.besides) {
      const text =
        "upstream_password: this password must go to a file of its own; give the result a file with -o FILE, and it is written beside it";
      this.#problems.push(problemAt(place, text));
      return "";
    }
    const file = passwordFile(name, value);
    this.#files.push(file);
    return new Verbatim(`\${file:${file.path}}`);
  }

  #checkHost(host: string, server: Server): boolean {
    if (/\{/.test(host.replace(/\{\{|\}\}/g, "")) || isUpstreamHost(host)) return true;
    const text = `upstream_host: ${JSON.stringify(server.host.value)} is no host name or address`;
    this.#problems.push(problemAt(server.host.place, text));
    return false;
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

/** A host that consists of what the client says alone. */
function isOpen(host: string): boolean {
  const fixed = host.replace(/\{[^{}]*\}/g, "");
  return fixed !== host && !/[A-Za-z0-9]/.test(fixed);
}

function nameFor(server: Server, expression: Translated | undefined): string {
  if (expression === undefined) return server.user;
  return /^\^([\w-]*)/.exec(server.user)?.[1] ?? "";
}

function notesOf({ unknown }: Server, folder: string): string[] {
  return unknown.map(
    ({ value, place }) =>
      `${placeText(place, folder)} sets ${JSON.stringify(value)}, which pysshrp does not know and ignored: left out.`,
  );
}

function expressionNotes({ after, names }: Translated): string[] {
  const notes: string[] = [];
  const moved = [...names].filter(([theirs, ours]) => theirs !== ours);
  for (const [theirs, ours] of moved)
    notes.push(`The group ${theirs} is called ${ours} here: {${theirs}} is the whole name.`);
  if (after !== undefined)
    notes.push("pysshrp did not ask the expression to reach the end of the name; hence .* at the end.");
  return notes;
}

function hostNotes(host: string, user: string | undefined, followed: boolean, open: boolean): string[] {
  const notes: string[] = [];
  const captures = [host, user ?? ""].some((text) => /\{[^{}]+\}/.test(text.replace(/\{\{|\}\}/g, "")));
  if (captures && followed)
    notes.push(
      "pysshrp left host and user unexpanded when a later expression did not match the name. Here they are filled in.",
    );
  if (/\{[^{}]+\}/.test(host) && !open)
    notes.push(
      "What the client puts into the host here is one label of its name, without dots, unless targets are listed.",
    );
  return notes;
}

function hostKeyEntry({ stateDir }: ImportOptions): Entry {
  return {
    key: "hostKey",
    value: { acceptNew: `${stateDir.replace(/\/$/, "")}/known_hosts` },
    notes: [
      "pysshrp never checked the upstream's host key. Here the first key seen is kept, and from then on required; better is knownHosts with keys that you know.",
    ],
  };
}

/** What the client sees as `/`. Of no account without SFTP: pysshrp's commands and scp took no notice of it. */
function sftpOf({ rootPath, allowSftp }: Server): Entry | undefined {
  if (rootPath === undefined || !allowSftp) return undefined;
  const notes = [
    "pysshrp compared texts, so that a folder admitted others whose names begin like it, and symbolic links led out. Here neither does.",
    "The client sees this folder as /. Paths that people or programs wrote in full begin there now.",
  ];
  return { key: "sftp", value: { root: literal(rootPath.value) }, notes };
}

/** What pysshrp let through in the presence of a restriction; without one, everything passes here. */
function policyOf({ rootPath, allowSsh, allowSftp }: Server): Entry | undefined {
  const rooted = rootPath !== undefined && allowSftp;
  if (allowSsh && allowSftp && !rooted) return undefined;
  const shell = allowSsh && !rooted ? { shell: true, exec: true, pty: true } : {};
  const said = [allowSsh ? "" : "allow_ssh = False", allowSftp ? "" : "allow_sftp = False"].filter(
    (each) => each !== "",
  );
  const notes: string[] = [];
  if (rooted && allowSsh)
    notes.push(
      "pysshrp let commands and scp out of upstream_root_path. Here a rule with a folder allows SFTP alone; name here what else is to pass, knowing that it knows no folder.",
    );
  if (rootPath !== undefined && !allowSftp)
    notes.push("upstream_root_path has no effect without SFTP: left out.");
  notes.push(
    `${said.length === 0 ? "" : `${said.join(", ")}. `}Forwarding, agent, X11 and environment did not exist in pysshrp, and need to be named here to be allowed.`,
  );
  return { key: "policy", value: { ...shell, sftp: allowSftp }, notes };
}
