import type { ClientConnection, ResolvedDestination, SessionOptions } from "#client";
import { PosternError } from "#base";
import { matchPatternList } from "#ssh/keys";
import { Command, Option } from "commander";
import { type ClientOptions, parsePortOption, resolved, withClientOptions } from "./client-options.ts";
import { copyBothWays } from "./connect.ts";
import { type CliContext, complain, type Finish } from "./context.ts";
import { cliErrors, Interrupted } from "./errors.ts";
import { examples } from "./examples.ts";
import { exitCodes } from "./exit-codes.ts";
import { sentenceOf } from "./failure.ts";
import { onStop } from "./forward.ts";
import { type ForwardSpecOptions, forwardsOf, withForwardSpecs } from "./forward-specs.ts";
import { type ConverseOptions, converse } from "./ssh-session.ts";
import { terminalModes } from "./terminal-modes.ts";
import { throughGate, type ViaOptions, withViaOptions } from "./via.ts";

interface SshOptions extends ClientOptions, ViaOptions, ForwardSpecOptions, ConverseOptions {
  readonly port?: number;
  readonly agent?: boolean;
  readonly x11?: boolean;
  readonly x11Trusted?: boolean;
  /** False: run nothing. */
  readonly command?: boolean;
  readonly bind?: string;
  readonly ciphers?: string;
  readonly macs?: string;
  readonly connectTo?: string;
  readonly terminal?: boolean;
  readonly forceTerminal?: boolean;
  readonly noTerminal?: boolean;
  readonly subsystem?: boolean;
}

export function sshCommand(context: CliContext, finish: Finish): Command {
  const command = new Command("ssh")
    .summary("log in and run a command or a shell")
    .description(
      "Logs in with Postern's own SSH engine: a shell, or a command with its input, output and exit status, as ssh does it. With --via it says to a gate which host it wants, in ways that belong to the SSH client itself. Reads ~/.ssh/config as ssh does. Options may stand after the destination too, up to the command.",
    )
    .argument("<destination>", "[user@]host, or a name of ~/.ssh/config")
    .argument("[command...]", "what to run there; without it a shell")
    .passThroughOptions()
    .option("-p, --port <port>", "the port of the server", parsePortOption);
  return withForwardSpecs(withViaOptions(withClientOptions(command)))
    .option("-A, --agent", "let the server use the agent (ForwardAgent)")
    .option("-a, --no-agent", "do not")
    .option("-X, --x11", "let programs there draw on the display, as the X server lets untrusted ones")
    .option("-Y, --x11-trusted", "the same, and let them do all that programs here may")
    .option("-x, --no-x11", "do not")
    .option("-b, --bind <address>", "the local address to connect from")
    .option("-c, --ciphers <list>", "ciphers to offer, as Ciphers of ssh_config has them")
    .option("-m, --macs <list>", "MACs to offer")
    .option("-N, --no-command", "run nothing: only forward, until Ctrl-C")
    .option("-W, --connect-to <host:port>", "join stdin and stdout to a place that the server reaches")
    .option("-t, --terminal", "ask for a terminal even for a command")
    .option("-T, --no-terminal", "ask for no terminal")
    .option("-s, --subsystem", "the command is the name of a subsystem, as sftp")
    .option("-n, --no-stdin", "read nothing from stdin")
    .addOption(
      new Option("-e, --escape <char>", "~ or none: whether ~. at a line's beginning ends it")
        .choices(["~", "none"])
        .default("~"),
    )
    .addHelpText(
      "after",
      examples(
        "postern ssh ada@web1",
        "postern ssh -p 2222 ada@web1 tar cz /srv > srv.tgz",
        "postern ssh web1 -A -L 8008:intranet:80",
        "postern ssh --via version --gate gate.example.com ada@web1.gate.example.com",
      ),
    )
    .action(async (destination: string, words: readonly string[], _options: unknown, self: Command) => {
      try {
        const typed = optionsAfter(self, words);
        finish(await runSsh(destination, typed, self.opts(), context));
      } catch (error) {
        // As ssh: what the remote command says by its status must not be mixed up with what went wrong here.
        if (error instanceof Interrupted) finish(exitCodes.interrupted);
        else if (error instanceof PosternError && error.blame !== "BUG") {
          complain(context, `postern: ${sentenceOf(error)}`);
          finish(exitCodes.remote);
        } else throw error;
      }
    });
}

/** As ssh(1): options may stand after the destination too, until the command begins. Gives the command. */
function optionsAfter(self: Command, words: readonly string[]): readonly string[] {
  // After "--" there are none.
  if (!(words[0] ?? "").startsWith("-") || endedOptions(self)) return words;
  const { operands, unknown } = self.parseOptions([...words]);
  const [first] = unknown;
  if (first !== undefined)
    self.error(`error: unknown option '${first}'`, { code: "commander.unknownOption" });
  return operands;
}

/** Whether "--" stood before the destination. */
function endedOptions(self: Command): boolean {
  const typed: readonly string[] = (self.parent as { rawArgs?: readonly string[] } | null)?.rawArgs ?? [];
  const before = typed.slice(0, typed.length - self.args.length);
  return before.at(-1) === "--";
}

async function runSsh(
  destination: string,
  words: readonly string[],
  options: SshOptions,
  context: CliContext,
): Promise<number> {
  const client = await import("#client");
  const target = await throughGate(
    await resolved(destination, options, context, overridesOf(options)),
    options,
    context,
  );
  const place = options.connectTo === undefined ? undefined : client.parseTarget(options.connectTo);
  const session = sessionOptions(target, words, options, context);
  const stop = new AbortController();
  let stopped = false;
  using _signals = onStop(context, () => {
    stopped = true;
    stop.abort();
  });
  let connection: ClientConnection;
  try {
    connection = await client.connect({ ...target, signal: stop.signal });
  } catch (error) {
    if (stopped) return exitCodes.interrupted;
    throw error;
  }
  await using _open = connection;
  const { settings } = target;
  await using _forwards = await client.forwardOver(connection, {
    forwards: await forwardsOf(options, settings),
    through: `${target.user}@${settings.host}`,
    exitOnForwardFailure: settings.exitOnForwardFailure ?? false,
    unlink: settings.unlinkSockets,
    onEvent: (event) => {
      if (event.event === "forward-failed") complain(context, event.reason);
      else if (event.event === "refused" && options.quiet !== true)
        complain(context, `refused: ${event.reason}`);
      // The server chose the port.
      else if (event.event === "forwarding" && event.side === "remote" && options.quiet !== true)
        complain(context, `Forwarding ${event.listen} there`);
    },
  });
  if (options.command === false) return await untilStopped(connection, stop.signal);
  if (place !== undefined) {
    const stream = await connection.openTcp(place);
    await copyBothWays(stream, context, stop.signal);
    return stop.signal.aborted ? exitCodes.interrupted : exitCodes.ok;
  }
  const running = await connection.session(session);
  return await converse(connection, running, session.terminal !== undefined, options, context, stop.signal);
}

/** Nothing runs there: the forwardings are all. */
async function untilStopped(connection: ClientConnection, stop: AbortSignal): Promise<number> {
  stop.addEventListener("abort", () => connection.destroy(), { once: true });
  const { error } = await connection.ended;
  if (stop.aborted) return exitCodes.interrupted;
  if (error !== undefined) throw error;
  return exitCodes.ok;
}

function sessionOptions(
  { settings }: ResolvedDestination,
  words: readonly string[],
  options: SshOptions,
  { stdin, stdout, environment }: CliContext,
): SessionOptions {
  const typed = words.join(" ");
  const command = typed === "" ? settings.remoteCommand : typed;
  if (options.subsystem === true && command === undefined)
    throw new cliErrors.OPERATOR_COMMAND_FAILED("-s needs the name of a subsystem.");
  const usual = command === undefined && stdin.isTTY === true;
  const { requestTerminal } = settings;
  const configured =
    requestTerminal === "force" ||
    (requestTerminal === "yes" && stdin.isTTY === true) ||
    (requestTerminal === "auto" && usual);
  // Neither -t nor -T: what ssh_config says.
  const wanted = options.terminal ?? configured;
  const { columns = 80, rows = 24 } = stdout;
  const variables = environmentOf(settings.sendEnvironment, settings.setEnvironment, environment);
  return {
    ...(options.subsystem === true && command !== undefined
      ? { subsystem: command }
      : command === undefined
        ? {}
        : { command }),
    ...(wanted
      ? { terminal: { term: environment["TERM"] ?? "vt100", columns, rows, modes: terminalModes() } }
      : {}),
    environment: variables,
    forwardAgent: settings.forwardAgent,
    ...(settings.forwardX11 && environment["DISPLAY"]
      ? {
          forwardX11: {
            display: environment["DISPLAY"],
            trusted: settings.forwardX11Trusted,
            timeoutMs: settings.forwardX11Seconds * 1000,
            ...(settings.xauth === undefined ? {} : { xauth: settings.xauth }),
          },
        }
      : {}),
  };
}

/** What the options say in place of ssh_config. */
function overridesOf(options: SshOptions): { keyword: string; value: string }[] {
  const line = (keyword: string, value: string): { keyword: string; value: string } => ({ keyword, value });
  return [
    ...(options.port === undefined ? [] : [line("Port", String(options.port))]),
    ...(options.agent === undefined ? [] : [line("ForwardAgent", options.agent ? "yes" : "no")]),
    ...(options.x11 === false ? [line("ForwardX11", "no")] : []),
    ...(options.x11 === true || options.x11Trusted === true ? [line("ForwardX11", "yes")] : []),
    ...(options.x11Trusted === true ? [line("ForwardX11Trusted", "yes")] : []),
    ...(options.bind === undefined ? [] : [line("BindAddress", options.bind)]),
    ...(options.ciphers === undefined ? [] : [line("Ciphers", options.ciphers)]),
    ...(options.macs === undefined ? [] : [line("MACs", options.macs)]),
    // As ssh(1): then stdin and stdout are all that matters.
    ...(options.connectTo === undefined ? [] : [line("ClearAllForwardings", "yes")]),
  ];
}

/** SendEnv by pattern, then SetEnv. */
function environmentOf(
  send: readonly string[],
  set: readonly string[],
  environment: CliContext["environment"],
): Record<string, string> {
  const chosen: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) {
    if (value !== undefined && send.some((pattern) => matchPatternList(name, pattern) === "match"))
      chosen[name] = value;
  }
  for (const text of set) {
    const [, name, value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
    if (name !== undefined && value !== undefined) chosen[name] = value;
  }
  return chosen;
}
