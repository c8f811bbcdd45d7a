/** `npm run bench`: measures every case, or those named, and holds the figures against the baseline and the goals. */
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
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
import { merged, readReport, spoken, stillAbsent, writeReport } from "./reports.ts";
import { runCase } from "./runner.ts";
import type { Machine, Report, Size } from "./schema.ts";
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
  --json FILE       write the report there, after each case (default: build/bench.json)
  --resume FILE     begin with what this report has, and measure the cases that it has not
  --merge A B …     measure nothing: one report of several, each case from the last that has it
  --publish         write it to bench/baseline.json, and its tables into bench/README.md
  --readme FILE     measure nothing: write the tables of that report into bench/README.md
  --baseline FILE   compare with this report (default: bench/baseline.json)
  --profile CASE    measure CASE with the gateway under node --cpu-prof, and show where its time goes
  --profile-to DIR  where profiles are written (default: bench/profiles)
  --list            name the cases and leave

Cases:
${cases.map((each) => `  ${each.name.padEnd(22)} ${each.onlyTold === true ? "(--all) " : ""}${each.summary}`).join("\n")}`;

/** Seconds that a subject takes in a round, where no report says how long the case took. */
const roughSeconds = 3;

const baselineFile = resolve(import.meta.dirname, "baseline.json");

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: "boolean", default: false },
    case: { type: "string", multiple: true, default: [] },
    rounds: { type: "string" },
    subject: { type: "string", multiple: true, default: [] },
    all: { type: "boolean", default: false },
    json: { type: "string", default: resolve(import.meta.dirname, "..", "build", "bench.json") },
    resume: { type: "string" },
    merge: { type: "boolean", default: false },
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
  bulkBytes: 512 * 1024 * 1024,
  echoTrips: 3000,
  logins: 20,
  concurrentLogins: 50,
  idleSessions: 100,
  idleEngineSessions: 10_000,
};
const quick: Size = {
  quick: true,
  rounds: 1,
  bulkBytes: 256 * 1024 * 1024,
  echoTrips: 1000,
  logins: 6,
  concurrentLogins: 20,
  idleSessions: 16,
  idleEngineSessions: 1000,
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

/** On a terminal a line takes the place of the one before, unless it is to stay. */
function tell(line: string, stays = false): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001B[K${line}${stays ? "\n" : ""}`);
  else process.stderr.write(`${line}\n`);
}

/** Subjects that are measured in a case: those named, or all that can be had here, and in a quick run fewer. */
function chosenIn(bench: BenchCase, absent: ReadonlyMap<string, string>): (subject: string) => boolean {
  return (subject) => {
    if (options.subject.length > 0) return options.subject.includes(subject);
    const inQuick = !options.quick || options.case.length > 0 || bench.quick === undefined;
    const asked = options.all || options.case.length > 0 || bench.told?.includes(subject) !== true;
    return !absent.has(subject) && asked && (inQuick || bench.quick.includes(subject));
  };
}

/** Who stops a run leaves no server behind. */
function onStop(end: () => Promise<void>): Disposable {
  const stop = (): void => void end().finally(() => process.exit(130));
  const signals = ["SIGINT", "SIGTERM"] as const;
  for (const signal of signals) process.once(signal, stop);
  return { [Symbol.dispose]: () => signals.forEach((signal) => process.off(signal, stop)) };
}

/** How long a case will take, by how long it took in the baseline, or roughly. */
function expectedSeconds(bench: BenchCase, size: Size, present: (subject: string) => boolean): number {
  const rounds = Math.min(size.rounds, bench.maxRounds ?? size.rounds);
  const known = size.quick || options.case.length > 0 ? undefined : baseline()?.took?.[bench.name];
  return known ?? rounds * bench.subjects.filter(present).length * roughSeconds;
}

/** Measures what is wanted and not there yet; the report is written after each case, so that a run that is stopped keeps what it has. */
async function measureAll(size: Size, begun: Report | undefined): Promise<Report> {
  const missing = absentSubjects();
  for (const [subject, why] of missing) console.error(`${subject} is left out: ${why}`);
  const there = new Set(begun?.figures.map((figure) => figure.case));
  const todo = wanted().filter(({ name }) => !there.has(name));
  const expected = todo.map((bench) => expectedSeconds(bench, size, chosenIn(bench, missing)));
  const started = performance.now();
  const [loadBefore = 0] = loadavg();
  let report: Report = {
    schema: "postern-bench/1",
    at: begun?.at ?? new Date().toISOString(),
    quick: size.quick || begun?.quick === true,
    machine: machine(),
    load: begun?.load ?? [loadBefore, loadBefore],
    absent: Object.fromEntries(missing),
    figures: begun?.figures ?? [],
    took: begun?.took ?? {},
    goals: [],
  };
  for (const [n, bench] of todo.entries()) {
    const left = expected.slice(n).reduce((sum, each) => sum + each, 0);
    tell(`${n + 1} of ${todo.length} cases, about ${spoken(left)} left: ${bench.name}`, true);
    const start = performance.now();
    // A fresh gateway for each case: what one leaves behind does not burden the next.
    await using stage = new Stage();
    using _stopped = onStop(() => stage[Symbol.asyncDispose]());
    const found = await runCase(bench, stage, size, chosenIn(bench, missing), tell);
    const figures = [...report.figures, ...found];
    const took = { ...report.took, [bench.name]: Math.round((performance.now() - start) / 1000) };
    const load = [report.load[0], loadavg()[0] ?? 0] as const;
    const lacking = stillAbsent(report.absent, figures);
    report = { ...report, absent: lacking, figures, took, load, goals: judge(figures) };
    writeReport(options.json, report);
  }
  tell(`${todo.length} cases took ${spoken((performance.now() - started) / 1000)}`, true);
  return report;
}

async function main(): Promise<void> {
  if (options.help || options.list) {
    console.log(help);
    return;
  }
  if (options.readme !== undefined) {
    writeReadme(readReport(options.readme));
    return;
  }
  if (options.merge) {
    show(merged(positionals.map(readReport)));
    return;
  }
  if (positionals.length > 0) throw new Error(`what is ${positionals.join(" ")}? See --help`);
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
  show(await measureAll(size, options.resume === undefined ? undefined : readReport(options.resume)));
}

/** Tables, goals, and what has changed; to the files that were asked for. */
function show(report: Report): void {
  console.log(caseTables(report));
  console.log(`\n### Goals\n\n${goalTable(report.goals)}`);
  writeReport(options.json, report);
  showChanges(report);
  if (!options.publish) return;
  writeReport(baselineFile, report);
  writeReadme(report);
}

function baseline(): Report | undefined {
  try {
    return readReport(options.baseline);
  } catch {
    return undefined;
  }
}

function showChanges(report: Report): void {
  const before = baseline();
  if (before === undefined) {
    console.log(`\nNo baseline at ${options.baseline}.`);
    return;
  }
  const changes = compare(report, before);
  console.log(`\n### Against the baseline of ${before.at.slice(0, 10)}, ${before.machine.cpu}\n`);
  console.log(changes.length === 0 ? "No figure of ours moved by a tenth." : changes.join("\n"));
}

await main();
