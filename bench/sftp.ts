import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Child } from "#test/support/child";
import { type Gateway, type Pieces, startGateway } from "#test/support/gateway";
import { sshPlace, sshSettings, type SshTarget } from "#test/support/ssh";
import type { BenchCase } from "./case.ts";
import type { Sample, Size } from "./schema.ts";
import type { Stage } from "./stage.ts";

/** Straight to sshd; through the pipe, unread; confined to a folder; watched, with every byte hashed; both; both, not hashed. */
const subjects = ["direct", "unread", "root", "record", "root+record", "unhashed"] as const;
/** No goal asks for these. */
const told = ["direct", "root", "record"];
type Way = (typeof subjects)[number];

const patienceMs = 600_000;

/** One gateway with a rule for each way, and a folder where nothing waits for a disk. */
class SftpStage implements AsyncDisposable {
  readonly folder: string;
  readonly #gateway: Gateway;
  readonly #direct: SshTarget;

  private constructor(folder: string, gateway: Gateway, direct: SshTarget) {
    this.folder = folder;
    this.#gateway = gateway;
    this.#direct = direct;
  }

  static async start(stage: Stage): Promise<SftpStage> {
    const { host, port, knownHosts } = await stage.upstream();
    const key = await stage.keys();
    const folder = await mkdtemp(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "postern-bench-"));
    await mkdir(join(folder, "in"));
    const rule = (user: Way, more: Pieces): Pieces => ({
      name: user.replace("+", "-"),
      match: { user: user.replace("+", "-") },
      login: [{ kind: "publickey", keys: [key.publicLine] }],
      upstream: {
        host,
        port,
        user: stage.user,
        credentials: [{ kind: "key", file: key.path }],
        hostKey: { knownHosts },
      },
      ...more,
    });
    const gateway = await startGateway({
      config: {
        log: { level: "info", format: "json" },
        audit: [{ kind: "jsonl", file: join(folder, "audit") }],
      },
      rules: [
        rule("unread", {}),
        rule("root", { sftp: { root: folder } }),
        rule("record", { sftp: { record: true } }),
        rule("root+record", { sftp: { root: folder, record: true } }),
        rule("unhashed", { sftp: { root: folder, record: true, hash: false } }),
      ],
      nodeFlags: stage.nodeFlags,
    });
    const direct = { host, port, knownHosts, user: stage.user, identity: key.path };
    return new SftpStage(folder, gateway, direct);
  }

  target(way: Way): SshTarget {
    if (way === "direct") return this.#direct;
    return this.#gateway.target(way.replace("+", "-"), this.#direct.identity);
  }

  /** A path below the folder, as this way's client says it. */
  path(way: Way, name: string): string {
    return way.startsWith("root") || way === "unhashed" ? `/${name}` : join(this.folder, name);
  }

  /** Seconds that one line of sftp takes, once it is logged in, and CPU of the gateway meanwhile. */
  async run(
    way: Way,
    line: string,
  ): Promise<{ readonly seconds: number; readonly cpuSeconds: number | undefined }> {
    const target = this.target(way);
    const args = [...sshSettings(target), "-q", "-P", String(target.port), "-b", "-", sshPlace(target)];
    await using sftp = new Child("sftp", args, { stdin: { data: `pwd\n${line}\n` } });
    await sftp.waitForStdout(/working directory/);
    const before = await this.#cpu(way);
    const start = performance.now();
    const { code, stderr } = await sftp.outcome(patienceMs);
    const seconds = (performance.now() - start) / 1000;
    if (code !== 0) throw new Error(`${way}: sftp ended with ${code}: ${stderr}`);
    const after = await this.#cpu(way);
    return { seconds, cpuSeconds: before === undefined || after === undefined ? undefined : after - before };
  }

  async #cpu(way: Way): Promise<number | undefined> {
    return way === "direct" ? undefined : await this.#gateway.cpuSeconds();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // In order, so that a profile is written.
    await this.#gateway.stop();
    await this.#gateway[Symbol.asyncDispose]();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Each stage of the benchmark has one of these. */
const stages = new WeakMap<Stage, Promise<SftpStage>>();

function stageOf(stage: Stage): Promise<SftpStage> {
  const known = stages.get(stage) ?? SftpStage.start(stage).then((made) => stage.own(made));
  stages.set(stage, known);
  return known;
}

async function bulk(stage: Stage, way: Way, { bulkBytes }: Size, up: boolean): Promise<Sample> {
  const sftp = await stageOf(stage);
  const zeros = join(sftp.folder, "zeros");
  await writeFile(zeros, "");
  await truncate(zeros, bulkBytes);
  const sent = join("in", "sent");
  const line = up ? `put ${zeros} ${sftp.path(way, sent)}` : `get ${sftp.path(way, "zeros")} /dev/null`;
  const { seconds, cpuSeconds } = await sftp.run(way, line);
  await rm(join(sftp.folder, sent), { force: true });
  return {
    megabytesPerSecond: bulkBytes / 1e6 / seconds,
    ...(cpuSeconds === undefined ? {} : { proxyCpuSecondsPerGb: (cpuSeconds * 1e9) / bulkBytes }),
  };
}

async function small(stage: Stage, way: Way, { quick }: Size, up: boolean): Promise<Sample> {
  const sftp = await stageOf(stage);
  const files = quick ? 1000 : 10_000;
  const many = join(sftp.folder, `many-${files}`);
  if (!existsSync(many)) {
    await mkdir(many);
    for (let n = 0; n < files; n++) await writeFile(join(many, `file-${n}`), `${n}\n`);
  }
  const here = join(sftp.folder, "copied");
  const line = up
    ? `put -r ${many} ${sftp.path(way, join("in", "many"))}`
    : `get -r ${sftp.path(way, `many-${files}`)} ${here}`;
  const { seconds, cpuSeconds } = await sftp.run(way, line);
  await rm(join(sftp.folder, "in", "many"), { recursive: true, force: true });
  await rm(here, { recursive: true, force: true });
  return {
    filesPerSecond: files / seconds,
    ...(cpuSeconds === undefined ? {} : { proxyCpuMicrosPerFile: (cpuSeconds * 1e6) / files }),
  };
}

function sftpCase(
  name: string,
  summary: string,
  measure: (stage: Stage, way: Way, size: Size) => Promise<Sample>,
): BenchCase {
  const profiled = "unhashed";
  return {
    name,
    summary,
    subjects,
    told,
    quick: [],
    profiled,
    measure: (stage, subject, size) => measure(stage, subject as Way, size),
  };
}

export const sftpCases: readonly BenchCase[] = [
  sftpCase("sftp-down", "sftp get of one large file", (stage, way, size) => bulk(stage, way, size, false)),
  sftpCase("sftp-up", "sftp put of one large file", (stage, way, size) => bulk(stage, way, size, true)),
  sftpCase("sftp-small-down", "sftp get -r of many small files", (stage, way, size) =>
    small(stage, way, size, false),
  ),
  sftpCase("sftp-small-up", "sftp put -r of many small files", (stage, way, size) =>
    small(stage, way, size, true),
  ),
];
