import type { App } from "#app";
import type { Readable, Writable } from "node:stream";

export interface TerminalInput extends Readable {
  readonly isTTY?: boolean;
}

export interface TerminalOutput extends Writable {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** Where the commands read and write. */
export interface CliContext {
  readonly stdin: TerminalInput;
  readonly stdout: TerminalOutput;
  readonly stderr: TerminalOutput;
  readonly environment: Environment;
  /** Calls back at each such signal, which then does not end the process, until disposed of. */
  readonly onSignal?: (signal: NodeJS.Signals, then: () => void) => Disposable;
  /** Loaded by the commands that need it: help should not wait for it. */
  readonly app: () => Promise<App>;
}

/** Tells `run` how the program is to end. */
export type Finish = (exitCode: number) => void;

/** One line for the person, on stdout. */
export function say(context: CliContext, text: string): void {
  context.stdout.write(`${text}\n`);
}

/** One line of complaint, on stderr. */
export function complain(context: CliContext, text: string): void {
  context.stderr.write(`${text}\n`);
}
