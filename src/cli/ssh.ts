import type { ClientConnection, ResolvedDestination, Session, SessionOptions } from "#client";
import { PosternError } from "#base";
import { matchPatternList } from "#ssh/keys";
import { Command, Option } from "commander";
import { once } from "node:events";
import type { Duplex } from "node:stream";
import { type ClientOptions, parsePortOption, resolved, withClientOptions } from "./client-options.ts";
import { type CliContext, complain, type Finish, type TerminalInput } from "./context.ts";
import { cliErrors, Interrupted } from "./errors.ts";
import { EscapeWatch, escapeHelp } from "./escapes.ts";
import { examples } from "./examples.ts";
import { exitCodes } from "./exit-codes.ts";
import { sentenceOf } from "./failure.ts";
import { onStop } from "./forward.ts";
import { terminalModes } from "./terminal-modes.ts";
import { throughGate, type ViaOptions, withViaOptions } from "./via.ts";

interface SshOptions extends ClientOptions, ViaOptions {
  readonly port?: number;
  readonly terminal?: boolean;
  readonly forceTerminal?: boolean;
  readonly noTerminal?: boolean;
  readonly subsystem?: boolean;
  readonly noStdin?: boolean;
  readonly escape: string;
}

interface RawInput extends TerminalInput {
  setRawMode?(raw: boolean): unknown;
}

export function sshCommand(context: CliContext, finish: Finish): Command {
  const command = new Command("ssh")
    .summary("log in and run a command or a shell")
    .description(
      "Logs in with Postern's own SSH engine: a shell, or a command with its input, output and exit status, as ssh does it. With --via it says to a gate which host it wants, in ways that belong to the SSH client itself. Reads ~/.ssh/config as ssh does. Options stand before the destination.",
    )
    .argument("<destination>", "[user@]host, or a name of ~/.ssh/config")
    .argument("[command...]", "what to run there; without it a shell")
    .passThroughOptions()
    .option("-p, --port <port>", "the port of the server", parsePortOption);
  return withViaOptions(withClientOptions(command))
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
        "postern ssh --via version --gate gate.example.com ada@web1.gate.example.com",
      ),
    )
    .action(async (destination: string, words: readonly string[], _options: unknown, self: Command) => {
      const options: SshOptions = self.opts();
      try {
        finish(await runSsh(destination, words, options, context));
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

async function runSsh(
  destination: string,
  words: readonly string[],
  options: SshOptions,
  context: CliContext,
): Promise<number> {
  const client = await import("#client");
  const port = options.port === undefined ? [] : [{ keyword: "Port", value: String(options.port) }];
  const target = await throughGate(await resolved(destination, options, context, port), options, context);
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
  const running = await connection.session(session);
  return await converse(connection, running, session.terminal !== undefined, options, context, stop.signal);
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
  };
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

/** Joins the session with stdin, stdout and stderr until it is over; gives the exit code. */
async function converse(
  connection: ClientConnection,
  session: Session,
  terminal: boolean,
  options: SshOptions,
  context: CliContext,
  stop: AbortSignal,
): Promise<number> {
  const { stream } = session;
  using stack = new DisposableStack();
  const output = flow(stream, context.stdout, () => stream.notify("eow@openssh.com"));
  const errors = flow(session.stderr, context.stderr, () => {});
  stop.addEventListener("abort", () => connection.destroy(), { once: true });
  if (terminal) stack.use(rawTerminal(context, session));
  if (options.noStdin === true) stream.end();
  else stack.use(feed(context, session, terminal && options.escape !== "none", () => connection.destroy()));
  const exit = await session.exit;
  await Promise.all([output, errors]);
  if (stop.aborted) return exitCodes.remote;
  if (exit !== undefined) return "status" in exit ? exit.status & 0xff : exitCodes.remote;
  const { error } = await Promise.race([connection.ended, Promise.resolve({ error: undefined })]);
  if (error !== undefined) throw error;
  return exitCodes.remote;
}

/** Copies until the end; resolves when the reader has taken all, or is gone. */
async function flow(from: Duplex, to: CliContext["stdout"], gone: () => void): Promise<void> {
  let lost = false;
  to.once("error", () => {
    lost = true;
    gone();
    from.resume();
  });
  from.on("data", (chunk: Uint8Array) => {
    if (lost) return;
    if (!to.write(chunk)) {
      from.pause();
      to.once("drain", () => from.resume());
    }
  });
  if (!from.destroyed) await Promise.race([once(from, "end"), once(from, "close")]);
  if (!lost) await new Promise<void>((resolve) => to.write("", () => resolve()));
}

/** What is typed goes there as it is; the size of the window follows. */
function rawTerminal({ stdin, stdout }: CliContext, session: Session): Disposable {
  const raw: RawInput = stdin;
  if (stdin.isTTY === true) raw.setRawMode?.(true);
  const resize = (): void => session.resize({ columns: stdout.columns ?? 80, rows: stdout.rows ?? 24 });
  stdout.on("resize", resize);
  return {
    [Symbol.dispose]: () => {
      stdout.off("resize", resize);
      if (stdin.isTTY === true) raw.setRawMode?.(false);
    },
  };
}

function feed(
  { stdin, stderr }: CliContext,
  session: Session,
  escapes: boolean,
  end: () => void,
): Disposable {
  const { stream } = session;
  const watch = escapes ? new EscapeWatch() : undefined;
  const write = (bytes: Uint8Array): void => {
    if (!stream.write(bytes)) stdin.pause();
  };
  const data = (chunk: Uint8Array): void => {
    if (watch === undefined) {
      write(chunk);
      return;
    }
    for (const step of watch.take(chunk)) {
      if (step.kind === "data") write(step.bytes);
      else if (step.kind === "help") stderr.write(escapeHelp);
      else end();
    }
  };
  const ended = (): void => void stream.end();
  const drained = (): void => void stdin.resume();
  stream.on("drain", drained);
  stdin.on("data", data);
  stdin.once("end", ended);
  stdin.once("error", ended);
  return {
    [Symbol.dispose]: () => {
      stream.off("drain", drained);
      stdin.off("data", data);
      stdin.off("end", ended);
      stdin.pause();
    },
  };
}
