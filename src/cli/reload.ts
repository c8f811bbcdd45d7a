import { Command } from "commander";
import { type CliContext, say } from "./context.ts";
import { askGateway, type ControlOptions, withControlOptions } from "./control-client.ts";
import { examples } from "./examples.ts";

export function reloadCommand(context: CliContext): Command {
  return withControlOptions(new Command("reload"))
    .summary("let the running gateway read its configuration again")
    .description(
      "Lets the running gateway read its configuration again, and waits. If anything is wrong, it says so and goes on with the old one.",
    )
    .addHelpText("after", examples("postern reload", "postern reload --control /run/postern/control.sock"))
    .action(async (options: ControlOptions) => {
      const { text } = await askGateway({ command: "reload" }, options, context);
      say(context, text);
    });
}
