import { Child } from "#test/support/child";
import { stranger } from "#test/support/strangers";
import type { BenchCase } from "./case.ts";
import type { Sample, Size } from "./schema.ts";
import type { Stage, Subject } from "./stage.ts";
import { quantile } from "./statistics.ts";

const keystrokeBytes = 64;
/** Until the code of the middle is compiled, which Postern leaves for after its first second; a session has soon passed that. */
const warmUpTrips = 4000;

/** What a proxy opens and seals is part of what is compared: the same everywhere. The neighbour's bulk has it, too. */
const cipher = ["Ciphers=aes128-gcm@openssh.com"];

/** Round trips of 64 bytes over one session that runs `cat`, one after the other. */
async function echo(stage: Stage, subject: Subject, trips: number): Promise<Sample> {
  await using ssh = await echoSession(stage, subject);
  const keystroke = Buffer.alloc(keystrokeBytes, "k");
  for (let n = 0; n < warmUpTrips; n++) await ssh.trip(keystroke);
  const before = await stage.middleCpuSeconds(subject);
  const micros: number[] = [];
  for (let n = 0; n < trips; n++) micros.push(await ssh.trip(keystroke));
  const after = await stage.middleCpuSeconds(subject);
  return {
    p50Micros: quantile(micros, 0.5),
    p99Micros: quantile(micros, 0.99),
    ...(before === undefined || after === undefined
      ? {}
      : { proxyCpuMicrosPerTrip: ((after - before) * 1e6) / trips }),
  };
}

interface EchoSession extends AsyncDisposable {
  /** Microseconds until all bytes came back. */
  trip(bytes: Buffer): Promise<number>;
}

async function echoSession(stage: Stage, subject: Subject): Promise<EchoSession> {
  const args = await stage.ssh(subject, ["cat"], { flags: ["-T"], options: cipher });
  const child = new Child(stranger("ssh"), args, { stdin: "open", stalled: true });
  const { stdout } = child.process;
  if (stdout === null) throw new Error("ssh has no stdout");
  let due = 0;
  let arrived = Promise.withResolvers<void>();
  stdout.on("data", (chunk: Buffer) => {
    due -= chunk.length;
    if (due === 0) arrived.resolve();
  });
  child.process.once("exit", (code) => arrived.reject(new Error(`ssh ended with ${code}: ${child.stderr}`)));
  return {
    trip: async (bytes) => {
      arrived = Promise.withResolvers();
      due = bytes.length;
      const start = performance.now();
      child.stdin.write(bytes);
      await arrived.promise;
      return (performance.now() - start) * 1000;
    },
    [Symbol.asyncDispose]: async () => {
      // Nobody waits for it any more.
      arrived.promise.catch(() => undefined);
      await child[Symbol.asyncDispose]();
    },
  };
}

/** The same while another session of the same subject downloads as fast as it can. */
async function echoBesideBulk(stage: Stage, subject: Subject, trips: number): Promise<Sample> {
  const command = "echo started >&2; cat /dev/zero";
  const args = await stage.ssh(subject, [command], { options: cipher });
  await using bulk = new Child("sh", ["-c", 'exec "$@" > /dev/null', "sh", stranger("ssh"), ...args]);
  await bulk.waitForStderr(/started/);
  const { p50Micros = Number.NaN, p99Micros = Number.NaN } = await echo(stage, subject, trips);
  return { p50Micros, p99Micros };
}

export const echoCases: readonly BenchCase[] = [
  {
    name: "echo",
    summary: `keystrokes: round trips of ${keystrokeBytes} bytes over one session that runs cat`,
    subjects: ["direct", "jump", "gateway", "go", "c"],
    quick: ["direct", "gateway", "c"],
    measure: (stage: Stage, subject: string, size: Size) => echo(stage, subject as Subject, size.echoTrips),
  },
  {
    name: "echo-beside-bulk",
    summary: "keystrokes while a neighbour downloads as fast as it can, the same way",
    subjects: ["direct", "jump", "gateway", "c"],
    quick: ["direct", "gateway", "c"],
    measure: (stage: Stage, subject: string, size: Size) =>
      echoBesideBulk(stage, subject as Subject, size.echoTrips),
  },
];
