import type { AgentConfig, AgentStatus, DeviceAgent } from "#device-agent";
import { type RootLog, openLog } from "#base";
import { ConfigInvalid, formatProblem } from "#config";
import { Command } from "commander";
import { agentFileOption, loadAgentFile } from "./agent-file.ts";
import { installCommand } from "./agent-install.ts";
import type { CliContext, Finish } from "./context.ts";
import { examples } from "./examples.ts";
import { exitCodes } from "./exit-codes.ts";
import { sentenceOf } from "./failure.ts";
import { onSignals } from "./signals.ts";

interface AgentOptions {
  readonly config: string;
  readonly check?: boolean;
}

export function agentCommand(context: CliContext, finish: Finish): Command {
  return (
    new Command("agent")
      .summary("run on a device: enrol, and hold its tunnels")
      .description(
        "Runs on a device, in the foreground: makes its key, joins by token or waits for approval, holds its tunnels at one or several gateways, and offers a small service on board. SIGHUP reads the file again, SIGTERM ends it.",
      )
      .addOption(agentFileOption())
      .option("--check", "only say whether the file is good")
      // What stands behind "install" is meant for it.
      .enablePositionalOptions()
      .addHelpText("after", examples("postern agent -c agent.yaml", "postern agent install --dry-run"))
      .action(async (options: AgentOptions) => {
        const config = await loadAgentFile(options.config, context);
        if (options.check !== true) await runAgent(config, options.config, context);
        finish(exitCodes.ok);
      })
      .addCommand(installCommand(context))
  );
}

async function runAgent(config: AgentConfig, file: string, context: CliContext): Promise<void> {
  const { environment } = context;
  const room = await import("#device-agent");
  const log = await openLog({ ...config.log, environment });
  try {
    const tell = await teller(context);
    const stop = Promise.withResolvers<void>();
    await using agent = await room.DeviceAgent.start(config, {
      log,
      environment,
      changed: (status) => tell(`STATUS=${statusText(status)}`),
    });
    using _stop = onSignals(context, ["SIGINT", "SIGTERM"], () => stop.resolve());
    let turn: Promise<void> = Promise.resolve();
    using _reload = onSignals(context, ["SIGHUP"], () => {
      turn = turn.then(() => reread(agent, file, log, context));
    });
    using _watchdog = watchdog(environment, tell);
    tell("READY=1");
    await stop.promise;
    tell("STOPPING=1");
    await turn;
    log.info("agent-ends");
  } finally {
    await log.close();
  }
}

/** A file that is wrong changes nothing. */
async function reread(agent: DeviceAgent, file: string, log: RootLog, context: CliContext): Promise<void> {
  try {
    const config = await loadAgentFile(file, context);
    await agent.apply(config);
    log.level = config.log.level;
    log.info("agent-reloaded");
  } catch (error) {
    const reasons = error instanceof ConfigInvalid ? error.problems.map(formatProblem) : [sentenceOf(error)];
    log.error("agent-reload-failed", { reasons });
  }
}

/** Tells systemd, if it is who started us. */
async function teller({ environment }: CliContext): Promise<(state: string) => void> {
  if (environment["NOTIFY_SOCKET"] === undefined) return () => {};
  const { notifyManager } = await import("#app");
  const { silentLog } = await import("#base");
  return (state) => notifyManager(environment, silentLog, state);
}

/** WATCHDOG_USEC of sd_watchdog_enabled(3): a sign of life in half that time, so long as this process does its work. */
function watchdog(environment: CliContext["environment"], tell: (state: string) => void): Disposable {
  const everyMs = Math.floor(Number(environment["WATCHDOG_USEC"] ?? 0) / 2000);
  const timer = everyMs > 0 ? setInterval(() => tell("WATCHDOG=1"), everyMs) : undefined;
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

function statusText({ name, gates }: AgentStatus): string {
  const each = gates.map(({ gate, state, code }) =>
    state === "waiting" ? `${gate} waits for approval of ${code ?? "its code"}` : `${gate} ${state}`,
  );
  return `${name}: ${each.join(", ")}`;
}
