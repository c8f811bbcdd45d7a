import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { existsSync } from "node:fs";
import type { Auditor, SftpPlan } from "#contract";
import { fileRights } from "#contract";
import { parseTemplate, systemClock } from "#base";
import { fileRulesFor, PathLocks, SftpSession } from "#sftp";
import { SftpAsker } from "./sftp-asker.ts";

/** Where Debian has OpenSSH's SFTP server as a program. */
const program = "/usr/lib/openssh/sftp-server";

/** For the `skip` option of a test. */
export const noSftpServer: string | false = existsSync(program) ? false : "needs openssh-sftp-server";

/** A plan that says nothing but what is given. */
export function planOf(given: Partial<Omit<SftpPlan, "root">> & { readonly root?: string }): SftpPlan {
  const { root, ...rest } = given;
  return {
    rights: fileRights,
    paths: [],
    hide: [],
    record: false,
    hash: true,
    confining: true,
    ...rest,
    ...(root === undefined ? {} : { root: parseTemplate(root) }),
  };
}

export interface ConfinedOptions {
  readonly plan: SftpPlan;
  readonly locks?: PathLocks;
  readonly audit?: Auditor;
  /** Runs in this folder. */
  readonly home?: string;
}

/** The program, which the test owns. */
export function startSftpServer(home?: string): ChildProcessWithoutNullStreams {
  const server = spawn(program, [], {
    stdio: ["pipe", "pipe", "pipe"],
    ...(home === undefined ? {} : { cwd: home }),
  });
  server.stdin.on("error", () => {});
  return server;
}

/**
 * A client of SFTP in front of a real server program, with what the gateway puts between them, and no SSH: thousands of requests a
 * second.
 */
export class Confined extends SftpAsker implements AsyncDisposable {
  readonly #server: ChildProcessWithoutNullStreams;
  readonly #session: SftpSession;

  private constructor({ plan, locks = new PathLocks(), audit, home }: ConfinedOptions) {
    super();
    this.#server = startSftpServer(home);
    this.#session = new SftpSession({
      rules: fileRulesFor(plan, {}),
      audit,
      channel: 0,
      usage: { bytes: 0 },
      clock: systemClock,
      locks,
      place: "host",
      symlinks: "openssh",
      toUpstream: (bytes) => this.#server.stdin.write(Buffer.from(bytes)),
      toClient: (bytes) => this.take(bytes),
      answerable: () => {},
      progressed: () => {},
      failed: (by, error) => this.failure.resolve(new Error(`${by}: ${error.message}`)),
    });
    this.#server.stdout.on("data", (chunk: Buffer) => {
      if (this.#session.fromUpstream(chunk)) this.take(chunk);
    });
    this.sendBy((bytes) => {
      if (this.#session.fromClient(bytes)) this.#server.stdin.write(Buffer.from(bytes));
    });
  }

  static async start(options: ConfinedOptions): Promise<Confined> {
    const confined = new Confined(options);
    await confined.greet();
    return confined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#session.close();
    const gone = new Promise<void>((resolve) => this.#server.once("close", () => resolve()));
    this.#server.stdin.end();
    this.#server.kill();
    await gone;
  }
}
