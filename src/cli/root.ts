import { version } from "#base";
import { Command, Option } from "commander";
import type { CliContext } from "./context.ts";
import { examples } from "./examples.ts";

/** The program without its commands. */
export function rootCommand(): Command {
  return new Command("postern")
    .description("The SSH gateway: one public port, every SSH host behind it.")
    .version(version, "-V, --version", "print the version")
    .option("--debug", "print where an error comes from")
    .enablePositionalOptions()
    .helpCommand("help [command]", "print the help of a command")
    .addHelpText(
      "after",
      examples("postern demo", "postern check -c postern.yaml && postern serve -c postern.yaml"),
    );
}

/** The program with these commands, fit to be run. */
export function whole(program: Command, commands: readonly Command[], context: CliContext): Command {
  for (const command of commands) program.addCommand(command);
  harden(program, context);
  return program;
}

/** No command may end the process, or write elsewhere than it was told. */
function harden(command: Command, context: CliContext): void {
  command.exitOverride();
  command.helpOption("-h, --help", "print this help");
  command.showHelpAfterError(`Try: ${nameOf(command)} --help`);
  command.configureOutput({
    writeOut: (text) => context.stdout.write(text),
    writeErr: (text) => context.stderr.write(text),
    getOutHelpWidth: () => 100,
    getErrHelpWidth: () => 100,
    getOutHasColors: () => false,
    getErrHasColors: () => false,
  });
  for (const inner of command.commands) {
    // It counts wherever it stands.
    inner.addOption(new Option("--debug").hideHelp());
    harden(inner, context);
  }
}

function nameOf(command: Command): string {
  return command.parent === null ? command.name() : `${nameOf(command.parent)} ${command.name()}`;
}
