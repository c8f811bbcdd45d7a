import { closeSync, ftruncateSync, openSync } from "node:fs";
import { Child } from "#test/support/child";
import { stranger } from "#test/support/strangers";
import { tempDir } from "#test/support/temp-dir";
import type { BenchCase } from "./case.ts";
import { endedChildrenCpuSeconds } from "./cpu.ts";
import type { Sample, Size } from "./schema.ts";
import type { Stage, Subject } from "./stage.ts";

export type Direction = "down" | "up";

/** Long enough for the largest transfer on a slow machine. */
const patienceMs = 600_000;

const started = /started/;

/**
 * One transfer by one `ssh`. The clock and the CPU counters start when the remote command says that it has, so the login is not
 * in them, and stop when `ssh` has ended.
 */
export async function transfer(
  stage: Stage,
  subject: Subject,
  direction: Direction,
  bytes: number,
  options: readonly string[],
  source = `head -c ${bytes} /dev/zero`,
): Promise<Sample> {
  const command = direction === "down" ? source : "cat > /dev/null";
  const args = await stage.ssh(subject, [`echo started >&2; ${command}`], { options });
  await using folder = await tempDir();
  // A file of the right length and no content: reading it costs next to nothing.
  const input = openSync(folder.at("zeros"), "w+");
  ftruncateSync(input, bytes);
  const output = openSync("/dev/null", "w");
  await stage.quiet();
  const endsBefore = await stage.upstreamCpuSeconds();
  const clientBefore = await endedChildrenCpuSeconds();
  const ssh = new Child("sh", ["-c", 'exec "$@" <&3 >&4', "sh", stranger("ssh"), ...args], {
    descriptors: [direction === "up" ? input : openedNull, output],
  });
  try {
    await ssh.waitForStderr(started);
    const start = performance.now();
    const middleBefore = await stage.middleCpuSeconds(subject);
    const { code, stderr } = await ssh.outcome(patienceMs);
    const seconds = (performance.now() - start) / 1000;
    if (code !== 0) throw new Error(`${subject}: ssh ended with ${code}: ${stderr}`);
    await stage.quiet();
    const middle = await stage.middleCpuSeconds(subject);
    const ends =
      (await stage.upstreamCpuSeconds()) - endsBefore + ((await endedChildrenCpuSeconds()) - clientBefore);
    const perGb = 1e9 / bytes;
    return {
      megabytesPerSecond: bytes / 1e6 / seconds,
      endsCpuSecondsPerGb: ends * perGb,
      ...(middle === undefined || middleBefore === undefined
        ? {}
        : { proxyCpuSecondsPerGb: (middle - middleBefore) * perGb }),
    };
  } finally {
    await ssh[Symbol.asyncDispose]();
    closeSync(input);
    closeSync(output);
  }
}

const openedNull: number = openSync("/dev/null", "r");

/** What would take minutes moves a part of it. */
const slowSubjects: readonly string[] = ["asyncssh", "paramiko"];
const slowPart = 16;

function bulkCase(
  direction: Direction,
  cipher: string,
  subjects: readonly string[],
  quick: readonly string[],
): BenchCase {
  const options = cipher === "default" ? [] : [`Ciphers=${cipher}@openssh.com`];
  const how = direction === "down" ? "download: head -c N /dev/zero" : "upload: cat > /dev/null";
  return {
    name: `bulk-${direction}-${cipher}`,
    summary: `${how}, one ssh, ${cipher === "default" ? "OpenSSH's default cipher" : cipher}`,
    subjects,
    quick,
    measure: (stage: Stage, subject: string, { bulkBytes }: Size) => {
      const bytes = slowSubjects.includes(subject) ? bulkBytes / slowPart : bulkBytes;
      return transfer(stage, subject as Subject, direction, bytes, options);
    },
  };
}

const near = ["direct", "jump", "gateway"];

export const bulkCases: readonly BenchCase[] = (["down", "up"] as const).flatMap((direction) => [
  bulkCase(direction, "default", [...near, "haproxy", "asyncssh", "paramiko"], near),
  bulkCase(
    direction,
    "aes128-gcm",
    ["gateway", "pure", "ssh2", "ssh2-addon", "go", "sshpiperd"],
    direction === "down" ? ["gateway", "go"] : [],
  ),
  bulkCase(direction, "chacha20-poly1305", ["gateway", "go", "sshpiperd"], []),
]);
