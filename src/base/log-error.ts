import { inspect } from "node:util";
import { PosternError } from "./errors.ts";

/** An error as the log shows it: code and blame, what happened down to the first cause, and a stack where the code is to blame. */
export function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const causes: string[] = [];
  let cause: unknown = error.cause;
  // A chain that bites its own tail must not hang the log.
  while (cause !== undefined && causes.length < 8) {
    causes.push(textOf(cause));
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  const known = error instanceof PosternError;
  const code = known ? error.code : (error as NodeJS.ErrnoException).code;
  return {
    ...(code === undefined ? {} : { code }),
    ...(known ? { blame: error.blame } : { name: error.name }),
    message: error.message,
    ...(causes.length === 0 ? {} : { causes }),
    ...(known && error.blame !== "BUG" ? {} : { stack: error.stack }),
  };
}

function textOf(cause: unknown): string {
  if (cause instanceof Error) return cause.message;
  return typeof cause === "string" ? cause : inspect(cause, { depth: 1 });
}
