import { Child } from "#test/support/child";
import { startGateway } from "#test/support/gateway";
import { freePort } from "#test/support/ports";
import type { Direction } from "./bulk.ts";
import type { BenchCase } from "./case.ts";
import { treeCpuSeconds } from "./cpu.ts";
import { compiledCopy } from "./compiled.ts";
import { startCopier } from "./rivals.ts";
import type { Sample, Size } from "./schema.ts";

/** What passes bytes on, unopened: who comes to its port is joined with the sink. */
interface Splicer extends AsyncDisposable {
  readonly pid: number;
  readonly port: number;
}

const host = "127.0.0.1";

async function startGatewaySplicer(sink: number, kind: string): Promise<Splicer> {
  const port = await freePort(host);
  // By the address alone: the generator says nothing but its bytes.
  const target = { name: "sink", host, port: sink, at: [`${host}:${port}`] };
  const gateway = await startGateway({
    env: { POSTERN_NATIVE: kind === "pure" ? "off" : undefined },
    config: {
      listen: [{ address: `${host}:${port}`, entries: ["address"] }],
      targets: [target],
    },
    rules: [{ name: "all", mode: "splice", match: { from: ["127.0.0.0/8"] }, targets: ["sink"] }],
  });
  return { pid: gateway.child.pid, port, [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose]() };
}

async function startRival(name: "haproxy" | "nginx", sink: number): Promise<Splicer> {
  const { child, folder, port } = await startCopier(name, { host, port: sink });
  return {
    pid: child.pid,
    port,
    [Symbol.asyncDispose]: async () => {
      await child[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** A program in C that does nothing else: what copying and splice(2) cost here. One connection, one direction. */
async function startInC(what: string, sink: number): Promise<Splicer> {
  const port = await freePort(host);
  const child = new Child(await compiledCopy(), [what, String(port), String(sink)]);
  await child.waitForStdout(/ready/);
  return { pid: child.pid, port, [Symbol.asyncDispose]: () => child[Symbol.asyncDispose]() };
}

function start(subject: string, sink: number): Promise<Splicer> {
  if (subject === "haproxy" || subject === "nginx") return startRival(subject, sink);
  return subject.startsWith("c-") ? startInC(subject.slice(2), sink) : startGatewaySplicer(sink, subject);
}

async function measure(subject: string, direction: Direction, bytes: number): Promise<Sample> {
  const copy = await compiledCopy();
  const farPort = await freePort(host);
  const far = direction === "up" ? ["sink", String(farPort)] : ["give", String(farPort), String(bytes)];
  await using target = new Child(copy, far);
  await target.waitForStdout(/ready/);
  await using splicer = await start(subject, farPort);
  const before = await treeCpuSeconds(splicer.pid);
  const began = performance.now();
  const port = String(splicer.port);
  await using client = new Child(
    copy,
    direction === "up" ? ["generate", port, String(bytes)] : ["fetch", port],
  );
  const { code, stderr } = await client.outcome(600_000);
  if (code !== 0) throw new Error(stderr);
  await target.outcome(600_000);
  const seconds = (performance.now() - began) / 1000;
  const cpu = (await treeCpuSeconds(splicer.pid)) - before;
  return { proxyCpuSecondsPerGb: (cpu * 1e9) / bytes, megabytesPerSecond: bytes / 1e6 / seconds };
}

function spliceCase(name: string, direction: Direction): BenchCase {
  return {
    name,
    summary: `bytes passed on unopened, ${direction}, between a generator and a sink that are processes of their own`,
    subjects: ["gateway", "pure", "haproxy", "nginx", ...(direction === "up" ? ["c-copy", "c-splice"] : [])],
    quick: ["gateway", "pure", "haproxy"],
    measure: (_stage, subject, size: Size) => measure(subject, direction, 2 * size.bulkBytes),
  };
}

export const spliceCases: readonly BenchCase[] = [
  spliceCase("splice-up", "up"),
  spliceCase("splice-down", "down"),
];
