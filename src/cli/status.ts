import { Command } from "commander";
import { type CliContext, say } from "./context.ts";
import { askGateway, type ControlOptions, withControlOptions } from "./control-client.ts";
import { examples } from "./examples.ts";

export function statusCommand(context: CliContext): Command {
  return withControlOptions(new Command("status"))
    .summary("ask the running gateway how it is")
    .description("Prints where the running gateway listens, since when, and who is in.")
    .option("--json", "print the whole answer as JSON")
    .addHelpText("after", examples("postern status", "postern status --json"))
    .action(async (options: ControlOptions & { readonly json?: boolean }) => {
      const { text, whole } = await askGateway({ command: "status" }, options, context);
      say(context, options.json === true ? JSON.stringify(whole, undefined, 2) : text);
    });
}
