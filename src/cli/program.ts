import { version } from "#base";
import { Command, Option } from "commander";
import { agentCommand } from "./agent.ts";
import { caCommand } from "./ca.ts";
import { auditCommand } from "./audit.ts";
import { checkCommand } from "./check.ts";
import { clientConfigCommand } from "./client-config.ts";
import { completionCommand } from "./completion.ts";
import type { CliContext, Finish } from "./context.ts";
import { targetCommand } from "./target.ts";
import { demoCommand } from "./demo.ts";
import { deviceCommand } from "./device.ts";
import { docsCommand } from "./docs.ts";
import { examples } from "./examples.ts";
import { explainCommand } from "./explain.ts";
import { forwardCommand } from "./forward.ts";
import { importCommand } from "./import.ts";
import { keyCommand } from "./key.ts";
import { logLevelCommand } from "./log-level.ts";
import { reloadCommand } from "./reload.ts";
import { serveCommand } from "./serve.ts";
import { sshCommand } from "./ssh.ts";
import { connectCommand } from "./connect.ts";
import { statusCommand } from "./status.ts";
import { userCommand } from "./user.ts";

/** The whole command line: one command for each file of this room. */
export function createProgram(context: CliContext, finish: Finish): Command {
  const program = new Command("postern")
    .description("The SSH gateway: one public port, every SSH host behind it.")
    .version(version, "-V, --version", "print the version")
    .option("--debug", "print where an error comes from")
    .enablePositionalOptions()
    .helpCommand("help [command]", "print the help of a command")
    .addHelpText(
      "after",
      examples("postern demo", "postern check -c postern.yaml && postern serve -c postern.yaml"),
    );
  const commands = [
    serveCommand(context, finish),
    demoCommand(context, finish),
    checkCommand(context, finish),
    explainCommand(context, finish),
    forwardCommand(context, finish),
    sshCommand(context, finish),
    connectCommand(context),
    clientConfigCommand(context),
    keyCommand(context),
    userCommand(context),
    caCommand(context),
    deviceCommand(context),
    agentCommand(context, finish),
    importCommand(context, finish),
    reloadCommand(context),
    statusCommand(context),
    targetCommand(context),
    auditCommand(context),
    logLevelCommand(context),
    completionCommand(context, () => program),
    docsCommand(context, finish, () => program),
  ];
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
