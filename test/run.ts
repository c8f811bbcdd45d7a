/**
 * `npm test`: everything, unit first, then against strangers and end to end. Words after `--` choose files whose path holds one of
 * them: `npm test -- routing`.
 */
import { spawnSync } from "node:child_process";
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { absent, packagesFor, strangerNames } from "./support/strangers.ts";
import type { Tally } from "./support/tally.ts";
import { isRoot, removeStaleUsers } from "./support/test-user.ts";

interface Group {
  readonly name: string;
  readonly files: readonly string[];
  readonly flags: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

const groups: readonly Group[] = [
  {
    name: "unit",
    files: ["src/**/*.test.ts", "test/*.test.ts", "test/fuzz/*.test.ts", "test/recordings/*.test.ts"],
    flags: ["--test-isolation=none"],
  },
  {
    name: "interop and end to end",
    files: ["test/interop/**/*.test.ts", "test/e2e/**/*.test.ts"],
    // A failed test may leave a server running, which must not hold up the rest.
    flags: ["--test-concurrency=2", "--test-force-exit", "--test-timeout=300000"],
  },
  {
    name: "unit, without the native part",
    files: [
      "src/ssh/{algorithms,transport}/*.test.ts",
      "src/{link,pipe}/*.test.ts",
      "test/native.test.ts",
      "test/recordings/*.test.ts",
    ],
    // In one process: of a file with hundreds of tests, one that is made to exit loses what it has not told yet.
    flags: ["--test-isolation=none"],
    env: { POSTERN_NATIVE: "off" },
  },
  {
    name: "interop and end to end, without the native part",
    files: ["test/interop/openssh/*.test.ts", "test/e2e/{bulk,transparency}.test.ts"],
    flags: ["--test-concurrency=2", "--test-force-exit", "--test-timeout=300000"],
    env: { POSTERN_NATIVE: "off" },
  },
];

process.chdir(join(import.meta.dirname, ".."));
await removeStaleUsers();
installStrangers();
// Installed just now, perhaps: `npm ci` may have had no compiler.
spawnSync(process.execPath, ["tools/build-native.ts"], { stdio: "inherit" });
process.exitCode = runGroups(process.argv.slice(2)) ? 0 : 1;

function installStrangers(): void {
  const packages = packagesFor(absent(strangerNames));
  if (packages.length === 0) return;
  const line = `apt-get install --yes --no-install-recommends ${packages.join(" ")}`;
  const isDebian = existsSync("/etc/debian_version") && existsSync("/usr/bin/apt-get");
  if (!isRoot || !isDebian) {
    console.log(
      `Some suites need programs that are not here and will be skipped. As root on Debian, run:\n\n  ${line}\n`,
    );
    return;
  }
  console.log(`Installing what the tests need: ${packages.join(" ")}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  for (const command of ["apt-get update --quiet", line]) {
    const [program = "", ...args] = command.split(" ");
    const { status, stdout, stderr } = spawnSync(program, args, { env, encoding: "utf8" });
    if (status !== 0) console.error(`${command} failed:\n${stdout}${stderr}`);
  }
}

/** True when nothing failed. */
function runGroups(words: readonly string[]): boolean {
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const group of groups) {
    const files = globSync([...group.files])
      .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
      .sort();
    if (files.length === 0) continue;
    console.log(`\n${group.name}: ${files.length} files`);
    const { passed, failed, skipped } = runFiles(group, files);
    total.passed += passed;
    total.failed += failed;
    total.skipped += skipped;
  }
  if (total.passed + total.failed + total.skipped === 0) {
    console.error("no test file matches");
    total.failed = 1;
  }
  console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
  return total.failed === 0;
}

function runFiles(group: Group, files: readonly string[]): Tally {
  const folder = mkdtempSync(join(tmpdir(), "postern-tally-"));
  const result = join(folder, "tally.json");
  const reporters = [
    "--test-reporter=spec",
    "--test-reporter-destination=stdout",
    "--test-reporter=./test/support/tally.ts",
    `--test-reporter-destination=${result}`,
  ];
  try {
    const flags = ["--import=./test/support/fixed-seed.ts", "--test", ...group.flags];
    const { status } = spawnSync(process.execPath, [...flags, ...reporters, ...files], {
      stdio: "inherit",
      env: { ...process.env, ...group.env },
    });
    const tally = existsSync(result)
      ? (JSON.parse(readFileSync(result, "utf8") || "null") as Tally | null)
      : null;
    // A runner that fails without a failed test has itself gone wrong.
    if (tally === null) return { passed: 0, failed: 1, skipped: 0 };
    return status !== 0 && tally.failed === 0 ? { ...tally, failed: 1 } : tally;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
