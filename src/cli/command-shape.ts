import type { Command } from "commander";

/** One option, as completion and documentation need it. */
export interface OptionShape {
  /** `-c`, `--config` */
  readonly flags: readonly string[];
  readonly description: string;
  /** What may follow: nothing, one of these, or a file (or other text). */
  readonly value: "none" | "text" | readonly string[];
}

export interface CommandShape {
  /** Words that lead to it: empty for the program itself, `["key", "generate"]`. */
  readonly path: readonly string[];
  readonly summary: string;
  readonly commands: readonly { readonly name: string; readonly summary: string }[];
  readonly options: readonly OptionShape[];
  /** Words that its first argument may be, if they are known. */
  readonly choices: readonly string[];
}

/** The program and all commands below it, outer ones first. */
export function shapesOf(command: Command, path: readonly string[] = []): CommandShape[] {
  const inner = command.createHelp().visibleCommands(command);
  const own: CommandShape = {
    path,
    summary: command.summary() || command.description(),
    commands: inner.map((each) => ({ name: each.name(), summary: each.summary() || each.description() })),
    options: command
      .createHelp()
      .visibleOptions(command)
      .map(({ short, long, description, required, optional, argChoices }) => ({
        flags: [short, long].filter((flag) => flag !== undefined),
        description,
        value: argChoices ?? (required || optional ? "text" : "none"),
      })),
    choices: command.registeredArguments[0]?.argChoices ?? [],
  };
  return [own, ...command.commands.flatMap((each) => shapesOf(each, [...path, each.name()]))];
}
