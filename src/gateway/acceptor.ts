import type { Clock, Log, Timer } from "#base";
import type { Arrival } from "#contract";
import type { Admission, Refusal, Ticket } from "./admission.ts";

export interface AcceptorOptions {
  readonly admission: Admission;
  readonly clock: Clock;
  readonly log: Log;
  /** Takes the stream over, and gives the ticket back when it is done with it. */
  start(arrival: Arrival, ticket: Ticket): void;
}

/** Milliseconds that a refused client has to take its line. */
const lastLineMs = 1000;

/** Refused connections that are being told so; more are dropped without a word. */
const maxTold = 100;

/** Refusals for one reason are logged one by one no more often than this: a flood must not fill the log. */
const quietMs = 10_000;

/** Lines that may stand before the version line (RFC 4253, section 4.2). They say no more than that it is full. */
const lines: Readonly<Record<Refusal | "stopping", string>> = {
  startups: "Too many logins are in progress. Try again in a moment.",
  maxConnections: "Too many connections. Try again later.",
  maxConnectionsPerSource: "Too many connections from your address. Try again later.",
  maxStartupsPerSource: "Too many logins in progress from your address. Try again in a moment.",
  stopping: "This gateway is shutting down. Try again in a moment.",
};

/** Where every stream enters: admitted and passed on, or refused with one line. */
export class Acceptor {
  readonly #options: AcceptorOptions;
  readonly #muted = new Map<string, { count: number; readonly timer: Timer }>();
  #told = 0;
  #stopping = false;

  constructor(options: AcceptorOptions) {
    this.#options = options;
  }

  /** From now on, every stream is refused. */
  stop(): void {
    this.#stopping = true;
  }

  accept(arrival: Arrival): void {
    // Until somebody listens, an error would end the process.
    arrival.stream.on("error", () => {});
    if (this.#stopping) {
      this.#refuse(arrival, "stopping");
      return;
    }
    const ticket = this.#options.admission.admit(arrival.from);
    if (typeof ticket === "string") this.#refuse(arrival, ticket);
    else this.#options.start(arrival, ticket);
  }

  #refuse({ stream, from, via }: Arrival, limit: Refusal | "stopping"): void {
    this.#note(limit, from.text, via);
    if (this.#told >= maxTold) {
      stream.destroy();
      return;
    }
    this.#told++;
    const timer = this.#options.clock.after(lastLineMs, () => stream.destroy());
    stream.once("close", () => {
      this.#told--;
      timer[Symbol.dispose]();
    });
    // Reading on lets the client's end be seen; what it says is thrown away.
    stream.resume();
    stream.once("end", () => stream.destroy());
    stream.end(`${lines[limit]}\r\n`);
  }

  #note(limit: string, from: string, via: string): void {
    const muted = this.#muted.get(limit);
    if (muted !== undefined) {
      muted.count++;
      return;
    }
    this.#options.log.info("connection-refused", { limit, from, via });
    const timer = this.#options.clock.after(quietMs, () => {
      const count = this.#muted.get(limit)?.count ?? 0;
      this.#muted.delete(limit);
      if (count > 0) this.#options.log.info("connections-refused", { limit, count, seconds: quietMs / 1000 });
    });
    this.#muted.set(limit, { count: 0, timer });
  }
}
