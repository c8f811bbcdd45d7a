import { compiledCopy } from "./compiled.ts";
import { Child, succeed } from "#test/support/child";
import { freePort } from "#test/support/ports";
import type { BenchCase } from "./case.ts";
import { treeCpuSeconds } from "./cpu.ts";
import type { Sample, Size } from "./schema.ts";

/**
 * What this machine could do at best: decrypting and encrypting by openssl in 32 KiB pieces, and a copy from socket to socket by
 * a program in C with a buffer of 1 MiB.
 */
const opensslNames: Readonly<Record<string, string>> = {
  "aes128-gcm": "aes-128-gcm",
  "chacha20-poly1305": "chacha20-poly1305",
};

const pieceBytes = 32 * 1024;

async function secondsPerGb(cipher: string, decrypt: boolean): Promise<number> {
  const flags = ["-evp", cipher, "-bytes", String(pieceBytes), "-seconds", "1", "-mr"];
  const text = await succeed("openssl", ["speed", ...flags, ...(decrypt ? ["-decrypt"] : [])]);
  // The last field of the last line: bytes a second, of user time.
  const rate = Number(/^\+F:.*:([\d.]+)$/m.exec(text)?.[1]);
  return 1e9 / rate;
}

/** CPU seconds of the copier for a gigabyte, from a generator to a sink that are processes of their own. */
async function copySecondsPerGb(bytes: number): Promise<number> {
  const program = await compiledCopy();
  const [port, sinkPort] = [await freePort(), await freePort()];
  await using sink = new Child(program, ["sink", String(sinkPort)]);
  await sink.waitForStdout(/ready/);
  await using copy = new Child(program, ["copy", String(port), String(sinkPort)]);
  await copy.waitForStdout(/ready/);
  await using generator = new Child(program, ["generate", String(port), String(bytes)]);
  await copy.waitForStdout(/done/);
  const cpu = await treeCpuSeconds(copy.pid);
  await generator.outcome();
  return (cpu * 1e9) / bytes;
}

export const limitCases: readonly BenchCase[] = [
  {
    name: "limit",
    summary: "what this machine could do: openssl both ways and a copy in C",
    subjects: Object.keys(opensslNames),
    maxRounds: 3,
    quick: [],
    measure: async (_stage, subject, size: Size): Promise<Sample> => {
      const name = opensslNames[subject] ?? subject;
      const crypto = (await secondsPerGb(name, false)) + (await secondsPerGb(name, true));
      return { proxyCpuSecondsPerGb: crypto + (await copySecondsPerGb(2 * size.bulkBytes)) };
    },
  },
];
