import type { Callback } from "#app";
import { ConfigInvalid, formatProblem, loadConfig, type Problem, ruleCount } from "#config";
import { Command } from "commander";
import { configOption, type ConfigOptions } from "./config-option.ts";
import { complain, type CliContext, say, type Finish } from "./context.ts";
import { exitCodes } from "./exit-codes.ts";
import { examples } from "./examples.ts";

export function checkCommand(context: CliContext, finish: Finish): Command {
  return new Command("check")
    .summary("say what is wrong with a configuration file")
    .description(
      "Reads a configuration file and all that it names, as the gateway would, and prints every problem as FILE:LINE:COLUMN: text. Of a good file it also says which redirect address each OpenID provider must know.",
    )
    .addOption(configOption())
    .addHelpText("after", examples("postern check -c postern.yaml"))
    .action(async ({ config: file }: ConfigOptions) => {
      const { problems, rules, callbacks } = await problemsOf(file, context);
      for (const problem of problems) complain(context, formatProblem(problem));
      const errors = problems.filter(({ severity }) => severity === "error").length;
      if (errors > 0) {
        finish(exitCodes.failed);
        return;
      }
      const warnings = problems.length === 0 ? "" : `, ${counted(problems.length, "warning")}`;
      say(context, `${file}: good, ${counted(rules, "rule")}${warnings}`);
      for (const { issuer, clientId, address } of callbacks)
        say(context, `${issuer}: client ${clientId} must know the redirect address ${address}`);
    });
}

async function problemsOf(
  file: string,
  context: CliContext,
): Promise<{ problems: readonly Problem[]; rules: number; callbacks: readonly Callback[] }> {
  try {
    const { config, warnings } = await loadConfig(file, { environment: context.environment });
    const app = await context.app();
    return {
      problems: [...warnings, ...(await app.check(config))],
      rules: ruleCount(config),
      callbacks: app.callbacks(config),
    };
  } catch (error) {
    if (error instanceof ConfigInvalid) return { problems: error.problems, rules: 0, callbacks: [] };
    throw error;
  }
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
