import { transfer } from "./bulk.ts";
import type { BenchCase } from "./case.ts";
import { compiledCopy } from "./compiled.ts";
import type { Sample, Size } from "./schema.ts";
import type { Stage, Subject } from "./stage.ts";

const gcm = ["Ciphers=aes128-gcm@openssh.com"];

/** Before the first that counts: as long as code is compiled, that is most of what it costs. */
const warmBytes = 256e6;
const warm = new WeakMap<Stage, Set<string>>();

/** A download whose source is slower than what is between: then waking up for every packet is what costs. The ends are the same for all. */
async function offered(stage: Stage, subject: string, bytes: number, rate: number): Promise<Sample> {
  const program = await compiledCopy();
  const run = (count: number, atRate: number): Promise<Sample> =>
    transfer(stage, subject as Subject, "down", count, gcm, `${program} pace ${count} ${atRate}`);
  const seen = warm.get(stage) ?? new Set();
  warm.set(stage, seen);
  if (!seen.has(subject)) await run(warmBytes, 300e6);
  seen.add(subject);
  return await run(bytes, rate);
}

function offeredCase(megabytes: number): BenchCase {
  return {
    name: `offered-${megabytes}`,
    summary: `download of a source of ${megabytes} MB/s, aes128-gcm`,
    subjects: ["gateway", "go", "c"],
    quick: ["gateway", "c"],
    measure: (stage: Stage, subject: string, { bulkBytes }: Size) =>
      // So that each rate takes about as long.
      offered(stage, subject, (bulkBytes * megabytes) / 200, megabytes * 1e6),
  };
}

export const offeredCases: readonly BenchCase[] = [offeredCase(300), offeredCase(100)];
