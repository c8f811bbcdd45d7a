import { Child, succeed } from "#test/support/child";
import { freePort } from "#test/support/ports";
import { stranger } from "#test/support/strangers";
import type { BenchCase } from "./case.ts";
import { compiledRecrypt } from "./compiled.ts";
import type { Sample, Size } from "./schema.ts";
import type { Stage, Subject } from "./stage.ts";
import { quantile } from "./statistics.ts";

const keystrokeBytes = 64;
/** Until the code of the middle is compiled; an interactive session of an hour has long passed that. */
const warmUpTrips = 1000;

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
  const args = await stage.ssh(subject, ["cat"], { flags: ["-T"] });
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
  const args = await stage.ssh(subject, [command]);
  await using bulk = new Child("sh", ["-c", 'exec "$@" > /dev/null', "sh", stranger("ssh"), ...args]);
  await bulk.waitForStderr(/started/);
  const { p50Micros = Number.NaN, p99Micros = Number.NaN } = await echo(stage, subject, trips);
  return { p50Micros, p99Micros };
}

/**
 * The same in C: packets of 64 bytes to a mirror, at once and through the proxy of recrypt.c. What its ends cost is less, so what counts
 * is what each proxy adds to its own direct way.
 */
async function echoInC(subject: string, trips: number): Promise<Sample> {
  const program = await compiledRecrypt();
  const [port, mirrorPort] = [await freePort(), await freePort()];
  const cipher = "aes128-gcm";
  await using mirror = new Child(program, ["mirror", String(mirrorPort)]);
  await mirror.waitForStdout(/ready/);
  await using proxies = new AsyncDisposableStack();
  if (subject === "c") {
    const proxy = proxies.use(new Child(program, ["pass", String(port), String(mirrorPort), cipher]));
    await proxy.waitForStdout(/ready/);
  }
  const words = ["trips", String(subject === "c" ? port : mirrorPort), String(trips), cipher];
  const text = await succeed(program, words);
  const [p50Micros = Number.NaN, p99Micros = Number.NaN] = text.trim().split(" ").map(Number);
  return { p50Micros, p99Micros };
}

const inC = ["c-direct", "c"];

export const echoCases: readonly BenchCase[] = [
  {
    name: "echo",
    summary: `keystrokes: round trips of ${keystrokeBytes} bytes over one session that runs cat`,
    subjects: ["direct", "jump", "gateway", "go", ...inC],
    quick: ["direct", "gateway", ...inC],
    measure: (stage: Stage, subject: string, size: Size) =>
      inC.includes(subject)
        ? echoInC(subject, size.echoTrips)
        : echo(stage, subject as Subject, size.echoTrips),
  },
  {
    name: "echo-beside-bulk",
    summary: "keystrokes while a neighbour downloads as fast as it can, the same way",
    subjects: ["direct", "jump", "gateway"],
    quick: ["direct", "gateway"],
    measure: (stage: Stage, subject: string, size: Size) =>
      echoBesideBulk(stage, subject as Subject, size.echoTrips),
  },
];
