import { spawn, type ChildProcess } from "node:child_process";
import type { Writable } from "node:stream";
import { descendants } from "./processes.ts";
import { patienceMs, within } from "./waiting.ts";

/** How a process ended and what it said. */
export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface ChildOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** "none" is /dev/null, "open" leaves it to the test; anything else is written, then ended. */
  readonly stdin?: "none" | "open" | { readonly data: string | Uint8Array };
  /** Do not read its output, so that it blocks. */
  readonly stalled?: boolean;
  /** Count its output instead of keeping it. */
  readonly discard?: boolean;
  /** More descriptors, from number 3 on: each the descriptor to hand over. */
  readonly descriptors?: readonly number[];
}

/** Processes of this test process, so that none outlives it. */
const living = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of living) child.kill("SIGKILL");
});

/** A process the test started: what it says can be waited for, and it ends with its owner. */
export class Child implements AsyncDisposable {
  readonly process: ChildProcess;
  readonly name: string;
  /** Settles when it has ended and its output is read. */
  readonly ended: Promise<Outcome>;
  stdoutBytes = 0;
  /** Milliseconds of `performance`. */
  readonly spawnedAt: number;
  #stdout: Buffer[] = [];
  #stderr = "";
  #over = false;
  #watchers = new Set<() => void>();

  constructor(command: string, args: readonly string[], options: ChildOptions = {}) {
    this.name = `${command} ${args.join(" ")}`.slice(0, 300);
    const stdin = options.stdin ?? "none";
    const input = stdin === "none" ? ("ignore" as const) : ("pipe" as const);
    this.spawnedAt = performance.now();
    this.process = spawn(command, [...args], {
      stdio: [input, "pipe", "pipe", ...(options.descriptors ?? [])],
      env: { ...process.env, LC_ALL: "C.UTF-8", ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    living.add(this.process);
    if (options.stalled !== true) {
      this.process.stdout?.on("data", (chunk: Buffer) => {
        this.stdoutBytes += chunk.length;
        if (options.discard !== true) this.#stdout.push(chunk);
        this.#tell();
      });
    }
    this.process.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
      this.#tell();
    });
    // A process that ends before it has read all its input is no fault of the test.
    this.process.stdin?.on("error", () => undefined);
    if (typeof stdin === "object") this.process.stdin?.end(stdin.data);
    this.ended = new Promise<Outcome>((resolve, reject) => {
      this.process.once("error", reject);
      // Nobody reads a stalled child's output, so its pipe would never close by itself.
      if (options.stalled === true) this.process.once("exit", () => this.process.stdout?.destroy());
      this.process.once("close", (code: number | null, signal: NodeJS.Signals | null) => {
        living.delete(this.process);
        this.#over = true;
        this.#tell();
        resolve({ code, signal, stdout: this.stdout, stderr: this.#stderr });
      });
    });
    this.ended.catch(() => {
      living.delete(this.process);
      this.#over = true;
      this.#tell();
    });
  }

  get pid(): number {
    if (this.process.pid === undefined) throw new Error(`${this.name} did not start`);
    return this.process.pid;
  }
  get stdin(): Writable {
    if (this.process.stdin === null) throw new Error(`${this.name} has no stdin`);
    return this.process.stdin;
  }
  get stdout(): Buffer {
    return Buffer.concat(this.#stdout);
  }
  get stderr(): string {
    return this.#stderr;
  }
  get running(): boolean {
    return !this.#over;
  }

  /** Waits until `look` finds something in what the process said; fails when it ends before. */
  async waitFor<T>(
    what: string,
    look: () => T | undefined | false,
    deadlineMs: number = patienceMs,
  ): Promise<T> {
    let watch: (() => void) | undefined;
    const found = new Promise<T>((resolve, reject) => {
      watch = () => {
        const seen = look();
        if (seen !== undefined && seen !== false) resolve(seen);
        else if (this.#over) reject(new Error("it ended before"));
      };
      this.#watchers.add(watch);
      watch();
    });
    try {
      return await within(what, found, deadlineMs);
    } catch (error) {
      const told = `${this.#stderr.slice(-3000)}\n${this.stdout.subarray(-1000).toString("utf8")}`;
      throw new Error(`${this.name}: no ${what}; it said:\n${told}`, { cause: error });
    } finally {
      if (watch !== undefined) this.#watchers.delete(watch);
    }
  }

  /** Waits for text on stderr. */
  waitForStderr(pattern: RegExp, deadlineMs?: number): Promise<RegExpExecArray> {
    return this.waitFor(String(pattern), () => pattern.exec(this.#stderr) ?? undefined, deadlineMs);
  }

  /** Waits for text on stdout. */
  waitForStdout(pattern: RegExp, deadlineMs?: number): Promise<RegExpExecArray> {
    return this.waitFor(
      String(pattern),
      () => pattern.exec(this.stdout.toString("utf8")) ?? undefined,
      deadlineMs,
    );
  }

  /** Waits for its end; kills it when that does not come. */
  async outcome(deadlineMs: number = patienceMs): Promise<Outcome> {
    try {
      return await within(`the end of ${this.name}`, this.ended, deadlineMs);
    } catch (error) {
      this.process.kill("SIGKILL");
      throw new Error(`${this.name}: ${String(error)}; it said:\n${this.#stderr.slice(-3000)}`, {
        cause: error,
      });
    }
  }

  kill(signal: NodeJS.Signals = "SIGTERM"): void {
    this.process.kill(signal);
  }

  /** Ends it and all that it started. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#over) {
      const below = await descendants(this.pid);
      this.process.kill("SIGKILL");
      for (const pid of below) {
        try {
          process.kill(pid, "SIGKILL");
        } catch {
          // It went by itself.
        }
      }
    }
    this.process.stdout?.destroy();
    this.process.stderr?.destroy();
    await this.ended.catch(() => undefined);
  }

  #tell(): void {
    for (const watch of this.#watchers) watch();
  }
}

/** Runs a program to its end. */
export async function run(
  command: string,
  args: readonly string[],
  options: ChildOptions & { readonly deadlineMs?: number } = {},
): Promise<Outcome> {
  await using child = new Child(command, args, options);
  return await child.outcome(options.deadlineMs);
}

/** Runs a program that must succeed; gives its stdout as text. */
export async function succeed(
  command: string,
  args: readonly string[],
  options: ChildOptions & { readonly deadlineMs?: number } = {},
): Promise<string> {
  const outcome = await run(command, args, options);
  if (outcome.code !== 0) {
    const end = outcome.code ?? outcome.signal;
    throw new Error(`${command} ${args.join(" ")} ended with ${end}:\n${outcome.stderr.slice(-3000)}`);
  }
  return outcome.stdout.toString("utf8");
}
