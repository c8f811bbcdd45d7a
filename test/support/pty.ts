import { readFileSync } from "node:fs";
import { run, type ChildOptions, type Outcome } from "./child.ts";
import { debianPython } from "./strangers.ts";
import { isRoot } from "./test-user.ts";

/** For the `skip` option of a test that needs a terminal from sshd, which without root may not change a terminal's group. */
export const noTerminal: string | false =
  isRoot || /^devpts .*\bgid=/m.test(readFileSync("/proc/mounts", "latin1"))
    ? false
    : "sshd without root can give out no terminal here: devpts is mounted without gid";

/** One move at a terminal: what to wait for, then what to do. */
export interface PtyStep {
  /** Regular expression (Python's) over what came since the step before. */
  readonly expect?: string;
  readonly send?: string;
  /** Rows and columns. */
  readonly resize?: readonly [number, number];
  /** Number of a signal for the command. */
  readonly signal?: number;
}

export interface PtyPlan {
  readonly rows?: number;
  readonly columns?: number;
  /** Arguments of stty, set before the command starts. */
  readonly stty?: readonly string[];
  readonly command: readonly string[];
  readonly steps?: readonly PtyStep[];
}

/** Runs a command on a terminal of its own; stdout is all that the terminal showed. */
export async function runOnPty(plan: PtyPlan, options: ChildOptions = {}): Promise<Outcome> {
  const whole = { rows: 24, columns: 80, steps: [], deadline: 60, ...plan };
  const script = new URL("python/on_pty.py", import.meta.url).pathname;
  return await run(debianPython, [script, JSON.stringify(whole)], { ...options, deadlineMs: 70_000 });
}
