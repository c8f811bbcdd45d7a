/** `npm run bench`: measures every case, or those named, and holds the figures against the baseline and the goals. */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { arch, cpus, loadavg, release, totalmem } from "node:os";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { absent } from "#test/support/strangers";
import { bulkCases } from "./bulk.ts";
import type { BenchCase } from "./case.ts";
import { compare } from "./compare.ts";
import { echoCases } from "./echo.ts";
import { forwardCases } from "./forward.ts";
import { judge } from "./judge.ts";
import { idleCases } from "./idle.ts";
import { laneCases } from "./lane-cases.ts";
import { limitCases } from "./limit.ts";
import { loginCases } from "./logins.ts";
import { manyCases } from "./many.ts";
import { hottest, profileOf } from "./profile.ts";
import { pysshrpCases } from "./pysshrp.ts";
import { writeReadme } from "./readme.ts";
import { runCase } from "./runner.ts";
import type { Figure, Machine, Report, Size } from "./schema.ts";
import { saturatedCases } from "./saturated.ts";
import { offeredCases } from "./offered.ts";
import { absentSubjects, Stage } from "./stage.ts";
import { sftpCases } from "./sftp.ts";
import { spliceCases } from "./splice.ts";
import { startCases } from "./start.ts";
import { tunnelCases } from "./tunnels.ts";
import { caseTables, goalTable } from "./table.ts";

const cases: readonly BenchCase[] = [
  ...laneCases,
  ...limitCases,
  ...saturatedCases,
  ...bulkCases,
  ...offeredCases,
  ...echoCases,
  ...loginCases,
  ...spliceCases,
  ...forwardCases,
  ...idleCases,
  ...manyCases,
  ...tunnelCases,
  ...sftpCases,
  ...pysshrpCases,
  ...startCases,
];

const help = `usage: npm run bench -- [options]

  --quick           small sizes, one round, the nearest rivals: about two minutes
  --all             also the cases that no goal asks for
  --case NAME       only cases whose name begins so; may be given again
  --rounds N        rounds of each case
  --subject NAME    only these subjects; may be given again
  --json FILE       write the report there
  --publish         write it to bench/baseline.json, and its tables into bench/README.md
  --readme FILE     measure nothing: write the tables of that report into bench/README.md
  --baseline FILE   compare with this report (default: bench/baseline.json)
  --profile CASE    measure CASE with the gateway under node --cpu-prof, and show where its time goes
  --profile-to DIR  where profiles are written (default: bench/profiles)
  --list            name the cases and leave

Cases:
${cases.map((each) => `  ${each.name.padEnd(22)} ${each.onlyTold === true ? "(--all) " : ""}${each.summary}`).join("\n")}`;

const baselineFile = resolve(import.meta.dirname, "baseline.json");

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    case: { type: "string", multiple: true, default: [] },
    rounds: { type: "string" },
    subject: { type: "string", multiple: true, default: [] },
    all: { type: "boolean", default: false },
    json: { type: "string" },
    publish: { type: "boolean", default: false },
    readme: { type: "string" },
    baseline: { type: "string", default: baselineFile },
    profile: { type: "string" },
    "profile-to": { type: "string", default: resolve(import.meta.dirname, "profiles") },
    list: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

const full: Size = {
  quick: false,
  rounds: 5,
  bulkBytes: 768 * 1024 * 1024,
  echoTrips: 3000,
  logins: 40,
  concurrentLogins: 50,
  idleSessions: 100,
  idleEngineSessions: 2000,
};
const quick: Size = {
  quick: true,
  rounds: 1,
  bulkBytes: 256 * 1024 * 1024,
  echoTrips: 1000,
  logins: 10,
  concurrentLogins: 20,
  idleSessions: 16,
  idleEngineSessions: 1500,
};

function machine(): Machine {
  const [cpu] = cpus();
  const { stderr } = spawnSync("ssh", ["-V"], { encoding: "utf8" });
  return {
    cpu: `${cpu?.model.trim() ?? "unknown"} (${arch()})`,
    cores: cpus().length,
    memoryBytes: totalmem(),
    kernel: `Linux ${release().split("-")[0] ?? ""}`,
    node: process.version,
    openssl: process.versions.openssl,
    openssh: stderr.split(",")[0]?.trim() ?? "",
  };
}

function wanted(): readonly BenchCase[] {
  const names = options.profile === undefined ? options.case : [options.profile];
  if (names.length === 0) {
    return cases.filter(
      ({ onlyTold, quick: inQuick }) =>
        (options.all || onlyTold !== true) && (!options.quick || inQuick === undefined || inQuick.length > 0),
    );
  }
  const found = cases.filter((each) => names.some((name) => each.name.startsWith(name)));
  if (found.length === 0) throw new Error(`no case is called ${names.join(", ")}; see --list`);
  return found;
}

function tell(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001B[K${line}`);
  else process.stderr.write(`${line}\n`);
}

/** Subjects that are measured in a case: those named, or all that can be had here, and in a quick run fewer. */
function chosenIn(bench: BenchCase, absent: ReadonlyMap<string, string>): (subject: string) => boolean {
  return (subject) => {
    if (options.subject.length > 0) return options.subject.includes(subject);
    const inQuick = !options.quick || options.case.length > 0 || bench.quick === undefined;
    return !absent.has(subject) && (inQuick || bench.quick.includes(subject));
  };
}

async function measureAll(size: Size, absent: ReadonlyMap<string, string>): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const bench of wanted()) {
    // A fresh gateway for each case: what one leaves behind does not burden the next.
    await using stage = new Stage();
    figures.push(...(await runCase(bench, stage, size, chosenIn(bench, absent), tell)));
  }
  if (process.stderr.isTTY) process.stderr.write("\r\u001B[K");
  return figures;
}

async function main(): Promise<void> {
  if (options.help || options.list) {
    console.log(help);
    return;
  }
  const lacking = absent(["ssh", "sshd"]);
  if (lacking.length > 0) throw new Error(`the benchmark needs ${lacking.join(" and ")}`);
  const base = options.quick ? quick : full;
  const size: Size = options.rounds === undefined ? base : { ...base, rounds: Number(options.rounds) };
  if (options.profile !== undefined) {
    const folder = resolve(options["profile-to"]);
    mkdirSync(folder, { recursive: true });
    for (const bench of wanted()) console.log(hottest(await profileOf(bench, folder, size, tell)));
    return;
  }
  if (options.readme !== undefined) {
    writeReadme(JSON.parse(readFileSync(options.readme, "utf8")) as Report);
    return;
  }
  const missing = absentSubjects();
  for (const [subject, why] of missing) console.error(`${subject} is left out: ${why}`);
  const at = new Date().toISOString();
  const [loadBefore = 0] = loadavg();
  const figures = await measureAll(size, missing);
  const report: Report = {
    schema: "postern-bench/1",
    at,
    quick: size.quick,
    machine: machine(),
    load: [loadBefore, loadavg()[0] ?? 0],
    absent: Object.fromEntries(missing),
    figures,
    goals: judge(figures),
  };
  console.log(caseTables(report));
  console.log(`\n### Goals\n\n${goalTable(report.goals)}`);
  const text = `${JSON.stringify(report, undefined, 1)}\n`;
  if (options.json !== undefined) writeFileSync(options.json, text);
  showChanges(report);
  if (!options.publish) return;
  writeFileSync(baselineFile, text);
  writeReadme(report);
}

function showChanges(report: Report): void {
  let baseline: Report;
  try {
    baseline = JSON.parse(readFileSync(options.baseline, "utf8")) as Report;
  } catch {
    console.log(`\nNo baseline at ${options.baseline}.`);
    return;
  }
  const changes = compare(report, baseline);
  console.log(`\n### Against the baseline of ${baseline.at.slice(0, 10)}, ${baseline.machine.cpu}\n`);
  console.log(changes.length === 0 ? "No figure of ours moved by a tenth." : changes.join("\n"));
}

await main();
