import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Child } from "#test/support/child";
import { sshPlace, sshSettings } from "#test/support/ssh";
import type { Direction } from "./bulk.ts";
import type { BenchCase } from "./case.ts";
import type { Sample, Size } from "./schema.ts";
import type { Stage, Subject } from "./stage.ts";

const patienceMs = 600_000;
/** pysshrp moves a few megabytes a second. */
const slowPart = 32;

async function startSftp(stage: Stage, subject: Subject, line: string): Promise<Child> {
  const target = await stage.target(subject);
  const args = [...sshSettings(target), "-q", "-P", String(target.port), "-b", "-", sshPlace(target)];
  const sftp = new Child("sftp", args, { stdin: { data: `pwd\n${line}\n` } });
  await sftp.waitForStdout(/working directory/);
  return sftp;
}

/** One after the other, each with a first request: pysshrp loses what short commands say. */
async function logins(stage: Stage, subject: Subject, count: number): Promise<Sample> {
  const login = async (): Promise<void> => {
    await using sftp = await startSftp(stage, subject, "bye");
    await sftp.outcome(patienceMs);
  };
  await login();
  const before = await stage.middleCpuSeconds(subject);
  for (let n = 0; n < count; n++) await login();
  const after = await stage.middleCpuSeconds(subject);
  if (before === undefined || after === undefined) return {};
  return { proxyCpuMsPerLogin: ((after - before) * 1000) / count };
}

/** One file by `sftp`, as pysshrp tells nothing on stderr by which a transfer of `ssh` could be clocked. */
async function copied(stage: Stage, subject: Subject, direction: Direction, size: Size): Promise<Sample> {
  const bytes = subject === "pysshrp" ? size.bulkBytes / slowPart : size.bulkBytes;
  // Where nothing waits for a disk.
  const folder = await mkdtemp(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "postern-bench-"));
  try {
    await mkdir(join(folder, "in"));
    const zeros = join(folder, "zeros");
    await writeFile(zeros, "");
    await truncate(zeros, bytes);
    const line = direction === "up" ? `put ${zeros} ${join(folder, "in", "sent")}` : `get ${zeros} /dev/null`;
    await using sftp = await startSftp(stage, subject, line);
    const before = await stage.middleCpuSeconds(subject);
    const start = performance.now();
    const { code, stderr } = await sftp.outcome(patienceMs);
    if (code !== 0) throw new Error(`sftp ended with ${code}: ${stderr}`);
    const seconds = (performance.now() - start) / 1000;
    const after = await stage.middleCpuSeconds(subject);
    const found = { megabytesPerSecond: bytes / 1e6 / seconds };
    if (before === undefined || after === undefined) return found;
    return { ...found, proxyCpuSecondsPerGb: ((after - before) * 1e9) / bytes };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const common = { subjects: ["gateway", "pysshrp"], maxRounds: 3, quick: [] };

export const pysshrpCases: readonly BenchCase[] = [
  ...(["down", "up"] as const).map((direction) => ({
    ...common,
    name: `sftp-pysshrp-${direction}`,
    summary: `one file by sftp, ${direction}: the gateway, and pysshrp`,
    measure: (stage: Stage, subject: string, size: Size) =>
      copied(stage, subject as Subject, direction, size),
  })),
  {
    ...common,
    name: "logins-pysshrp",
    summary: "logins by sftp: the gateway, and pysshrp",
    measure: (stage, subject, { logins: count }) => logins(stage, subject as Subject, count),
  },
];
