import { Command, InvalidArgumentError, Option } from "commander";
import { closeSync, writeSync } from "node:fs";
import { type ClientOptions, resolved, withClientOptions } from "./client-options.ts";
import { complain, type CliContext, type Finish } from "./context.ts";
import { cliErrors } from "./errors.ts";
import { examples } from "./examples.ts";
import { exitCodes } from "./exit-codes.ts";
import { type ForwardSpecOptions, forwardsOf, withForwardSpecs } from "./forward-specs.ts";
import { openReport, type ReportKind } from "./forward-report.ts";

interface ForwardCommandOptions extends ClientOptions, ForwardSpecOptions {
  readonly json?: boolean;
  readonly status?: boolean;
  readonly reconnect: boolean;
  readonly keepTrying?: boolean;
  readonly exitOnForwardFailure?: boolean;
  readonly readyFd?: number;
}

/** ServerAliveInterval, where ssh_config has none: without it a tunnel would learn of a dead network after hours. */
const aliveSeconds = 15;

export function forwardCommand(context: CliContext, finish: Finish): Command {
  const command = new Command("forward")
    .summary("forward ports and sockets over SSH")
    .description(
      "Forwards ports and UNIX sockets over one SSH connection, and makes it anew when it is lost; local ports stay open meanwhile. Any number of -L, -R and -D, in ssh's own syntax. Reads ~/.ssh/config as ssh does. Ctrl-C ends it.",
    )
    .argument("<destination>", "[user@]host[:port], or a name of ~/.ssh/config");
  return withClientOptions(withForwardSpecs(command))
    .addOption(new Option("--json", "one line of JSON for each event").conflicts("status"))
    .option("--status", "on a terminal: a table of what is open, painted again and again")
    .option("--no-reconnect", "end when the connection is lost")
    .option("--keep-trying", "try again even when the first connection or a login fails")
    .option("--exit-on-forward-failure", "end when one of the forwardings cannot be had")
    .option(
      "--ready-fd <number>",
      "write a line to this file descriptor when the forwardings hold",
      parseDescriptor,
    )
    .addHelpText(
      "after",
      examples(
        "postern forward -L 8008:web:80 justin@sshserver",
        "postern forward -D 1080 -R 9000:localhost:3000 -J jump@gate ada@web1:2222",
        "postern forward -L /run/user/1000/db.sock:/run/postgresql/.s.PGSQL.5432 --json db1",
      ),
    )
    .action(async (destination: string, options: ForwardCommandOptions) => {
      await runForward(destination, options, context, finish);
    });
}

async function runForward(
  destination: string,
  options: ForwardCommandOptions,
  context: CliContext,
  finish: Finish,
): Promise<void> {
  const client = await import("#client");
  const target = await resolved(destination, options, context);
  const { settings } = target;
  const forwards = await forwardsOf(options, settings);
  if (forwards.length === 0) {
    complain(context, "postern: there is nothing to forward: give -L, -R or -D.");
    finish(exitCodes.usage);
    return;
  }
  const table = options.status === true && context.stdout.isTTY === true;
  const kind: ReportKind =
    options.json === true ? "json" : table ? "table" : options.quiet === true ? "quiet" : "lines";
  using report = openReport(kind, context);
  const stop = new AbortController();
  using _signals = onStop(context, () => stop.abort());
  const { keepalive } = target;
  const connect = {
    ...target,
    host: target.host,
    signal: stop.signal,
    keepalive:
      keepalive === undefined || keepalive.intervalMs === 0
        ? { intervalMs: aliveSeconds * 1000, maxMissed: 3 }
        : keepalive,
  };
  let forwarding: Awaited<ReturnType<typeof client.forward>>;
  try {
    forwarding = await client.forward({
      connect,
      forwards,
      ...(options.reconnect ? {} : { reconnect: false }),
      keepTrying: options.keepTrying ?? false,
      exitOnForwardFailure: options.exitOnForwardFailure ?? settings.exitOnForwardFailure ?? false,
      unlink: settings.unlinkSockets,
      onEvent: (event) => {
        report.tell(event);
        if (event.event === "retry" && kind === "lines") complain(context, event.reason);
      },
    });
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    finish(exitCodes.ok);
    return;
  }
  report.watch(forwarding);
  await tellReady(options.readyFd, context, forwards.length);
  const error = await forwarding.ended;
  if (error !== undefined) throw error;
}

/** Ctrl-C and its like; a second one ends a process that does not end. */
export function onStop(context: CliContext, stop: () => void): Disposable {
  const stack = new DisposableStack();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    const handle = context.onSignal?.(signal, stop);
    if (handle !== undefined) stack.use(handle);
  }
  return stack;
}

async function tellReady(fd: number | undefined, context: CliContext, count: number): Promise<void> {
  if (fd !== undefined) {
    try {
      writeSync(fd, "ready\n");
      if (fd > 2) closeSync(fd);
    } catch (cause) {
      throw new cliErrors.OPERATOR_COMMAND_FAILED(`--ready-fd ${fd}: nothing can be written there.`, {
        cause,
      });
    }
  }
  if (context.environment["NOTIFY_SOCKET"] === undefined) return;
  const { notifyManager } = await import("#app");
  const { silentLog } = await import("#base");
  notifyManager(context.environment, silentLog, "READY=1", `STATUS=${count} forwardings hold`);
}

function parseDescriptor(text: string): number {
  if (/^\d{1,4}$/.test(text) && Number(text) > 0) return Number(text);
  throw new InvalidArgumentError("It is no file descriptor.");
}
