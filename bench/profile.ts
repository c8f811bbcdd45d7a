import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { BenchCase } from "./case.ts";
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

/** Measures a case for the gateway alone, under node --cpu-prof; gives the paths of the profiles. */
export async function profileOf(
  bench: BenchCase,
  folder: string,
  size: Size,
  tell: (line: string) => void,
): Promise<string[]> {
  const before = new Set(readdirSync(folder));
  await using stage = new Stage({ profileFolder: folder });
  tell(`${bench.name}: the gateway under the profiler`);
  await bench.measure(stage, "gateway", size);
  await stage.quiet();
  await stage.stopGateway();
  return readdirSync(folder)
    .filter((name) => name.endsWith(".cpuprofile") && !before.has(name))
    .map((name) => join(folder, name));
}

const shownFunctions = 40;

/** Functions by their own time, idle time left out. */
export function hottest(paths: readonly string[]): string {
  return paths.map((path) => hottestOf(path)).join("\n\n");
}

function hottestOf(path: string): string {
  const profile = JSON.parse(readFileSync(path, "utf8")) as CpuProfile;
  const frames = new Map(profile.nodes.map((node) => [node.id, node.callFrame]));
  const own = new Map<string, number>();
  let busy = 0;
  for (const [n, id] of profile.samples.entries()) {
    const frame = frames.get(id);
    if (frame === undefined || frame.functionName === "(idle)" || frame.functionName === "(program)") {
      if (frame?.functionName !== "(program)") continue;
    }
    const micros = profile.timeDeltas[n] ?? 0;
    const place = frame.url === "" ? "" : ` ${shortUrl(frame.url)}:${frame.lineNumber + 1}`;
    const name = `${frame.functionName === "" ? "(anonymous)" : frame.functionName}${place}`;
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
    `Open it in a browser's profiler: ${path}`,
  ].join("\n");
}

function shortUrl(url: string): string {
  return url.replace(/^.*\/(src|node_modules)\//, "$1/");
}
