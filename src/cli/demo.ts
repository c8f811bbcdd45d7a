import { Command } from "commander";
import type { CliContext, Finish } from "./context.ts";
import { examples } from "./examples.ts";

export function demoCommand(context: CliContext, finish: Finish): Command {
  return new Command("demo")
    .summary("run the gateway with an upstream of its own, to try it")
    .description(
      "Runs a gateway and a small upstream beside it, on loopback, without any set-up, and prints the ssh command to try.",
    )
    .addHelpText("after", examples("postern demo", "npm start"))
    .action(async () => {
      const app = await context.app();
      finish(await app.demo({ environment: context.environment, stdout: context.stdout }));
    });
}
