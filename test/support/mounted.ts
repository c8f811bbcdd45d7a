import { systemClock } from "#base";
import type { ChildProcessWithoutNullStreams } from "node:child_process";
import type { Auditor, SftpPlan } from "#contract";
import { fileRulesFor, type MountEnd, MountedSftp, type MountWay, PathLocks } from "#sftp";
import { bytesOf } from "#ssh/sftp";
import { planOf, startSftpServer } from "./confined.ts";
import { SftpAsker } from "./sftp-asker.ts";

export interface MountedOptions {
  /** Places in the client's tree, and what they are. */
  readonly mounts: Readonly<Record<string, SftpPlan>>;
  /** For the whole tree. */
  readonly plan?: SftpPlan;
  readonly locks?: PathLocks;
  readonly audit?: Auditor;
}

/** A client of SFTP whose tree is put together of several, each with a real server program of its own; no SSH. */
export class Mounted extends SftpAsker implements AsyncDisposable {
  readonly #servers: ChildProcessWithoutNullStreams[] = [];
  readonly end: MountedSftp;
  /** What the person was told. */
  readonly told: string[] = [];

  private constructor({ mounts, plan = planOf({}), locks = new PathLocks(), audit }: MountedOptions) {
    super();
    this.end = new MountedSftp({
      mounts: Object.entries(mounts).map(([at, own]) => ({
        at: bytesOf(at),
        rules: fileRulesFor(own, {}),
        connect: async (end) => this.#connect(at, end),
      })),
      rules: fileRulesFor(plan, {}),
      audit,
      channel: 0,
      usage: { bytes: 0 },
      locks,
      clock: systemClock,
      toClient: (bytes) => this.take(bytes),
      queuedBytes: () => 0,
      lost: (text) => this.told.push(text),
      progressed: () => {},
      failed: (error) => this.failure.resolve(error),
    });
    this.sendBy((bytes) => this.end.fromClient(bytes));
  }

  static async start(options: MountedOptions): Promise<Mounted> {
    const mounted = new Mounted(options);
    await mounted.greet();
    return mounted;
  }

  #connect(at: string, end: MountEnd): MountWay {
    const server = startSftpServer();
    this.#servers.push(server);
    server.stdout.on("data", (chunk: Buffer) => end.received(chunk));
    return {
      place: "host",
      symlinks: "openssh",
      upstream: `user@host-of${at}`,
      queuedBytes: 0,
      send: (bytes) => void server.stdin.write(Buffer.from(bytes)),
      greeted: () => {},
      close: () => server.kill(),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.end.close();
    for (const server of this.#servers) {
      if (server.exitCode !== null || server.signalCode !== null) continue;
      const gone = new Promise<void>((resolve) => server.once("close", () => resolve()));
      server.stdin.end();
      server.kill();
      await gone;
    }
  }
}
