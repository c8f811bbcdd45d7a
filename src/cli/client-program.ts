import type { Command } from "commander";
import { connectCommand } from "./connect.ts";
import type { CliContext, Finish } from "./context.ts";
import { forwardCommand } from "./forward.ts";
import { rootCommand, whole } from "./root.ts";
import { sshCommand } from "./ssh.ts";

/** Commands that run at every connection: they load nothing of the gateway, which costs more than the login. */
export const clientCommandNames: ReadonlySet<string> = new Set(["forward", "ssh", "connect"]);

/** The command line with those alone. */
export function createClientProgram(context: CliContext, finish: Finish): Command {
  const commands = [forwardCommand(context, finish), sshCommand(context, finish), connectCommand(context)];
  return whole(rootCommand(), commands, context);
}
