import { PosternError } from "#base";
import { ConfigInvalid, formatProblem } from "#config";
import { CommanderError } from "commander";
import { complain, type CliContext } from "./context.ts";
import { Interrupted } from "./errors.ts";
import { exitCodes } from "./exit-codes.ts";
import { sentenceOf } from "./failure.ts";
import { createProgram } from "./program.ts";

/** Carries out one command line (without the names of node and of the program); gives the exit code. Never throws. */
export async function run(args: readonly string[], context: CliContext): Promise<number> {
  let exitCode: number = exitCodes.ok;
  const program = createProgram(context, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(args, { from: "user" });
    return exitCode;
  } catch (error) {
    return explainFailure(error, context, args.includes("--debug"));
  }
}

/** One sentence for the person; a stack only for those who ask for it. */
function explainFailure(error: unknown, context: CliContext, debug: boolean): number {
  // Commander has written its own message, or the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  if (error instanceof Interrupted) return exitCodes.interrupted;
  if (error instanceof ConfigInvalid) {
    for (const problem of error.problems) complain(context, formatProblem(problem));
    return exitCodes.config;
  }
  const known = error instanceof PosternError && error.blame !== "BUG";
  complain(context, `postern: ${sentenceOf(error)}`);
  if (debug && error instanceof Error) complain(context, error.stack ?? "");
  else if (!known) complain(context, "With --debug it says where this happened.");
  return known && configCodes.has(error.code) ? exitCodes.config : exitCodes.failed;
}

/** What went wrong is in the files of the configuration: a new start will end in the same way. */
const configCodes: ReadonlySet<string> = new Set([
  "OPERATOR_ACCOUNT_UNKNOWN",
  "OPERATOR_AGENT_FILE",
  "OPERATOR_AUDIT_UNWRITABLE",
  "OPERATOR_FILE_UNREADABLE",
  "OPERATOR_HOST_KEY_MISSING",
  "OPERATOR_PRIVILEGES_KEPT",
  "OPERATOR_RULE_INVALID",
  "OPERATOR_RULE_UNUSABLE",
]);
