import { readFileSync, writeFileSync } from "node:fs";
import type { Figure, Metric, Report } from "./schema.ts";
import { goalTable, grid, number, subjectsTable } from "./table.ts";

const file = new URL("README.md", import.meta.url).pathname;
const [begin, end] = ["<!-- figures: begin -->", "<!-- figures: end -->"];

/** Puts the tables of a report where the page says, and leaves all else as it is. Throws when the page does not say where. */
export function writeReadme(report: Report): void {
  const text = readFileSync(file, "utf8");
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${file} has no lines ${begin} and ${end}`);
  const page = `${text.slice(0, from + begin.length)}\n\n${figuresPage(report)}\n\n${text.slice(to)}`;
  writeFileSync(file, page);
}

/** What the page says of a report: where it comes from, goals, and the figures that they rest on. */
export function figuresPage(report: Report): string {
  const { machine, load, absent } = report;
  const lines = Object.entries(absent).map(([subject, why]) => `Not measured: ${subject}, as ${why}.`);
  const rounds = Math.max(...report.figures.map((figure) => figure.samples.length));
  return [
    `${report.at.slice(0, 10)}, from \`baseline.json\`: medians of ${rounds} rounds${report.quick ? " of a quick run" : ""}, in brackets the lowest and the highest. ${machine.cpu}, ${machine.cores} cores, ` +
      `${(machine.memoryBytes / 1e9).toFixed(0)} GB, ${machine.kernel}, Node ${machine.node}, OpenSSL ${machine.openssl}, ${machine.openssh.replace("_", " ")}. Load before and after: ${load.map((each) => each.toFixed(1)).join(", ")}.`,
    ...lines,
    "### Goals",
    goalTable(report.goals),
    ...pages.flatMap(({ head, metrics, cases }) => {
      const rows = cases(report);
      return rows.length === 0 ? [] : [`### ${head}`, subjectsTable(report, rows, metrics)];
    }),
    "### Alone",
    alone(report),
  ].join("\n\n");
}

interface Page {
  readonly head: string;
  readonly metrics: readonly Metric[];
  readonly cases: (report: Report) => readonly string[];
}

function having(...beginnings: readonly string[]): Page["cases"] {
  return ({ figures }) =>
    [...new Set(figures.map((figure) => figure.case))].filter((name) =>
      beginnings.some((beginning) => name.startsWith(beginning)),
    );
}

const pages: readonly Page[] = [
  {
    head: "Bulk: CPU of the middle, s/GB",
    metrics: ["proxyCpuSecondsPerGb"],
    cases: having("saturated", "bulk", "offered", "splice", "sftp-pysshrp"),
  },
  { head: "Bulk: MB/s", metrics: ["megabytesPerSecond"], cases: having("saturated", "bulk", "splice") },
  {
    head: "Keystrokes: there and back, µs, 50th and 99th percentile",
    metrics: ["p50Micros", "p99Micros"],
    cases: having("echo"),
  },
  {
    head: "Logins: CPU of the middle, ms each",
    metrics: ["proxyCpuMsPerLogin"],
    cases: having("logins"),
  },
];

/** Figures of what is compared with nothing else. */
function alone({ figures }: Report): string {
  const names: readonly (readonly [string, string, Metric, string])[] = [
    ["lane-64", "aes128-gcm@openssh.com", "relayMicros", "a packet of 64 B through the engine alone, µs"],
    ["lane-32k", "aes128-gcm@openssh.com", "relayMicros", "a packet of 32 KiB, aes128-gcm, µs"],
    ["lane-32k", "chacha20-poly1305@openssh.com", "relayMicros", "a packet of 32 KiB, chacha20-poly1305, µs"],
    ["logins-many", "gateway", "worstToMeanWait", "200 logins at once: the longest wait over the mean"],
    ["idle-many", "gateway", "kilobytesPerSession", "memory of an idle session, kB"],
    ["idle-many", "gateway", "cpuMsPerSessionSecond", "CPU of an idle session, ms a second"],
    ["start", "release", "readyMs", "start of a release until it listens, ms"],
    ["start", "release", "idleMegabytes", "memory of a release that is idle, MB"],
  ];
  const found = names.flatMap(([name, subject, metric, what]) => {
    const figure: Figure | undefined = figures.find(
      (each) => each.case === name && each.subject === subject && each.metric === metric,
    );
    return figure === undefined
      ? []
      : [[what, number(figure.median), `${number(figure.low)} – ${number(figure.high)}`]];
  });
  return grid([["", "median", "range"], ...found]);
}
