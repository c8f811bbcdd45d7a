import { Child } from "#test/support/child";
import { stranger } from "#test/support/strangers";
import type { BenchCase } from "./case.ts";
import type { Sample, Size } from "./schema.ts";
import type { Stage, Subject } from "./stage.ts";

/** At most so many logins under way at once. */
const lanes = 8;

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

async function passing(ms: number): Promise<void> {
  await new Promise<void>((resolve) => setTimeout(resolve, ms));
}

export const idleCases: readonly BenchCase[] = [
  {
    name: "idle",
    summary: "sessions by ssh -N: growth of resident memory and CPU for each (the jump's are processes)",
    subjects: ["gateway", "jump", "ssh2"],
    maxRounds: 2,
    onlyTold: true,
    measure: (stage: Stage, subject: string, { idleSessions }: Size) =>
      idle(stage, subject as Subject, idleSessions),
  },
];
