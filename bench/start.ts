import { cpSync, mkdirSync } from "node:fs";
import { repository } from "#test/support/gateway";
import { succeed } from "#test/support/child";
import type { BenchCase } from "./case.ts";
import { treeResidentBytes } from "./cpu.ts";
import type { Sample } from "./schema.ts";
import type { Stage } from "./stage.ts";

/** Below the repository, so that it finds the same dependencies; git ignores it. */
const releaseFolder = `${repository}/build/bench-release`;

let release: Promise<readonly string[]> | undefined;

/** What `npm run build` makes; as a launcher that is given node, the program of the sources and its arguments, and starts it instead. */
async function built(): Promise<readonly string[]> {
  mkdirSync(releaseFolder, { recursive: true });
  await succeed(process.execPath, [`${repository}/tools/build.ts`, `${releaseFolder}/dist`, "--no-types"]);
  cpSync(`${repository}/bin/postern.js`, `${releaseFolder}/bin/postern.js`);
  return ["sh", "-c", `node=$1; shift 2; exec "$node" ${releaseFolder}/bin/postern.js "$@"`, "sh"];
}

/** From spawn to the log line that says that it listens, and what it holds then. */
async function start(stage: Stage, subject: string): Promise<Sample> {
  const { host, port, knownHosts } = await stage.upstream();
  const launcher = subject === "release" ? await (release ??= built()) : undefined;
  const place = { host, port, hostKey: { knownHosts } };
  await using gateway = await stage.startGateway(place, launcher === undefined ? {} : { launcher });
  return {
    readyMs: performance.now() - gateway.child.spawnedAt,
    idleMegabytes: (await treeResidentBytes(gateway.child.pid)) / 1e6,
  };
}

export const startCases: readonly BenchCase[] = [
  {
    name: "start",
    summary: "postern serve until it listens: from the sources (gateway), and from a release build",
    subjects: ["gateway", "release"],
    measure: (stage, subject) => start(stage, subject),
  },
];
