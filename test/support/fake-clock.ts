import type { Clock, Timer } from "#base";

interface Entry {
  dueMs: number;
  readonly delayMs: number;
  readonly run: () => void;
}

/** A clock that stands still until it is told to move. */
export class FakeClock implements Clock {
  #wallMs: number;
  #elapsedMs = 0;
  #entries: Entry[] = [];

  /** Begins at this wall time (milliseconds since 1970). */
  constructor(startMs: number = Date.UTC(2026, 0, 1)) {
    this.#wallMs = startMs;
  }

  now(): number {
    return this.#wallMs;
  }

  monotonic(): number {
    return this.#elapsedMs;
  }

  after(ms: number, then: () => void): Timer {
    const entry: Entry = { dueMs: this.#elapsedMs + Math.max(ms, 0), delayMs: Math.max(ms, 0), run: then };
    this.#entries.push(entry);
    return {
      refresh: () => {
        this.#remove(entry);
        entry.dueMs = this.#elapsedMs + entry.delayMs;
        this.#entries.push(entry);
      },
      [Symbol.dispose]: () => this.#remove(entry),
    };
  }

  /** How many timers are still to come. */
  get pending(): number {
    return this.#entries.length;
  }

  /** Moves time on and calls, in order, what falls due on the way; what those calls set up counts too. */
  advance(byMs: number): void {
    const endMs = this.#elapsedMs + byMs;
    for (let next = this.#earliest(endMs); next !== undefined; next = this.#earliest(endMs)) {
      this.#moveTo(next.dueMs);
      this.#remove(next);
      next.run();
    }
    this.#moveTo(endMs);
  }

  /** Moves the wall time alone, as an administrator or NTP would. */
  jump(toMs: number): void {
    this.#wallMs = toMs;
  }

  #earliest(endMs: number): Entry | undefined {
    let found: Entry | undefined;
    for (const entry of this.#entries) {
      if (entry.dueMs <= endMs && (found === undefined || entry.dueMs < found.dueMs)) found = entry;
    }
    return found;
  }

  #moveTo(elapsedMs: number): void {
    this.#wallMs += elapsedMs - this.#elapsedMs;
    this.#elapsedMs = elapsedMs;
  }

  #remove(entry: Entry): void {
    const at = this.#entries.indexOf(entry);
    if (at >= 0) this.#entries.splice(at, 1);
  }
}

export function fakeClock(startMs?: number): FakeClock {
  return new FakeClock(startMs);
}
