import type { ForwardEvent, Forwarding } from "#client";
import { formatBytes } from "#base";
import type { CliContext } from "./context.ts";

/** Tells what happens to forwardings: to people by lines, to scripts by JSON, or as a table that is painted again and again. */
export interface ForwardReport extends Disposable {
  tell(event: ForwardEvent): void;
  watch(forwarding: Forwarding): void;
}

export type ReportKind = "lines" | "json" | "table" | "quiet";

/** Lines below the table. */
const lastLines = 8;
const paintMs = 1_000;

export function openReport(kind: ReportKind, context: CliContext): ForwardReport {
  const nothing = { watch: () => {}, [Symbol.dispose]: () => {} };
  switch (kind) {
    case "json":
      return {
        ...nothing,
        tell: (event) =>
          void context.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), ...event })}\n`),
      };
    case "lines":
      return { ...nothing, tell: (event) => write(context, lineOf(event)) };
    case "quiet":
      return {
        ...nothing,
        tell: (event) => {
          if (event.event === "forward-failed") context.stderr.write(`${event.reason}\n`);
        },
      };
    case "table":
      return new Table(context);
  }
}

function write({ stdout }: CliContext, line: string | undefined): void {
  if (line !== undefined) stdout.write(`${line}\n`);
}

/** One event for people; some are said by others already. */
export function lineOf(event: ForwardEvent): string | undefined {
  switch (event.event) {
    case "forwarding": {
      const to = event.to ?? "wherever SOCKS says";
      return event.side === "local"
        ? `Forwarding ${event.listen} to ${to} through ${event.through}`
        : `Forwarding ${event.listen} there to ${to} here, through ${event.through}`;
    }
    case "forward-failed":
      return event.reason;
    case "connecting":
    case "connected":
    case "ready":
      return undefined;
    case "opened":
      return `[${event.id}] opened from ${event.from} to ${event.to}`;
    case "refused":
      return `[${event.id}] refused from ${event.from}${event.to === undefined ? "" : ` to ${event.to}`}: ${event.reason}`;
    case "closed":
      return `[${event.id}] closed from ${event.from} to ${event.to}: ${formatBytes(event.bytesOut)} out, ${formatBytes(event.bytesIn)} in, ${(event.ms / 1000).toFixed(1)} s`;
    case "lost":
      return event.reason;
    case "retry":
      return `Trying again in ${Math.max(1, Math.round(event.inMs / 1000))} s.`;
  }
}

class Table implements ForwardReport {
  readonly #context: CliContext;
  readonly #forwardings = new Map<string, string>();
  readonly #lines: string[] = [];
  #forwarding: Forwarding | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(context: CliContext) {
    this.#context = context;
  }

  tell(event: ForwardEvent): void {
    const line = lineOf(event);
    if (line === undefined) return;
    if (event.event === "forwarding") this.#forwardings.set(`${event.side} ${event.listen}`, line);
    else {
      this.#lines.push(`${new Date().toLocaleTimeString()} ${line}`);
      this.#lines.splice(0, this.#lines.length - lastLines);
    }
    if (this.#forwarding === undefined) write(this.#context, line);
  }

  watch(forwarding: Forwarding): void {
    this.#forwarding = forwarding;
    // The screen of before comes back at the end.
    this.#context.stdout.write("\x1b[?1049h");
    this.#paint();
    this.#timer = setInterval(() => this.#paint(), paintMs);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    if (this.#timer !== undefined) this.#context.stdout.write("\x1b[?1049l");
  }

  #paint(): void {
    if (this.#forwarding === undefined) return;
    const { columns = 80, rows = 24 } = this.#context.stdout;
    const { connected, connections, opened, refused, bytesOut, bytesIn } = this.#forwarding.status;
    const now = Date.now();
    const head = [
      ...this.#forwardings.values(),
      `${connected ? "connected" : "not connected"}; ${connections.length} open, ${opened} in all, ${refused} refused; ${formatBytes(bytesOut)} out, ${formatBytes(bytesIn)} in`,
      "",
    ];
    const room = Math.max(0, rows - head.length - this.#lines.length - 2);
    const table = connections
      .slice(-room)
      .map(
        ({ id, from, to, sinceMs }) => `[${id}] ${from} -> ${to}  ${Math.round((now - sinceMs) / 1000)} s`,
      );
    const lines = [...head, ...table, "", ...this.#lines].slice(0, rows - 1);
    const text = lines.map((line) => `${line.slice(0, columns)}\x1b[K\r\n`).join("");
    this.#context.stdout.write(`\x1b[H${text}\x1b[J`);
  }
}
