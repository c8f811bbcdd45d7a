import type { BenchCase } from "./case.ts";
import { treeResidentBytes } from "./cpu.ts";
import type { Sample } from "./schema.ts";
import type { Stage } from "./stage.ts";

/** From spawn to the log line that says that it listens, and what it holds then. */
async function start(stage: Stage): Promise<Sample> {
  const upstream = await stage.upstream();
  const spawned = performance.now();
  await using gateway = await stage.startGateway(upstream);
  return {
    readyMs: performance.now() - spawned,
    idleMegabytes: (await treeResidentBytes(gateway.child.pid)) / 1e6,
  };
}

export const startCases: readonly BenchCase[] = [
  {
    name: "start",
    summary: "postern serve from the sources until it listens",
    subjects: ["gateway"],
    measure: (stage) => start(stage),
  },
];
