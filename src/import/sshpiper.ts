import { readText } from "#config";
import { randomBytes } from "node:crypto";
import { basename, dirname, resolve } from "node:path";
import type { Problem } from "#config";
import { ImportInvalid, problemAt } from "./errors.ts";
import type { Imported, ImportOptions, SideFile } from "./imported.ts";
import { shownName } from "./read-python.ts";
import { type Entry, Names, type RuleText, writeResult } from "./rule-text.ts";
import { readPipes } from "./sshpiper-pipes.ts";
import { PipeRules } from "./sshpiper-rule.ts";

/** What sshpiperd is told on its command line, and its file does not say. */
export interface SshpiperOptions extends ImportOptions {
  readonly listen: string;
  /** Path of the host key; undefined: the default of ours. */
  readonly hostKey: string | undefined;
}

/** Reads a file of sshpiper's yaml plugin and writes one of ours that means the same. Throws ImportInvalid. */
export async function importSshpiper(file: string, options: SshpiperOptions): Promise<Imported> {
  const path = resolve(file);
  const name = shownName(path);
  const source = await readText(path).catch((error: unknown) => {
    const text = error instanceof Error ? error.message : String(error);
    throw new ImportInvalid([problemAt({ file: name, line: 0, column: 0 }, text)]);
  });
  const problems: Problem[] = [];
  const files: SideFile[] = [];
  const maker = new PipeRules(options, new Names(), files, problems, dirname(path));
  const rules: RuleText[] = [];
  for (const pipe of readPipes(name, source)) rules.push(...(await maker.rules(pipe)));
  if (problems.some(({ severity }) => severity === "error")) throw new ImportInvalid(problems);
  const header = [
    `Imported from ${basename(path)}, a file of sshpiper's yaml plugin, by: postern import sshpiper`,
    "The order is kept. In sshpiper a login that failed at one pipe went on to the next that fits the name; here the first rule that fits the name decides alone.",
    "Options of lines in authorized_keys, such as from and command, were ignored there. Here they are obeyed.",
    "",
  ];
  const nobody = randomBytes(32).toString("base64");
  return await writeResult(
    { folder: dirname(path), header, globals: globalsOf(options), rules, files, warnings: problems },
    options,
    nobody,
  );
}

function globalsOf({ listen, hostKey, stateDir }: SshpiperOptions): Entry[] {
  return [
    {
      key: "listen",
      value: [listen],
      notes: ["sshpiperd has this on its command line: --address and --port."],
    },
    ...(hostKey === undefined ? [] : [{ key: "hostKeys", value: [resolve(hostKey)] }]),
    {
      key: "stateDir",
      value: stateDir,
      ...(hostKey === undefined
        ? {
            notes: [
              "The host key is STATEDIR/ssh_host_ed25519_key. Clients know that of sshpiperd (--server-key): import again with --host-key FILE to keep it.",
            ],
          }
        : {}),
    },
  ];
}
