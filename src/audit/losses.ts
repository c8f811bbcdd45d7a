import type { Log } from "#base";

/** Tells the log of events that the audit lost: at the first, and then whenever their number has doubled. */
export class Losses {
  readonly #log: Log;
  readonly #where: string;
  #tellFrom = 1;

  constructor(log: Log, where: string) {
    this.#log = log;
    this.#where = where;
  }

  /** All that were lost until now. */
  note(events: number): void {
    if (events < this.#tellFrom) return;
    this.#tellFrom = events * 2;
    this.#log.error("audit-events-lost", { events, audit: this.#where });
  }
}
