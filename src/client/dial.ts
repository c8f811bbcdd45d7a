import { type ChildProcessByStdio, spawn } from "node:child_process";
import { connect, type Socket } from "node:net";
import { Duplex, type Readable, type Writable } from "node:stream";
import type { HostPort } from "#base";
import { clientErrors } from "./errors.ts";

export interface DialOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Local address to connect from. */
  readonly bindAddress?: string | undefined;
  /** 4 or 6; absent: both, raced. */
  readonly family?: 4 | 6 | undefined;
}

/** RFC 8305, section 8: the recommended delay before the next address of a name is tried beside the first. */
const raceDelayMs = 250;

/** Connects to a name or address. Throws UPSTREAM_CLIENT_UNREACHABLE. */
export function dialTcp(address: HostPort, options: DialOptions): Promise<Socket> {
  const { bindAddress, family } = options;
  const socket = connect({
    ...address,
    noDelay: true,
    keepAlive: true,
    allowHalfOpen: true,
    ...(bindAddress === undefined ? {} : { localAddress: bindAddress }),
    ...(family === undefined
      ? { autoSelectFamily: true, autoSelectFamilyAttemptTimeout: raceDelayMs }
      : { family }),
  });
  return connected(socket, `${address.host} port ${address.port}`, options);
}

/** Connects to a UNIX socket. Throws UPSTREAM_CLIENT_UNREACHABLE. */
export function dialUnix(path: string, options: DialOptions): Promise<Socket> {
  return connected(connect({ path, allowHalfOpen: true }), path, options);
}

function connected(socket: Socket, where: string, { timeoutMs, signal }: DialOptions): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const settle = (reason?: string, cause?: unknown): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      socket.removeAllListeners();
      // Whoever takes it listens; until then an early error must not end the process.
      socket.on("error", () => {});
      if (reason === undefined) {
        socket.pause();
        resolve(socket);
        return;
      }
      socket.destroy();
      const sentence = `Cannot connect to ${where}: ${reason}.`;
      reject(new clientErrors.UPSTREAM_CLIENT_UNREACHABLE(sentence, { cause }));
    };
    const abort = (): void => settle("given up", signal?.reason);
    const timer = setTimeout(() => settle(`no answer in ${timeoutMs / 1000} s`), timeoutMs);
    socket.once("connect", () => settle());
    socket.once("error", (cause) => settle(reasonOf(cause), cause));
    signal?.addEventListener("abort", abort, { once: true });
    if (signal?.aborted === true) abort();
  });
}

const reasons: Readonly<Record<string, string>> = {
  ENOTFOUND: "the name does not resolve; check how it is spelt, or DNS",
  EAI_AGAIN: "the name does not resolve now: DNS does not answer",
  ECONNREFUSED: "connection refused; nothing listens there, or a firewall says no",
  ECONNRESET: "the connection was reset",
  ETIMEDOUT: "no answer; the host is down, or a firewall is silent",
  EHOSTUNREACH: "there is no way to that host",
  ENETUNREACH: "there is no way to that network",
  EADDRNOTAVAIL: "the address is not available on this machine",
  ENOENT: "there is no such socket",
  EACCES: "permission denied",
};

const fileReasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "there is no such file",
  EISDIR: "it is a folder",
};

/** A system error over a file in words. */
export function fileReasonOf(cause: unknown): string {
  return fileReasons[(cause as NodeJS.ErrnoException).code ?? ""] ?? reasonOf(cause);
}

/** A system error in words. Node gathers the failures of a race in an AggregateError that has no text of its own. */
export function reasonOf(cause: unknown): string {
  const errors: readonly unknown[] = cause instanceof AggregateError ? cause.errors : [cause];
  const words = errors.map((each) => {
    const { code, message } = each as NodeJS.ErrnoException;
    return (code === undefined ? undefined : reasons[code]) ?? message;
  });
  return [...new Set(words)].join("; ");
}

/** Standard input and output of a command as one stream; destroying it ends the command. */
class CommandStream extends Duplex {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;

  constructor(child: ChildProcessByStdio<Writable, Readable, null>) {
    super({ allowHalfOpen: true });
    this.#child = child;
    child.stdout.on("data", (chunk: Buffer) => {
      if (!this.push(chunk)) child.stdout.pause();
    });
    child.stdout.on("end", () => this.push(null));
    child.once("error", (error) => this.destroy(error));
    child.stdin.on("error", () => {
      // A command that reads no more has ended or will: its output says so.
    });
  }

  override _read(): void {
    this.#child.stdout.resume();
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: () => void): void {
    this.#child.stdin.write(chunk, () => done());
  }

  override _final(done: () => void): void {
    this.#child.stdin.end(() => done());
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#child.stdin.destroy();
    this.#child.stdout.destroy();
    this.#child.kill("SIGHUP");
    this.#child.unref();
    done(error);
  }
}

/** A ProxyCommand, run by the shell as ssh(1) does; its complaints go to our stderr. */
export function dialCommand(command: string, shell: string): Duplex {
  return new CommandStream(spawn(shell, ["-c", `exec ${command}`], { stdio: ["pipe", "pipe", "inherit"] }));
}
