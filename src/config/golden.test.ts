import assert from "node:assert/strict";
import { chmodSync, readdirSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { test } from "node:test";
import { ConfigInvalid } from "./errors.ts";
import { loadConfig } from "./load.ts";
import { formatProblem, type Problem } from "./problem.ts";

/**
 * Each golden/NAME.yaml beside NAME.txt with all that is said of it. After a change that is meant:
 * `node --test --test-update-snapshots src/config/golden.test.ts`.
 */
const folder = join(import.meta.dirname, "golden");
const environment = {
  SECRET: "hunter2",
  BROKEN_PATTERN: "hunter2(",
  TOTP: "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
};

for (const file of readdirSync(folder).sort()) {
  const [name, ...rest] = file.split(".");
  if (rest.join(".") !== "yaml") continue;
  test(`what is said of golden/${file}`, async (context) => {
    const path = join(folder, file);
    // Advice depends on who may read the file, and git keeps no such rights.
    if ((statSync(path).mode & 0o777) !== 0o644) chmodSync(path, 0o644);
    const said = (await problemsOf(path))
      .map(formatProblem)
      .join("\n")
      .replaceAll(`${folder}/`, "")
      .replaceAll(`${relative(process.cwd(), folder)}/`, "");
    assert.ok(!said.includes("hunter2"), `a secret was shown: ${said}`);
    context.assert.fileSnapshot(said, join(folder, `${name}.txt`), { serializers: [String] });
  });
}

async function problemsOf(path: string): Promise<readonly Problem[]> {
  try {
    return (await loadConfig(path, { environment })).warnings;
  } catch (error) {
    if (error instanceof ConfigInvalid) return error.problems;
    throw error;
  }
}
