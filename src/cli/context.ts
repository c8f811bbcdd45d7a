import type { Config, Problem } from "#config";
import type { Readable, Writable } from "node:stream";

export interface TerminalInput extends Readable {
  readonly isTTY?: boolean;
}

export interface TerminalOutput extends Writable {
  readonly isTTY?: boolean;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** Who is asked about by `explain`. */
export interface ExplainQuery {
  readonly user: string;
  /** An IP address; undefined if the operator named none. */
  readonly from: string | undefined;
  readonly nowMs: number;
}

/** What became of one rule. */
export interface ExplainedRule {
  readonly rule: string;
  readonly outcome: "matched" | "skipped" | "refused" | "not-reached";
  readonly reason: string;
}

export interface ExplainedUser {
  readonly rules: readonly ExplainedRule[];
  /** Absent: nobody goes anywhere by that name. */
  readonly upstream?: {
    readonly user: string;
    /** `host:port`, in the order in which they are tried. */
    readonly addresses: readonly string[];
  };
}

/** What the commands need of the program itself; each promise of a number is an exit code. */
export interface App {
  /** Runs the gateway until it has ended. */
  serve(options: { readonly configFile: string; readonly environment: Environment }): Promise<number>;
  /** Runs the gateway and an upstream for it, without any set-up; says on `stdout` what to try. */
  demo(options: { readonly environment: Environment; readonly stdout: Writable }): Promise<number>;
  /** Makes all that a configuration asks for, short of listening; what fails are problems. */
  check(config: Config): Promise<readonly Problem[]>;
  explain(config: Config, query: ExplainQuery): Promise<ExplainedUser>;
}

/** Where the commands read and write. */
export interface CliContext {
  readonly stdin: TerminalInput;
  readonly stdout: TerminalOutput;
  readonly stderr: TerminalOutput;
  readonly environment: Environment;
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
