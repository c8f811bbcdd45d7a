import { Argument, Command } from "commander";
import { bashScript, fishScript, zshScript } from "./completion-scripts.ts";
import { type CommandShape, shapesOf } from "./command-shape.ts";
import type { CliContext } from "./context.ts";
import { examples } from "./examples.ts";

const scripts: Readonly<Record<string, (shapes: readonly CommandShape[]) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
};

export function completionCommand(context: CliContext, program: () => Command): Command {
  return new Command("completion")
    .summary("print what a shell needs to complete this command line")
    .description("Prints a script that lets a shell complete commands, options and their values.")
    .addArgument(new Argument("<shell>", "the shell").choices(Object.keys(scripts)))
    .addHelpText(
      "after",
      examples(
        "postern completion bash > /etc/bash_completion.d/postern",
        'postern completion zsh > "${fpath[1]}/_postern"',
        "postern completion fish > ~/.config/fish/completions/postern.fish",
      ),
    )
    .action((shell: string) => {
      context.stdout.write(scripts[shell]?.(shapesOf(program())) ?? "");
    });
}
