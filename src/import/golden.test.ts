import { parseConfig, ConfigInvalid, formatProblem } from "#config";
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";
import { ImportInvalid } from "./errors.ts";
import type { Imported, ImportOptions } from "./imported.ts";
import { importPysshrp } from "./pysshrp.ts";
import { importSshpiper } from "./sshpiper.ts";

/**
 * Each golden/PROGRAM/NAME.* beside NAME.txt with what becomes of it. After a change that is meant:
 * `node --test --test-update-snapshots src/import/golden.test.ts`.
 */
const golden = join(import.meta.dirname, "golden");
const hash =
  "$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw";
const options: ImportOptions = { hash: async () => hash, stateDir: "state", besides: true, partial: false };

type Read = (file: string, options: ImportOptions) => Promise<Imported>;
const programs: readonly { name: string; ending: string; read: Read }[] = [
  { name: "pysshrp", ending: ".py", read: importPysshrp },
  {
    name: "sshpiper",
    ending: ".yaml",
    read: (file, common) => importSshpiper(file, { ...common, listen: "0.0.0.0:2222", hostKey: "key" }),
  },
];

/** The result must be a good configuration, whatever it came from. */
async function load({ text, files }: Imported): Promise<void> {
  const kept = new Map(files.map(({ path, content }) => [join(golden, path), content]));
  try {
    const { config } = await parseConfig(text, "<import>", golden, {
      environment: { HOME: "/root" },
      filesMustExist: false,
      read: async (path) => kept.get(path) ?? assert.fail(`no file ${path}`),
    });
    const stored = config.rules.flatMap(({ upstream }) => upstream.credentials);
    for (const each of stored) {
      if (each.kind === "password") assert.ok(each.password.reveal().length > 0);
    }
  } catch (error) {
    if (!(error instanceof ConfigInvalid)) throw error;
    assert.fail(`${error.problems.map(formatProblem).join("\n")}\n${text}`);
  }
}

for (const { name, ending, read } of programs) {
  const folder = join(golden, name);
  for (const file of readdirSync(folder).sort()) {
    if (!file.endsWith(ending)) continue;
    for (const partial of [false, true]) {
      const said = `${file.slice(0, -ending.length)}${partial ? ".partial" : ""}.txt`;
      // Only what differs is worth another file.
      if (partial && !file.startsWith("parameters")) continue;
      test(`what becomes of golden/${name}/${file}${partial ? ", in part" : ""}`, async (context) => {
        const told = await outcome(read, join(folder, file), { ...options, partial });
        const plain = told
          .replaceAll(hash, "HASH")
          .replaceAll(`${relative(process.cwd(), folder)}/`, "")
          .replaceAll(folder, "/etc/old")
          .replaceAll(golden, "/etc")
          .replaceAll(dirname(join(process.cwd(), "x")), "/cwd");
        const lines = unwrapped(plain);
        assert.ok(!plain.split("FILE ")[0]?.includes("hunter2"), "a password was shown");
        context.assert.fileSnapshot(lines, join(folder, said), { serializers: [String] });
      });
    }
  }
}

/** Comments that follow each other as one line: where they are wrapped depends on where this folder lies. */
function unwrapped(text: string): string {
  return text.replace(
    /((?:^|\n)( *)# .*)((?:\n\2# .*)+)/g,
    (_, first: string, indent: string, rest: string) => first + rest.replaceAll(`\n${indent}# `, " "),
  );
}

async function outcome(read: Read, path: string, given: ImportOptions): Promise<string> {
  try {
    const imported = await read(path, given);
    await load(imported);
    const files = imported.files.map(
      (file) => `FILE ${file.path} ${file.mode.toString(8)} ${JSON.stringify(file.content)}`,
    );
    const { rules, disabled, complete } = imported;
    const count = `${rules} rules, ${disabled} disabled, ${complete ? "complete" : "incomplete"}`;
    return [count, ...imported.warnings.map(formatProblem), "", imported.text, ...files].join("\n");
  } catch (error) {
    if (!(error instanceof ImportInvalid)) throw error;
    assert.equal(error.code, "OPERATOR_IMPORT_INVALID");
    return error.problems.map(formatProblem).join("\n");
  }
}
