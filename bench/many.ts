import { readFile } from "node:fs/promises";
import type { Link } from "#link";
import { parsePrivateKey, type PrivateKey } from "#ssh/keys";
import { Child } from "#test/support/child";
import type { Gateway } from "#test/support/gateway";
import type { BenchCase } from "./case.ts";
import { treeCpuSeconds, treeResidentBytes } from "./cpu.ts";
import { logIn } from "./ends.ts";
import type { Sample, Size } from "./schema.ts";
import type { Stage } from "./stage.ts";

/** Sessions before those that are counted: with them heap and code grow to what they need. */
const firstSessions = 500;

/** The same where memory is measured, for each worker: so much longer does it grow by leaps. */
const firstIdleSessions = 1000;

/** A session of a gateway is two connections, and the kernel here lets a process have so many descriptors. */
const sessionsOfWorker = 9600;

/** Logins under way at once, where that is not what is measured. */
const lanes = 8;

/** How many log in at the same moment, and how often. */
const crowd = 200;
const crowds = 3;

/**
 * Silence before idle sessions are watched: where the kernel asks as well, the gateway asks nobody before six intervals of half a minute,
 * and V8 goes over a heap that has grown three times in five minutes.
 */
const silentMs = 330_000;

/** How long they are then watched for the CPU they cost: the questions are spread evenly. */
const watchMs = 122_000;

const flow = new URL("flow.ts", import.meta.url).pathname;

/**
 * A gateway between ends of our own engine, with the first sessions logged in. The clients live in this process and the server in
 * another, and cost the gateway nothing.
 */
class Crowd implements AsyncDisposable {
  readonly #owned: AsyncDisposableStack;
  readonly #gateway: Gateway;
  readonly #user: string;
  readonly #key: PrivateKey;
  readonly #links: Link[] = [];
  #gone = 0;

  private constructor(owned: AsyncDisposableStack, gateway: Gateway, user: string, key: PrivateKey) {
    this.#owned = owned;
    this.#gateway = gateway;
    this.#user = user;
    this.#key = key;
  }

  static async start(stage: Stage, { workers = 1, first = firstSessions } = {}): Promise<Crowd> {
    const owned = new AsyncDisposableStack();
    const server = owned.use(new Child(process.execPath, [flow, "server"]));
    const [, port = "", hostKey = ""] = await server.waitForStdout(/^(\d+) (.+)\n/);
    const { path } = await stage.keys();
    const key = await parsePrivateKey(await readFile(path));
    const place = { host: "127.0.0.1", port: Number(port), hostKey: { keys: [hostKey] } };
    const gateway = owned.use(await stage.startGateway(place, { config: { workers } }));
    const crowd = new Crowd(owned, gateway, stage.user, key);
    await crowd.open(first, lanes);
    return crowd;
  }

  get size(): number {
    return this.#links.length;
  }

  /** Of those, how many are still there. */
  get alive(): number {
    return this.#links.length - this.#gone;
  }

  /** Opens sessions, so many at once; gives the milliseconds that each took. */
  async open(count: number, atOnce: number): Promise<number[]> {
    const waits: number[] = [];
    let left = count;
    const row = async (): Promise<void> => {
      while (left-- > 0) {
        const start = performance.now();
        this.#links.push(await logIn(this.#gateway, this.#user, this.#key, undefined, () => this.#gone++));
        waits.push(performance.now() - start);
      }
    };
    await Promise.all(Array.from({ length: atOnce }, row));
    return waits;
  }

  cpuSeconds(): Promise<number> {
    return treeCpuSeconds(this.#gateway.child.pid);
  }

  residentBytes(): Promise<number> {
    return treeResidentBytes(this.#gateway.child.pid);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const link of this.#links) link.destroy();
    // In order, so that a profile is written.
    await this.#gateway.stop();
    await this.#owned.disposeAsync();
  }
}

/** Sessions that log in and do nothing more: what each of many costs. So many at once, or in a quick run fewer, and not watched. */
async function idleMany(stage: Stage, { quick, idleEngineSessions }: Size): Promise<Sample> {
  const workers = Math.ceil(idleEngineSessions / sessionsOfWorker);
  const first = firstIdleSessions * workers;
  const count = quick ? idleEngineSessions : idleEngineSessions - first;
  await using sessions = await Crowd.start(stage, { first, workers });
  const cpuAtFirst = await sessions.cpuSeconds();
  const before = await sessions.residentBytes();
  await sessions.open(count, lanes);
  const cpuAfterLogins = await sessions.cpuSeconds();
  if (!quick) await new Promise<void>((resolve) => setTimeout(resolve, silentMs));
  const cpuBefore = await sessions.cpuSeconds();
  const start = performance.now();
  if (!quick) await new Promise<void>((resolve) => setTimeout(resolve, watchMs));
  const seconds = (performance.now() - start) / 1000;
  const cpuAfter = await sessions.cpuSeconds();
  const found = {
    kilobytesPerSession: ((await sessions.residentBytes()) - before) / 1000 / count,
    proxyCpuMsPerLogin: ((cpuAfterLogins - cpuAtFirst) * 1000) / count,
  };
  if (quick) return found;
  return {
    ...found,
    sessionsAtOnce: sessions.alive,
    cpuMsPerSessionSecond: ((cpuAfter - cpuBefore) * 1000) / seconds / sessions.size,
  };
}

/** Crowds that all log in at the same moment. The ends take their turn on the same cores, and are part of every wait. */
async function loginsMany(stage: Stage, workers = 1): Promise<Sample> {
  await using sessions = await Crowd.start(stage, { workers });
  const before = await sessions.cpuSeconds();
  const start = performance.now();
  const ratios: number[] = [];
  for (let n = 0; n < crowds; n++) {
    const waits = await sessions.open(crowd, crowd);
    ratios.push(Math.max(...waits) / (waits.reduce((sum, wait) => sum + wait, 0) / waits.length));
  }
  const seconds = (performance.now() - start) / 1000;
  return {
    loginsPerSecond: (crowds * crowd) / seconds,
    worstToMeanWait: Math.max(...ratios),
    proxyCpuMsPerLogin: (((await sessions.cpuSeconds()) - before) * 1000) / (crowds * crowd),
  };
}

export const manyCases: readonly BenchCase[] = [
  {
    name: "logins-many",
    summary: `${crowd} logins at once between ends of our own engine, after ${firstSessions} others`,
    subjects: ["gateway"],
    measure: (stage: Stage) => loginsMany(stage),
  },
  {
    name: "workers",
    summary: "the same with one worker and with two: where cores are free, the rate is what counts",
    subjects: ["one", "two"],
    maxRounds: 3,
    quick: [],
    measure: (stage: Stage, subject: string) => loginsMany(stage, subject === "two" ? 2 : 1),
  },
  {
    name: "idle-many",
    summary:
      "10,000 idle sessions between ends of our own engine: what a session and a login cost when there are many",
    subjects: ["gateway"],
    // One takes five minutes.
    maxRounds: 1,
    measure: (stage: Stage, _subject: string, size: Size) => idleMany(stage, size),
  },
];
