import { Command } from "commander";
import { configOption, type ConfigOptions } from "./config-option.ts";
import type { CliContext, Finish } from "./context.ts";
import { examples } from "./examples.ts";

export function serveCommand(context: CliContext, finish: Finish): Command {
  return new Command("serve")
    .summary("run the gateway")
    .description(
      "Runs the gateway in the foreground until it is told to end. SIGHUP reloads the configuration, SIGUSR1 opens the log file anew, SIGTERM drains: no new connections, live sessions go on to a limit. A second SIGTERM ends at once.",
    )
    .addOption(configOption())
    .addHelpText("after", examples("postern serve", "postern serve -c /etc/postern/postern.yaml"))
    .action(async ({ config }: ConfigOptions) => {
      const app = await context.app();
      finish(await app.serve({ configFile: config, environment: context.environment }));
    });
}
