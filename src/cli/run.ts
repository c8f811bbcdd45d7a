import { PosternError } from "#base";
import { type Command, CommanderError } from "commander";
import { clientCommandNames, createClientProgram } from "./client-program.ts";
import { complain, type CliContext, type Finish } from "./context.ts";
import { Interrupted } from "./errors.ts";
import { exitCodes } from "./exit-codes.ts";
import { sentenceOf } from "./failure.ts";
import { createServeProgram } from "./serve-program.ts";

/** Carries out one command line (without the names of node and of the program); gives the exit code. Never throws. */
export async function run(args: readonly string[], context: CliContext): Promise<number> {
  let exitCode: number = exitCodes.ok;
  const program = await programFor(args, context, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(args, { from: "user" });
    return exitCode;
  } catch (error) {
    return await explainFailure(error, context, args.includes("--debug"));
  }
}

async function programFor(args: readonly string[], context: CliContext, finish: Finish): Promise<Command> {
  if (clientCommandNames.has(args[0] ?? "")) return createClientProgram(context, finish);
  if (args[0] === "serve") return createServeProgram(context, finish);
  const { createProgram } = await import("./program.ts");
  return createProgram(context, finish);
}

/** One sentence for the person; a stack only for those who ask for it. */
async function explainFailure(error: unknown, context: CliContext, debug: boolean): Promise<number> {
  // Commander has written its own message, or the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  if (error instanceof Interrupted) return exitCodes.interrupted;
  if (error instanceof PosternError && error.code === "OPERATOR_CONFIG_INVALID") {
    // One line for each problem.
    complain(context, error.detail ?? error.message);
    return exitCodes.config;
  }
  if (error instanceof PosternError && usageCodes.has(error.code)) {
    complain(context, `postern: ${sentenceOf(error)}`);
    return exitCodes.usage;
  }
  const known = error instanceof PosternError && error.blame !== "BUG";
  complain(context, `postern: ${sentenceOf(error)}`);
  if (debug && error instanceof Error) complain(context, error.stack ?? "");
  else if (!known) complain(context, "With --debug it says where this happened.");
  return known && configCodes.has(error.code) ? exitCodes.config : exitCodes.failed;
}

/** What went wrong was typed. */
const usageCodes: ReadonlySet<string> = new Set(["OPERATOR_CLIENT_ARGUMENT", "OPERATOR_COMMAND_LINE"]);

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
