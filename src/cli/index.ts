/**
 * cli: the command line.
 *
 * Law: thin. One file for each command: it reads arguments, calls app or config, and says the outcome in words and in an exit code. It
 * ends no process and reads no global: streams, variables and the app are handed in by main.ts.
 */
export type { CliContext, Environment } from "./context.ts";
export { exitCodes } from "./exit-codes.ts";
export { generatedPages } from "./pages.ts";
export { run } from "./run.ts";
