import { Child } from "#test/support/child";
import { stranger } from "#test/support/strangers";
import type { BenchCase } from "./case.ts";
import { endedChildrenCpuSeconds } from "./cpu.ts";
import type { Sample, Size } from "./schema.ts";
import type { Stage, Subject } from "./stage.ts";

/** Enough for the last of many on a busy machine. */
const patienceMs = 600_000;

/** Milliseconds from the start of `ssh host true` to its end. */
async function login(args: readonly string[]): Promise<number> {
  const start = performance.now();
  const ssh = new Child(stranger("ssh"), args);
  const { code, stderr } = await ssh.outcome(patienceMs);
  if (code !== 0) throw new Error(`ssh ended with ${code}: ${stderr}`);
  return performance.now() - start;
}

/** `count` logins, each a whole `ssh host true`, in `lanes` rows at once. */
async function logins(stage: Stage, subject: Subject, count: number, lanes: number): Promise<Sample> {
  const args = await stage.ssh(subject, ["true"]);
  // The first login of a process is dearer: code is loaded and compiled.
  await login(args);
  await stage.quiet();
  const middleBefore = await stage.middleCpuSeconds(subject);
  const endsBefore = (await stage.upstreamCpuSeconds()) + (await endedChildrenCpuSeconds());
  const start = performance.now();
  const waits: number[] = [];
  let left = count;
  const row = async (): Promise<void> => {
    while (left-- > 0) waits.push(await login(args));
  };
  await Promise.all(Array.from({ length: lanes }, row));
  const seconds = (performance.now() - start) / 1000;
  await stage.quiet();
  const middleAfter = await stage.middleCpuSeconds(subject);
  const ends = (await stage.upstreamCpuSeconds()) + (await endedChildrenCpuSeconds()) - endsBefore;
  const mean = waits.reduce((sum, wait) => sum + wait, 0) / waits.length;
  return {
    loginsPerSecond: count / seconds,
    endsCpuMsPerLogin: (ends * 1000) / count,
    ...(lanes > 1 ? { worstToMeanWait: Math.max(...waits) / mean } : {}),
    ...(middleBefore === undefined || middleAfter === undefined
      ? {}
      : { proxyCpuMsPerLogin: ((middleAfter - middleBefore) * 1000) / count }),
  };
}

export const loginCases: readonly BenchCase[] = [
  {
    name: "logins",
    summary: "ssh host true, one after the other, ed25519 keys on both sides",
    subjects: ["direct", "jump", "gateway", "go", "sshpiperd", "asyncssh"],
    quick: ["direct", "jump", "gateway"],
    measure: (stage: Stage, subject: string, { logins: count }: Size) =>
      logins(stage, subject as Subject, count, 1),
  },
  {
    name: "logins-at-once",
    summary: "ssh host true, all at once",
    subjects: ["direct", "jump", "gateway"],
    maxRounds: 3,
    onlyTold: true,
    measure: (stage: Stage, subject: string, { concurrentLogins: count }: Size) =>
      logins(stage, subject as Subject, count, count),
  },
];
