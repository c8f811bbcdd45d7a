import { fstatSync } from "node:fs";
import { isatty } from "node:tty";
import { pino, type Logger as Pino } from "pino";
import type { Clock } from "./clock.ts";
import { systemClock } from "./clock.ts";
import { describeError } from "./log-error.ts";
import { journalForm, loadPrettyForm, type LineForm } from "./log-form.ts";
import { LogSink } from "./log-sink.ts";

/** From the most to the least talkative. */
export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal"] as const;
export type LogLevel = (typeof logLevels)[number];

/** Facts beside the event's name. `error` may be anything thrown; a Secret prints as one. */
export interface LogFields {
  readonly [name: string]: unknown;
  readonly error?: unknown;
}

/** Writes one line. */
export type LogMethod = (event: string, fields?: LogFields) => void;

/** Where a part says what happened: one line each, an event's name in kebab case ("session-opened") and facts beside it. */
export interface Log {
  readonly trace: LogMethod;
  readonly debug: LogMethod;
  readonly info: LogMethod;
  readonly warn: LogMethod;
  readonly error: LogMethod;
  readonly fatal: LogMethod;
  /** Whether lines of this level are written now: ask before gathering facts that cost something. */
  enabled(level: LogLevel): boolean;
  /** A log whose every line carries these facts as well. */
  child(fields: LogFields): Log;
}

/** The program's one log, with its switches. */
export interface RootLog extends Log {
  level: LogLevel;
  /** Opens the file anew, after logrotate has moved it away; when that fails, the old one stays in use. */
  reopen(): void;
  /** Lines that were thrown away because the destination did not take them. */
  readonly linesLost: number;
  /** Writes what is waiting without leaving the event loop: for a process about to die. */
  flush(): void;
  /** Resolves when all lines are written, or cannot be. */
  close(): Promise<void>;
}

export interface LogOptions {
  readonly level: LogLevel;
  /** `auto`: pretty on a terminal; with priorities for the journal when stderr is the journal; JSON otherwise. */
  readonly format: "auto" | "json" | "pretty";
  /** Path of a file; otherwise the log goes to `descriptor`. */
  readonly file?: string | undefined;
  /** Default 2: stderr. */
  readonly descriptor?: number;
  /** The variables JOURNAL_STREAM and NO_COLOR are looked at. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly clock?: Clock;
}

/** Opens the log. Throws what opening the file throws (a system error); from then on, no failure of the log leaves it. */
export async function openLog(options: LogOptions): Promise<RootLog> {
  const clock = options.clock ?? systemClock;
  const environment = options.environment ?? {};
  const sink = new LogSink(options.file ?? options.descriptor ?? 2, clock);
  const form = await formOf(options, environment);
  const timestamp = form.time ? (): string => `,"time":"${new Date(clock.now()).toISOString()}"` : false;
  const state: State = { floor: logLevels.indexOf(options.level) };
  const stream = {
    write: (line: string): void => {
      // The sink's bound and pino's own stringify are the only work; a form that throws must not reach the caller.
      try {
        sink.write(form.line(line));
      } catch {
        sink.linesLost++;
      }
    },
  };
  const writer = pino(
    {
      level: "trace",
      base: null,
      messageKey: "event",
      timestamp,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: describeError },
    },
    stream,
  );
  const root = new OpenLog(writer, state, sink);
  sink.onRecovered = (lines) => root.warn("log-lines-lost", { lines });
  return root;
}

/** A log that says nothing, for tests and for callers who gave none. */
export const silentLog: Log = {
  trace: () => undefined,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  fatal: () => undefined,
  enabled: () => false,
  child: () => silentLog,
};

/** Shared by the root and all its children, so that the level changes for all at once (pino's own children keep theirs). */
interface State {
  floor: number;
}

/** Every session has one of its own, so it is small: pino's own children hold a kilobyte each. */
class WriterLog implements Log {
  readonly #writer: Pino;
  readonly #state: State;
  readonly #facts: LogFields | undefined;

  constructor(writer: Pino, state: State, facts?: LogFields) {
    this.#writer = writer;
    this.#state = state;
    this.#facts = facts;
  }

  trace(event: string, fields?: LogFields): void {
    this.#write("trace", event, fields);
  }

  debug(event: string, fields?: LogFields): void {
    this.#write("debug", event, fields);
  }

  info(event: string, fields?: LogFields): void {
    this.#write("info", event, fields);
  }

  warn(event: string, fields?: LogFields): void {
    this.#write("warn", event, fields);
  }

  error(event: string, fields?: LogFields): void {
    this.#write("error", event, fields);
  }

  fatal(event: string, fields?: LogFields): void {
    this.#write("fatal", event, fields);
  }

  enabled(level: LogLevel): boolean {
    return logLevels.indexOf(level) >= this.#state.floor;
  }

  child(fields: LogFields): Log {
    return new WriterLog(this.#writer, this.#state, { ...this.#facts, ...fields });
  }

  #write(level: LogLevel, event: string, fields: LogFields | undefined): void {
    if (!this.enabled(level)) return;
    if (this.#facts === undefined && fields === undefined) this.#writer[level](event);
    else this.#writer[level]({ ...this.#facts, ...fields }, event);
  }
}

class OpenLog extends WriterLog implements RootLog {
  readonly #levels: State;
  readonly #sink: LogSink;

  constructor(writer: Pino, state: State, sink: LogSink) {
    super(writer, state);
    this.#levels = state;
    this.#sink = sink;
  }

  get level(): LogLevel {
    return logLevels[this.#levels.floor] ?? "info";
  }

  set level(level: LogLevel) {
    this.#levels.floor = logLevels.indexOf(level);
  }

  get linesLost(): number {
    return this.#sink.linesLost;
  }

  reopen(): void {
    this.#sink.reopen();
  }

  flush(): void {
    this.#sink.flush();
  }

  async close(): Promise<void> {
    await this.#sink.close();
  }
}

const jsonForm: LineForm = { time: true, line: (line) => line };

async function formOf(
  options: LogOptions,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<LineForm> {
  const descriptor = options.file === undefined ? (options.descriptor ?? 2) : undefined;
  const terminal = descriptor !== undefined && isatty(descriptor);
  if (options.format === "pretty" || (options.format === "auto" && terminal)) {
    const noColor = environment["NO_COLOR"] ?? "";
    return await loadPrettyForm(terminal && noColor === "");
  }
  const toJournal = descriptor !== undefined && isJournal(descriptor, environment["JOURNAL_STREAM"]);
  return options.format === "auto" && toJournal ? journalForm : jsonForm;
}

/** systemd.exec(5): JOURNAL_STREAM is `device:inode` of the journal's end; children may have been given another stderr. */
function isJournal(descriptor: number, stream: string | undefined): boolean {
  if (stream === undefined) return false;
  try {
    const { dev, ino } = fstatSync(descriptor, { bigint: true });
    return stream === `${dev}:${ino}`;
  } catch {
    return false;
  }
}
