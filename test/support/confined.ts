import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { existsSync } from "node:fs";
import type { Auditor, SftpPlan } from "#contract";
import { fileRights } from "#contract";
import { parseTemplate, systemClock } from "#base";
import { fileRulesFor, PathLocks, SftpSession } from "#sftp";
import {
  decodeSftpHello,
  decodeSftpReply,
  encodeSftpHello,
  encodeSftpRequest,
  FXP,
  PacketStream,
  type SftpHello,
  type SftpReply,
  type SftpRequest,
} from "#ssh/sftp";

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

/** A request without its number. */
export type Asking = SftpRequest extends infer One
  ? One extends SftpRequest
    ? Omit<One, "id">
    : never
  : never;

/** A reply, and the data of those that have some. */
export type Answer = SftpReply & { readonly bulk?: Buffer };

/**
 * A client of SFTP in front of a real server program, with what the gateway puts between them, and no SSH: thousands of requests a
 * second.
 */
export class Confined implements AsyncDisposable {
  readonly #server: ChildProcessWithoutNullStreams;
  readonly #session: SftpSession;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  readonly #greeted: PromiseWithResolvers<SftpHello> = Promise.withResolvers();
  readonly failure: PromiseWithResolvers<Error> = Promise.withResolvers();
  /** Everything that the client was sent, as it came. */
  seen: (bytes: Buffer) => void = () => {};
  #nextId = 1;
  #data: Buffer[] = [];
  #bulk: { readonly reply: SftpReply } | undefined;

  private constructor({ plan, locks = new PathLocks(), audit, home }: ConfinedOptions) {
    this.#server = spawn(program, [], {
      stdio: ["pipe", "pipe", "pipe"],
      ...(home === undefined ? {} : { cwd: home }),
    });
    this.#server.stdin.on("error", () => {});
    const incoming = new PacketStream("server", {
      packet: (packet) => {
        this.#packet(packet);
        return false;
      },
      body: (data) => this.#data.push(Buffer.from(data)),
      bodyEnd: () => this.#bodyEnd(),
      output: () => {},
    });
    const toClient = (bytes: Uint8Array): void => {
      this.seen(Buffer.from(bytes));
      incoming.feed(Uint8Array.from(bytes));
    };
    this.#session = new SftpSession({
      rules: fileRulesFor(plan, {}),
      audit,
      channel: 0,
      usage: { bytes: 0 },
      clock: systemClock,
      locks,
      place: "host",
      toUpstream: (bytes) => this.#server.stdin.write(Buffer.from(bytes)),
      toClient,
      answerable: () => {},
      progressed: () => {},
      failed: (by, error) => this.failure.resolve(new Error(`${by}: ${error.message}`)),
    });
    this.#server.stdout.on("data", (chunk: Buffer) => {
      if (this.#session.fromUpstream(chunk)) toClient(chunk);
    });
  }

  static async start(options: ConfinedOptions): Promise<Confined> {
    const confined = new Confined(options);
    confined.send(encodeSftpHello(FXP.INIT));
    await Promise.race([
      confined.#greeted.promise,
      confined.failure.promise.then((error) => Promise.reject(error)),
    ]);
    return confined;
  }

  get greeting(): Promise<SftpHello> {
    return this.#greeted.promise;
  }

  /** Bytes as a client would send them. */
  send(bytes: Uint8Array): void {
    if (this.#session.fromClient(bytes)) this.#server.stdin.write(Buffer.from(bytes));
  }

  /** Sends a request at once; the answer comes when it comes. */
  async ask(request: Asking, data?: Uint8Array): Promise<Answer> {
    const id = this.#nextId++;
    const answer = new Promise<Answer>((resolve) => this.#waiting.set(id, resolve));
    const head = encodeSftpRequest({ ...request, id });
    this.send(data === undefined ? head : Buffer.concat([head, data]));
    return await answer;
  }

  #packet(packet: Uint8Array): void {
    if (packet[0] === FXP.VERSION) {
      this.#greeted.resolve(decodeSftpHello(packet));
      return;
    }
    const reply = decodeSftpReply(packet);
    if (reply.kind === "data") this.#bulk = { reply };
    else this.#settle(reply);
  }

  #bodyEnd(): void {
    const data = Buffer.concat(this.#data.splice(0));
    const reply = this.#bulk?.reply;
    this.#bulk = undefined;
    if (reply !== undefined) this.#settle({ ...reply, bulk: data });
  }

  #settle(answer: Answer): void {
    const resolve = this.#waiting.get(answer.id);
    if (resolve === undefined) throw new Error(`an answer to nothing: ${JSON.stringify(answer.kind)}`);
    this.#waiting.delete(answer.id);
    resolve(answer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#session.close();
    const gone = new Promise<void>((resolve) => this.#server.once("close", () => resolve()));
    this.#server.stdin.end();
    this.#server.kill();
    await gone;
  }
}
