import type { Command } from "commander";
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
import { explainCommand } from "./explain.ts";
import { forwardCommand } from "./forward.ts";
import { importCommand } from "./import.ts";
import { keyCommand } from "./key.ts";
import { logLevelCommand } from "./log-level.ts";
import { reloadCommand } from "./reload.ts";
import { rootCommand, whole } from "./root.ts";
import { serveCommand } from "./serve.ts";
import { sshCommand } from "./ssh.ts";
import { connectCommand } from "./connect.ts";
import { statusCommand } from "./status.ts";
import { userCommand } from "./user.ts";

/** The whole command line: one command for each file of this room. */
export function createProgram(context: CliContext, finish: Finish): Command {
  const program = rootCommand();
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
  return whole(program, commands, context);
}
