import { logLevels } from "#base";
import { Argument, Command } from "commander";
import { type CliContext, say } from "./context.ts";
import { askGateway, type ControlOptions, withControlOptions } from "./control-client.ts";
import { examples } from "./examples.ts";

export function logLevelCommand(context: CliContext): Command {
  return withControlOptions(new Command("log-level"))
    .summary("change how much the running gateway logs")
    .description(
      "Changes the log level of the running gateway, until it is started anew, or reloaded with another log.level.",
    )
    .addArgument(new Argument("<level>", "the least important lines to be written").choices(logLevels))
    .addHelpText("after", examples("postern log-level debug"))
    .action(async (level: string, options: ControlOptions) => {
      const { text } = await askGateway({ command: "log-level", level }, options, context);
      say(context, text);
    });
}
