import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { BenchCase } from "./case.ts";
import { flameGraph, type Stacks } from "./flame.ts";
import type { Size } from "./schema.ts";
import { Stage } from "./stage.ts";

/** As V8 writes it. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
    readonly children?: readonly number[];
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** Measures a case for one subject alone, under node --cpu-prof; gives the paths of the profiles. */
export async function profileOf(
  bench: BenchCase,
  folder: string,
  size: Size,
  tell: (line: string) => void,
): Promise<string[]> {
  const before = new Set(readdirSync(folder));
  {
    await using stage = new Stage({ profileFolder: folder });
    const subject = bench.profiled ?? "gateway";
    tell(`${bench.name}: ${subject} under the profiler`);
    await bench.measure(stage, subject, size);
    await stage.quiet();
    await stage.stopGateway();
  }
  return readdirSync(folder)
    .filter((name) => name.endsWith(".cpuprofile") && !before.has(name))
    .map((name) => join(folder, name));
}

const shownFunctions = 40;

/** Functions by their own time, idle time left out. */
export function hottest(paths: readonly string[]): string {
  return paths.map((path) => hottestOf(path)).join("\n\n");
}

/** Microseconds of each stack, outermost first; idle time left out. */
function stacksOf(profile: CpuProfile): Stacks {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const parents = new Map(
    profile.nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.id])),
  );
  const stacks = new Map<string, number>();
  for (const [n, sample] of profile.samples.entries()) {
    const names: string[] = [];
    for (let id: number | undefined = sample; id !== undefined; id = parents.get(id)) {
      const frame = nodes.get(id)?.callFrame;
      if (frame !== undefined && frame.functionName !== "(root)") names.unshift(nameOf(frame));
    }
    if (names[0] === undefined || names[0] === "(idle)") continue;
    const stack = names.join(";");
    stacks.set(stack, (stacks.get(stack) ?? 0) + (profile.timeDeltas[n] ?? 0));
  }
  return stacks;
}

function nameOf({ functionName, url, lineNumber }: CpuProfile["nodes"][number]["callFrame"]): string {
  const place = url === "" ? "" : ` ${shortUrl(url)}:${lineNumber + 1}`;
  return `${functionName === "" ? "(anonymous)" : functionName}${place}`;
}

function hottestOf(path: string): string {
  const profile = JSON.parse(readFileSync(path, "utf8")) as CpuProfile;
  const stacks = stacksOf(profile);
  const picture = path.replace(/\.cpuprofile$/, ".svg");
  writeFileSync(picture, flameGraph(stacks));
  writeFileSync(
    path.replace(/\.cpuprofile$/, ".folded"),
    [...stacks].map(([stack, micros]) => `${stack} ${micros}\n`).join(""),
  );
  const frames = new Map(profile.nodes.map((node) => [node.id, node.callFrame]));
  const own = new Map<string, number>();
  let busy = 0;
  for (const [n, id] of profile.samples.entries()) {
    const frame = frames.get(id);
    if (frame === undefined || frame.functionName === "(idle)" || frame.functionName === "(program)") {
      if (frame?.functionName !== "(program)") continue;
    }
    const micros = profile.timeDeltas[n] ?? 0;
    const name = nameOf(frame);
    own.set(name, (own.get(name) ?? 0) + micros);
    busy += micros;
  }
  const rows = [...own.entries()].toSorted((a, b) => b[1] - a[1]).slice(0, shownFunctions);
  const lines = rows.map(
    ([name, micros]) =>
      `${((micros / busy) * 100).toFixed(1).padStart(5)} %  ${(micros / 1000).toFixed(0).padStart(7)} ms  ${name}`,
  );
  return [
    `${basename(path)}: ${(busy / 1000).toFixed(0)} ms busy`,
    ...lines,
    `Flame graph: ${picture}`,
    `Open it in a browser's profiler: ${path}`,
  ].join("\n");
}

function shortUrl(url: string): string {
  return url.replace(/^.*\/(src|node_modules)\//, "$1/");
}
