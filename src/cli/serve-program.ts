import type { Command } from "commander";
import type { CliContext, Finish } from "./context.ts";
import { rootCommand, whole } from "./root.ts";
import { serveCommand } from "./serve.ts";

/** The command line with `serve` alone: what a gateway holds for its life has no room for the commands that ask it. */
export function createServeProgram(context: CliContext, finish: Finish): Command {
  return whole(rootCommand(), [serveCommand(context, finish)], context);
}
