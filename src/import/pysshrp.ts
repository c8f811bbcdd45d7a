import { parseHostPort, PosternError } from "#base";
import type { Problem } from "#config";
import { randomBytes } from "node:crypto";
import { basename, dirname, resolve } from "node:path";
import { ImportInvalid, placeText, problemAt } from "./errors.ts";
import type { Imported, ImportOptions, SideFile } from "./imported.ts";
import { type Assigned, readPython } from "./read-python.ts";
import { readServers } from "./pysshrp-servers.ts";
import { type Entry, Names, type RuleText, writeResult } from "./rule-text.ts";
import { PysshrpRules } from "./pysshrp-rule.ts";

const levels: Readonly<Record<string, string>> = {
  CRITICAL: "fatal",
  ERROR: "error",
  WARNING: "warn",
  INFO: "info",
  DEBUG: "debug",
};

const defaultListen = "0.0.0.0:2200";

/**
 * Reads a configuration of pysshrp, without running it, and writes one of ours that means the same. Throws ImportInvalid.
 */
export async function importPysshrp(file: string, options: ImportOptions): Promise<Imported> {
  const assigned = await readPython(file);
  const problems: Problem[] = [];
  const notes: string[] = [];
  const globals = readGlobals(file, assigned, options, notes, problems);
  const servers = readServers(assigned.get("servers"), problems);
  const folder = dirname(resolve(file));
  const names = new Names();
  const files: SideFile[] = [];
  const maker = new PysshrpRules(options, names, files, problems, folder);
  const rules: RuleText[] = [];
  // An exact name won at once, and of several the first; of the expressions that matched, the last.
  const exact = servers.filter(({ expression }) => !expression);
  const first = exact.filter((server, at) => exact.findIndex(({ user }) => user === server.user) === at);
  for (const server of exact) {
    if (first.includes(server)) continue;
    notes.push(
      `Left out: the server at ${placeText(server.place, folder)}. The name ${JSON.stringify(server.user)} stands further up too, and the first won.`,
    );
  }
  const expressions = servers.filter(({ expression }) => expression);
  for (const server of first) rules.push(...(await maker.rule(server, false)));
  for (const [at, server] of [...expressions.entries()].reverse())
    rules.push(...(await maker.rule(server, at < expressions.length - 1)));
  if (problems.some(({ severity }) => severity === "error")) throw new ImportInvalid(problems);
  const header = [...headerOf(basename(file)), ...notes];
  const nobody = randomBytes(32).toString("base64");
  return await writeResult({ folder, header, globals, rules, files, warnings: problems }, options, nobody);
}

function headerOf(file: string): string[] {
  return [
    `Imported from ${file}, a configuration of pysshrp, by: postern import pysshrp`,
    "Exact names come first. Expressions stand in the reverse of their order: the last that matched won there, the first that matches wins here.",
    "",
    "What pysshrp got wrong and is right here, in every rule:",
    "- One session channel for each connection; lost: stderr, exit statuses, one direction after the other's end, environment, signals, agent, X11 and forwarding.",
    "- SFTP: opening a file with attributes changed files on the gateway, writing always truncated (so that no transfer could be resumed), and there was no symlink, readlink, fstat and fsetstat.",
    "- An upstream that could not be reached dropped the client without a word.",
    "- A reload that failed was logged as a success, and a broken file ended the daemon. Here the old configuration stays at work.",
    "",
  ];
}

function readGlobals(
  file: string,
  assigned: ReadonlyMap<string, Assigned>,
  options: ImportOptions,
  notes: string[],
  problems: Problem[],
): Entry[] {
  const text = (name: string): string | undefined => {
    const found = assigned.get(name);
    if (found === undefined) return undefined;
    const { value } = found;
    if (value.kind === "text") return value.value;
    problems.push(problemAt(value, `${name}: expected text in quotes`));
    return undefined;
  };
  const entries: Entry[] = [];
  for (const found of assigned.values()) {
    if (["listen", "level", "key", "user", "group", "servers"].includes(found.name)) continue;
    notes.push(
      `${placeText(found, dirname(resolve(file)))} sets ${found.name}, which means nothing to pysshrp: left out.`,
    );
    problems.push(problemAt(found, `${found.name} means nothing to pysshrp: left out`, "warning"));
  }
  const listen = text("listen");
  entries.push({
    key: "listen",
    value: [checkListen(listen ?? defaultListen, assigned.get("listen"), problems)],
    ...(listen === undefined ? { notes: ["The default of pysshrp."] } : {}),
  });
  const key = text("key");
  const keyFile = assigned.get("key");
  if (key !== undefined && key !== "" && keyFile !== undefined)
    entries.push({ key: "hostKeys", value: [resolve(keyFile.folder, key)] });
  entries.push({
    key: "stateDir",
    value: options.stateDir,
    ...(key === undefined || key === ""
      ? {
          notes: ["No host key was given. Make one with: postern key generate STATEDIR/ssh_host_ed25519_key"],
        }
      : {}),
  });
  entries.push(levelEntry(text("level"), assigned.get("level"), problems));
  for (const name of ["user", "group"]) {
    const account = text(name) ?? "";
    const found = assigned.get(name);
    if (found !== undefined && account !== "" && !/^\w[\w.-]*\$?$/.test(account))
      problems.push(problemAt(found.value, `${name}: ${JSON.stringify(account)} is no name of an account`));
  }
  return [...entries, ...identityEntries(text("user"), text("group"))];
}

function checkListen(listen: string, found: Assigned | undefined, problems: Problem[]): string {
  try {
    parseHostPort(listen);
  } catch (error) {
    if (!(error instanceof PosternError) || found === undefined) throw error;
    problems.push(problemAt(found.value, `listen: ${error.detail ?? error.message}`));
  }
  return listen;
}

function levelEntry(level: string | undefined, found: Assigned | undefined, problems: Problem[]): Entry {
  if (level === undefined) {
    const note = "pysshrp said at its level CRITICAL, the default, who was refused; that is level info here.";
    return { key: "log", value: { level: "info" }, notes: [note] };
  }
  const ours = levels[level];
  if (ours === undefined && found !== undefined)
    problems.push(problemAt(found.value, `level: expected one of ${Object.keys(levels).join(", ")}`));
  return {
    key: "log",
    value: { level: ours ?? "info" },
    ...(level === "CRITICAL"
      ? { notes: ["Who logged in and who was refused is said at level info here, and so not at this one."] }
      : {}),
  };
}

function identityEntries(user: string | undefined, group: string | undefined): Entry[] {
  const notes = [
    "pysshrp took the number of the user for the group's and the other way round, and kept root's supplementary groups. Here both are right, and the groups go. Files that it reads at a reload must be readable by this account.",
  ];
  const given = [
    ...(user === undefined || user === "" ? [] : [{ key: "user", value: user }]),
    ...(group === undefined || group === "" ? [] : [{ key: "group", value: group }]),
  ];
  return given.map((entry, at) => (at === 0 ? { ...entry, notes } : entry));
}
