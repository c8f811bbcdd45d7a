/** How one line of JSON is shown at its destination. */
export interface LineForm {
  /** Whether the line carries its own time. */
  readonly time: boolean;
  line(json: string): string;
}

/** Priorities of syslog(3), which journald reads from the beginning of a line (sd-daemon(3)). */
const priorities: Readonly<Record<string, number>> = {
  trace: 7,
  debug: 7,
  info: 6,
  warn: 4,
  error: 3,
  fatal: 2,
};

/** For journald: its priority in front, no time, since the journal has its own. */
export const journalForm: LineForm = {
  time: false,
  line: (json) => `<${priorities[/^\{"level":"([a-z]+)"/.exec(json)?.[1] ?? ""] ?? 6}>${json}`,
};

/** For people. Loaded only when needed: it costs as much to load as the rest of the log. */
export async function loadPrettyForm(colour: boolean): Promise<LineForm> {
  const { prettyFactory } = await import("pino-pretty");
  const pretty = prettyFactory({
    colorize: colour,
    messageKey: "event",
    translateTime: "SYS:HH:MM:ss.l",
    ignore: "pid,hostname",
    singleLine: true,
    errorLikeObjectKeys: [],
  });
  return {
    time: true,
    // JSON escapes the control characters below 0x20, but not these, which some terminals obey as well.
    // oxlint-disable-next-line no-control-regex
    line: (json) => pretty(json).replace(/[\x7f-\x9f]/g, "\ufffd"),
  };
}
