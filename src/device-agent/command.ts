import { spawn } from "node:child_process";
import { Tail } from "./tail.ts";

export interface CommandOptions {
  readonly timeoutMs: number;
  /** Of its output, the end is kept. */
  readonly maxBytes: number;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
}

export interface CommandEnd {
  /** Undefined: a signal ended it, or it could not be started. */
  readonly exitCode: number | undefined;
  readonly timedOut: boolean;
  readonly output: string;
  /** The beginning of the output is missing. */
  readonly truncated: boolean;
}

/** Between asking a program to end and making it. */
const graceMs = 5_000;

/** What programs get of our variables: nothing of systemd's, and no secret that stands in one. */
const passedOn = ["PATH", "HOME", "LANG"] as const;

/** Runs a program by its words, without a shell. Never throws: what could not be started says so in its output. */
export function runCommand(
  [program, ...words]: readonly [string, ...string[]],
  { timeoutMs, maxBytes, environment, signal }: CommandOptions,
): Promise<CommandEnd> {
  const kept = new Tail(maxBytes);
  const env = Object.fromEntries(passedOn.map((name) => [name, environment[name]]));
  // A group of its own, so that what it starts ends with it.
  const child = spawn(program, words, { stdio: ["ignore", "pipe", "pipe"], env, detached: true });
  return new Promise((resolve) => {
    let timedOut = false;
    let hard: NodeJS.Timeout | undefined;
    const end = (): void => {
      kill(child.pid, "SIGTERM");
      hard ??= setTimeout(() => kill(child.pid, "SIGKILL"), graceMs);
    };
    const timer = setTimeout(() => {
      timedOut = true;
      end();
    }, timeoutMs);
    const settle = (exitCode: number | undefined): void => {
      clearTimeout(timer);
      clearTimeout(hard);
      signal.removeEventListener("abort", end);
      resolve({ exitCode, timedOut, output: kept.text, truncated: kept.truncated });
    };
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => kept.add(chunk));
    child.once("error", (error) => {
      kept.add(Buffer.from(`${program} cannot be run: ${error.message}\n`));
      if (child.pid === undefined) settle(undefined);
    });
    child.once("close", (code) => settle(code ?? undefined));
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted) end();
  });
}

function kill(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // It has ended by itself.
  }
}
