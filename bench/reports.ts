import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { judge } from "./judge.ts";
import type { Figure, Report } from "./schema.ts";

/** Throws where the file is no report. */
export function readReport(file: string): Report {
  const report = JSON.parse(readFileSync(file, "utf8")) as Report;
  if (report.schema !== "postern-bench/1") throw new Error(`${file} is no report of this benchmark`);
  return report;
}

/** Whole or not at all: who stops a run keeps what it had. */
export function writeReport(file: string, report: Report): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.new`, `${JSON.stringify(report, undefined, 1)}\n`);
  renameSync(`${file}.new`, file);
}

/** One report of several runs on one machine: of each case the figures of the last that has it. Throws when the machines differ. */
export function merged(reports: readonly Report[]): Report {
  const [first, last] = [reports[0], reports.at(-1)];
  if (first === undefined || last === undefined) throw new Error("no report to merge");
  const figures = new Map<string, readonly Figure[]>();
  for (const report of reports) {
    const { cpu, cores } = report.machine;
    if (cpu !== last.machine.cpu || cores !== last.machine.cores)
      throw new Error(
        `the reports come from different machines: ${cpu}, ${cores} cores and ${last.machine.cpu}, ${last.machine.cores} cores`,
      );
    for (const [name, found] of Map.groupBy(report.figures, (figure) => figure.case))
      figures.set(name, found);
  }
  const all = [...figures.values()].flat();
  return {
    ...last,
    quick: reports.some(({ quick }) => quick),
    load: [Math.max(...reports.map(({ load }) => load[0])), Math.max(...reports.map(({ load }) => load[1]))],
    absent: stillAbsent(Object.assign({}, ...reports.map(({ absent }) => absent)), all),
    took: Object.assign({}, ...reports.map(({ took }) => took ?? {})) as Record<string, number>,
    figures: all,
    goals: judge(all),
  };
}

/** Rivals of which no run has a figure. */
export function stillAbsent(
  absent: Readonly<Record<string, string>>,
  figures: readonly Figure[],
): Readonly<Record<string, string>> {
  const there = new Set(figures.map(({ subject }) => subject));
  return Object.fromEntries(Object.entries(absent).filter(([subject]) => !there.has(subject)));
}

/** Seconds as people say them. */
export function spoken(seconds: number): string {
  return seconds < 100 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}
