import { type Figure, type GoalVerdict, type Metric, metrics, type Report } from "./schema.ts";

/** Three digits that count. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

/** A table that is Markdown and reads well on a terminal: the first column to the left, all others to the right. */
export function grid(rows: readonly (readonly string[])[], textColumns = 1): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [n, cell] of row.entries()) widths[n] = Math.max(widths[n] ?? 0, cell.length);
  }
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, n) => (n < textColumns ? cell.padEnd(widths[n] ?? 0) : cell.padStart(widths[n] ?? 0))).join(" | ")} |`;
  const rule = widths.map((width, n) => (n < textColumns ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  const [head = [], ...body] = rows;
  return [line(head), line(rule), ...body.map(line)].join("\n");
}

/** Median, and in brackets the lowest and highest. */
function spread(figure: Figure): string {
  if (figure.samples.length < 2) return number(figure.median);
  return `${number(figure.median)} (${number(figure.low)} – ${number(figure.high)})`;
}

/** One table for each case: subjects down, metrics across, each with its ratio to the direct way. */
export function caseTables(report: Report): string {
  const cases = [...new Set(report.figures.map((figure) => figure.case))];
  return cases
    .map((name) => {
      const figures = report.figures.filter((figure) => figure.case === name);
      const shown = [...new Set(figures.map((figure) => figure.metric))];
      const caption = shown.map((metric) => `${metrics[metric].unit}: ${metrics[metric].what}`).join("; ");
      return `### ${name}\n\n${caption}\n\n${caseGrid(figures, shown)}`;
    })
    .join("\n\n");
}

function caseGrid(figures: readonly Figure[], shown: readonly Metric[]): string {
  const hasDirect = figures.some((figure) => figure.subject === "direct");
  const head = shown.flatMap((metric) => [metrics[metric].unit, ...(hasDirect ? ["to direct"] : [])]);
  const rows = [...new Set(figures.map((figure) => figure.subject))].map((subject) => {
    const cells = shown.flatMap((metric) => {
      const figure = figures.find((each) => each.subject === subject && each.metric === metric);
      const ratio = figure?.ratios.findLast((each) => each.subject === "direct");
      const told = ratio === undefined ? "" : `× ${number(ratio.median)}`;
      return [figure === undefined ? "" : spread(figure), ...(hasDirect ? [told] : [])];
    });
    return [subject, ...cells];
  });
  return grid([["", ...head], ...rows]);
}

export function goalTable(goals: readonly GoalVerdict[]): string {
  const rows = goals.map((each) => [each.id, each.verdict, each.what, each.goal, each.found]);
  return grid([["#", "verdict", "what", "goal", "found"], ...rows], 5);
}

/** Cases down, subjects across; of several metrics one after the other in each cell. */
export function subjectsTable(report: Report, names: readonly string[], shown: readonly Metric[]): string {
  const figures = report.figures.filter(
    (figure) => names.includes(figure.case) && shown.includes(figure.metric),
  );
  const across = [...new Set(figures.map((figure) => figure.subject))];
  const rows = names.map((name) => [
    name,
    ...across.map((subject) => {
      const found = shown.flatMap(
        (metric) =>
          figures.find((each) => each.case === name && each.subject === subject && each.metric === metric) ??
          [],
      );
      return shown.length === 1
        ? found.map(spread).join()
        : found.map((each) => number(each.median)).join(", ");
    }),
  ]);
  return grid([["", ...across], ...rows]);
}
