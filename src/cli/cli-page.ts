import type { Command } from "commander";
import { exitCodeTexts } from "./exit-codes.ts";

/** docs/cli.md: the help of every command, and the exit codes. */
export function cliPage(program: Command): string {
  const rows = Object.entries(exitCodeTexts).map(([code, text]) => `| ${code} | ${text} |`);
  return `# Command line

*Made by \`npm run docs\` from the source: change it there.*

## Exit codes

| code | meaning |
|---|---|
${rows.join("\n")}

Errors are one sentence on stderr, or one line \`FILE:LINE:COLUMN: text\` for each problem of a configuration. \`--debug\` adds where in the
program an error comes from. Colour and progress are shown only on a terminal, and no colour where \`NO_COLOR\` is set.
\`serve\` logs to stderr.

${sections(program, "postern").join("\n\n")}
`;
}

function sections(command: Command, name: string): string[] {
  return [
    `## ${name}\n\n\`\`\`\n${helpOf(command)}\n\`\`\``,
    ...command.commands.flatMap((inner) => sections(inner, `${name} ${inner.name()}`)),
  ];
}

/** As `--help` prints it, examples included. */
function helpOf(command: Command): string {
  let help = "";
  const output = command.configureOutput();
  command.configureOutput({
    ...output,
    writeOut: (text) => {
      help += text;
    },
  });
  command.outputHelp();
  command.configureOutput(output);
  return help.trim();
}
