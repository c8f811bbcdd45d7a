import type { ClientConnection, Session } from "#client";
import { once } from "node:events";
import type { Duplex } from "node:stream";
import type { CliContext, TerminalInput } from "./context.ts";
import { EscapeWatch, escapeHelp } from "./escapes.ts";
import { exitCodes } from "./exit-codes.ts";

export interface ConverseOptions {
  /** False: read nothing from stdin. */
  readonly stdin?: boolean;
  /** `~`, or none. */
  readonly escape: string;
}

interface RawInput extends TerminalInput {
  setRawMode?(raw: boolean): unknown;
}

/** Joins the session with stdin, stdout and stderr until it is over; gives the exit code. */
export async function converse(
  connection: ClientConnection,
  session: Session,
  terminal: boolean,
  options: ConverseOptions,
  context: CliContext,
  stop: AbortSignal,
): Promise<number> {
  const { stream } = session;
  using stack = new DisposableStack();
  const output = flow(stream, context.stdout, () => stream.notify("eow@openssh.com"));
  const errors = flow(session.stderr, context.stderr, () => {});
  stop.addEventListener("abort", () => connection.destroy(), { once: true });
  if (terminal) stack.use(rawTerminal(context, session));
  if (options.stdin === false) stream.end();
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
