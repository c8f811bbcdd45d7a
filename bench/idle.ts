import { readFile } from "node:fs/promises";
import { Child } from "#test/support/child";
import { stranger } from "#test/support/strangers";
import type { Link } from "#link";
import { formatPublicKey, parsePrivateKey } from "#ssh/keys";
import type { BenchCase } from "./case.ts";
import { treeCpuSeconds, treeResidentBytes } from "./cpu.ts";
import { logIn, startEngineServer } from "./ends.ts";
import type { Sample, Size } from "./schema.ts";
import type { Stage, Subject } from "./stage.ts";

/** At most so many logins under way at once. */
const lanes = 8;

/** Sessions before those that are counted. */
const firstSessions = 500;

/** How long idle sessions are watched for the CPU they cost. */
const watchMs = 5_000;

/** Sessions by `ssh -N`: nothing opened, nothing moved. How much the middle grows, and what it does meanwhile. */
async function idle(stage: Stage, subject: Subject, count: number): Promise<Sample> {
  await using sessions = new AsyncDisposableStack();
  const args = await stage.ssh(subject, [], { flags: ["-N", "-v"] });
  const open = async (): Promise<void> => {
    const ssh = sessions.use(new Child(stranger("ssh"), args));
    await ssh.waitForStderr(/Entering interactive session/);
  };
  // What the first sessions bring along once and for all is no session's own.
  for (let n = 0; n < lanes; n++) await open();
  const before = await stage.middleResidentBytes(subject);
  let left = count;
  const row = async (): Promise<void> => {
    while (left-- > 0) await open();
  };
  await Promise.all(Array.from({ length: lanes }, row));
  const after = await stage.middleResidentBytes(subject);
  const cpuBefore = await stage.middleCpuSeconds(subject);
  const start = performance.now();
  await passing(watchMs);
  const cpuAfter = await stage.middleCpuSeconds(subject);
  const seconds = (performance.now() - start) / 1000;
  if (before === undefined || after === undefined || cpuBefore === undefined || cpuAfter === undefined)
    return {};
  return {
    kilobytesPerSession: (after - before) / 1000 / count,
    cpuMsPerSessionSecond: ((cpuAfter - cpuBefore) * 1000) / seconds / (count + lanes),
  };
}

/**
 * Many sessions between ends of our own engine, after the first ones, with which heap and code grow to what they need. The ends
 * live in this process, and cost the gateway nothing.
 */
async function idleMany(stage: Stage, count: number): Promise<Sample> {
  await using owned = new AsyncDisposableStack();
  const upstream = owned.use(await startEngineServer());
  const { path } = await stage.keys();
  const key = await parsePrivateKey(await readFile(path));
  const { host, port, hostKey } = upstream;
  const place = { host, port, hostKey: { keys: [formatPublicKey(hostKey.blob)] } };
  const gateway = owned.use(await stage.startGateway(place));
  const links: Link[] = [];
  owned.defer(async () => {
    for (const link of links) link.destroy();
    // In order, so that a profile is written.
    await gateway.stop();
  });
  const open = async (upTo: number): Promise<void> => {
    const row = async (): Promise<void> => {
      while (wanted-- > 0) links.push(await logIn(gateway, stage.user, key));
    };
    let wanted = upTo - links.length;
    await Promise.all(Array.from({ length: lanes }, row));
  };
  await open(firstSessions);
  const cpuAtFirst = await treeCpuSeconds(gateway.child.pid);
  const before = await treeResidentBytes(gateway.child.pid);
  await open(count + firstSessions);
  const cpuBefore = await treeCpuSeconds(gateway.child.pid);
  const start = performance.now();
  await passing(watchMs);
  const seconds = (performance.now() - start) / 1000;
  const cpuAfter = await treeCpuSeconds(gateway.child.pid);
  const after = await treeResidentBytes(gateway.child.pid);
  return {
    kilobytesPerSession: (after - before) / 1000 / count,
    cpuMsPerSessionSecond: ((cpuAfter - cpuBefore) * 1000) / seconds / links.length,
    proxyCpuMsPerLogin: ((cpuBefore - cpuAtFirst) * 1000) / count,
  };
}

async function passing(ms: number): Promise<void> {
  await new Promise<void>((resolve) => setTimeout(resolve, ms));
}

export const idleCases: readonly BenchCase[] = [
  {
    name: "idle",
    summary: "sessions by ssh -N: growth of resident memory and CPU for each (the jump's are processes)",
    subjects: ["gateway", "jump", "ssh2"],
    maxRounds: 2,
    measure: (stage: Stage, subject: string, { idleSessions }: Size) =>
      idle(stage, subject as Subject, idleSessions),
  },
  {
    name: "idle-many",
    summary: "the same with ends of our own engine: what a session and a login cost when there are many",
    subjects: ["gateway"],
    maxRounds: 3,
    measure: (stage: Stage, _subject: string, { idleEngineSessions }: Size) =>
      idleMany(stage, idleEngineSessions),
  },
];
