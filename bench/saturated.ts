import { parsePublicKeyLine } from "#ssh/keys";
import { Child } from "#test/support/child";
import { freePort } from "#test/support/ports";
import type { Direction } from "./bulk.ts";
import type { BenchCase } from "./case.ts";
import { compiledRecrypt } from "./compiled.ts";
import { treeCpuSeconds } from "./cpu.ts";
import type { Sample, Size } from "./schema.ts";
import type { GatewayKind, Stage } from "./stage.ts";

const patienceMs = 600_000;
/** Not counted: as long as code is compiled, that is half of what it costs. */
const warmBytes = 512 * 1024 * 1024;
/** Enough that the kernel gives two workers about as many. */
const flowsAtOnce = 16;
const flow = new URL("flow.ts", import.meta.url).pathname;

function sample(cpuSeconds: number, bytes: number, seconds: number): Sample {
  return { proxyCpuSecondsPerGb: (cpuSeconds * 1e9) / bytes, megabytesPerSecond: bytes / 1e6 / seconds };
}

interface Way {
  readonly kind?: GatewayKind;
  readonly direction: Direction;
  readonly cipher: string;
  readonly workers?: number;
  readonly connections?: number;
}

/** The gateway between two ends of our own engine, each a process of its own. */
async function throughGateway(
  stage: Stage,
  { kind = "gateway", direction, cipher, workers = 1, connections = 1 }: Way,
  bytes: number,
): Promise<Sample> {
  await using server = new Child(process.execPath, [flow, "server"]);
  const [, port = "", line = ""] = await server.waitForStdout(/^(\d+) (.+)\n/);
  parsePublicKeyLine(line);
  const place = { host: "127.0.0.1", port: Number(port), hostKey: { keys: [line] } };
  await using gateway = await stage.startGateway(place, { kind, config: { workers } });
  const { path } = await stage.keys();
  const what = direction === "down" ? "give" : "take";
  const start = (count: number): Child => {
    const words = [String(gateway.port), stage.user, path, `${cipher}@openssh.com`, what];
    const each = [String(Math.ceil(count / connections)), String(connections)];
    return new Child(process.execPath, [flow, "client", ...words, ...each], { stdin: "open" });
  };
  {
    await using first = start(warmBytes);
    first.stdin.write("go\n");
    await first.waitForStdout(/done/, patienceMs);
    first.stdin.end();
    await first.outcome();
  }
  await using client = start(bytes);
  await client.waitForStdout(/ready/, patienceMs);
  const before = await treeCpuSeconds(gateway.child.pid);
  const began = performance.now();
  client.stdin.write("go\n");
  await client.waitForStdout(/done/, patienceMs);
  const seconds = (performance.now() - began) / 1000;
  const cpu = (await treeCpuSeconds(gateway.child.pid)) - before;
  client.stdin.end();
  await client.outcome();
  // In order, so that a profile is written.
  await gateway.stop();
  return sample(cpu, bytes, seconds);
}

/** The program of recrypt.c in the gateway's place. */
async function throughRecrypt(cipher: string, bytes: number): Promise<Sample> {
  const program = await compiledRecrypt();
  const [port, sinkPort] = [await freePort(), await freePort()];
  await using sink = new Child(program, ["sink", String(sinkPort)]);
  await sink.waitForStdout(/ready/);
  await using pass = new Child(program, ["pass", String(port), String(sinkPort), cipher]);
  await pass.waitForStdout(/ready/);
  const start = performance.now();
  const words = ["generate", String(port), String(bytes), cipher];
  await using generator = new Child(program, words);
  await generator.outcome(patienceMs);
  // The sink ends the other direction when this one has ended.
  await pass.waitForStdout(/done/, patienceMs);
  return sample(await treeCpuSeconds(pass.pid), bytes, (performance.now() - start) / 1000);
}

function saturatedCase(direction: Direction, cipher: string): BenchCase {
  return {
    name: `saturated-${direction}-${cipher}`,
    summary: `${direction}, ${cipher}, between ends of our own engine that are faster than what is between; "c" is recrypt.c`,
    // Of the pure path one cipher is a goal.
    subjects: cipher === "aes128-gcm" ? ["gateway", "pure", "c"] : ["gateway", "c"],
    quick: ["gateway", "c"],
    measure: (stage: Stage, subject: string, { bulkBytes }: Size) =>
      subject === "c"
        ? throughRecrypt(cipher, bulkBytes)
        : throughGateway(stage, { kind: subject as GatewayKind, direction, cipher }, bulkBytes),
  };
}

export const saturatedCases: readonly BenchCase[] = [
  saturatedCase("down", "aes128-gcm"),
  saturatedCase("up", "aes128-gcm"),
  saturatedCase("down", "chacha20-poly1305"),
  saturatedCase("up", "chacha20-poly1305"),
  {
    name: "workers-bulk",
    summary: `download on ${flowsAtOnce} connections with one worker and with two: where cores are free, the rate is what counts`,
    subjects: ["one", "two"],
    quick: [],
    measure: (stage: Stage, subject: string, { bulkBytes }: Size) => {
      const workers = subject === "two" ? 2 : 1;
      const way = { direction: "down", cipher: "aes128-gcm", workers, connections: flowsAtOnce } as const;
      return throughGateway(stage, way, bulkBytes);
    },
  },
];
