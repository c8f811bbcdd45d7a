import { type Figure, metrics, type Report } from "./schema.ts";
import { number } from "./table.ts";

/** Changes below this are the machine's mood: absolute values move by 15 to 20 % from hour to hour, ratios by less. */
const notableChange = 0.1;

/**
 * What has changed since the baseline. Where a figure has a ratio to the direct way, or to the jump, that is compared, as it holds
 * between machines; else the value itself, which holds on the same kind of machine only.
 */
export function compare(report: Report, baseline: Report): string[] {
  const lines: string[] = [];
  for (const now of report.figures) {
    const then = baseline.figures.find(
      (each) => each.case === now.case && each.subject === now.subject && each.metric === now.metric,
    );
    if (then === undefined || !isOurs(now)) continue;
    const [value, before, unit] = comparable(now, then);
    const change = value / before - 1;
    if (!Number.isFinite(change) || Math.abs(change) < notableChange) continue;
    const better = change < 0 === (metrics[now.metric].better === "less");
    const percent = `${change > 0 ? "+" : "−"}${Math.abs(change * 100).toFixed(0)} %`;
    const where = `${now.case}, ${now.subject}, ${now.metric}`;
    lines.push(
      `${better ? "better" : "WORSE "}  ${percent.padStart(6)}  ${where}: ${number(before)} → ${number(value)} ${unit}`,
    );
  }
  return lines;
}

/** Rivals are there to be held against, not to be watched. */
function isOurs(figure: Figure): boolean {
  return figure.subject === "gateway" || figure.subject === "release" || figure.case.startsWith("lane");
}

function comparable(now: Figure, then: Figure): [now: number, then: number, unit: string] {
  for (const subject of ["direct", "jump"]) {
    const ratio = now.ratios.findLast((each) => each.subject === subject);
    const before = then.ratios.findLast((each) => each.subject === subject && each.metric === ratio?.metric);
    if (ratio !== undefined && before !== undefined) return [ratio.median, before.median, `× ${subject}`];
  }
  return [now.median, then.median, metrics[now.metric].unit];
}
