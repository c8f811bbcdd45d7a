import { Command } from "commander";
import { type CliContext, say } from "./context.ts";
import { askGateway, type ControlOptions, withControlOptions } from "./control-client.ts";
import { examples } from "./examples.ts";

export function targetCommand(context: CliContext): Command {
  const target = new Command("target")
    .summary("take addresses of targets out of use, and put them back")
    .description(
      "Takes an address of a target out of use for new sessions, without cutting those that are there, and puts it back. It lasts until the gateway is started anew; `drained` in the configuration lasts longer. `postern status` shows how all of them are.",
    );
  const change = (name: string, summary: string, undo: boolean): Command =>
    withControlOptions(new Command(name))
      .summary(summary)
      .description(`${summary[0]?.toUpperCase()}${summary.slice(1)}.`)
      .argument("<target>", "the target's name in the configuration")
      .argument("<address>", "one of its addresses: host:port, or host for port 22")
      .addHelpText("after", examples(`postern target ${name} web a.example.lan:22`))
      .action(async (targetName: string, address: string, options: ControlOptions) => {
        const request = { command: "drain", target: targetName, address, undo } as const;
        const { text } = await askGateway(request, options, context);
        say(context, text);
      });
  return target
    .addCommand(change("drain", "give an address no new sessions", false))
    .addCommand(change("undrain", "give an address new sessions again", true));
}
