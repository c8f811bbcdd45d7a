import type { Clock, Timer } from "./clock.ts";

/** So many moments has an interval: the first call is a fiftieth of it early at most. */
const moments = 50;

/**
 * Many who are each to be called once in the same interval. They share one timer and are called some at a time: a timer of its own for each
 * of thousands would wake the process for each.
 */
export class Rounds {
  readonly #clock: Clock;
  readonly #stepMs: number;
  readonly #places: readonly Set<() => void>[] = Array.from({ length: moments }, () => new Set());
  #at = 0;
  #count = 0;
  #timer: Timer | undefined;

  private constructor(clock: Clock, intervalMs: number) {
    this.#clock = clock;
    this.#stepMs = intervalMs / moments;
  }

  /** The one of that clock and interval. */
  static of(clock: Clock, intervalMs: number): Rounds {
    let all = known.get(clock);
    if (all === undefined) {
      all = new Map();
      known.set(clock, all);
    }
    let rounds = all.get(intervalMs);
    if (rounds === undefined) {
      rounds = new Rounds(clock, intervalMs);
      all.set(intervalMs, rounds);
    }
    return rounds;
  }

  /** How many are called. */
  get size(): number {
    return this.#count;
  }

  /** Calls `look` once in each interval, until what is returned is disposed. */
  join(look: () => void): Disposable {
    // The moment that has just gone by is the one that comes last. Nobody changes places: of thousands that would be work without end.
    const place = this.#places[this.#at];
    place?.add(look);
    this.#count++;
    this.#timer ??= this.#clock.after(this.#stepMs, () => this.#step());
    let joined = true;
    return {
      [Symbol.dispose]: () => {
        if (!joined) return;
        joined = false;
        place?.delete(look);
        if (--this.#count > 0) return;
        this.#timer?.[Symbol.dispose]();
        this.#timer = undefined;
      },
    };
  }

  #step(): void {
    this.#timer?.refresh();
    this.#at = (this.#at + 1) % moments;
    const due = this.#places[this.#at];
    if (due === undefined || due.size === 0) return;
    // Who joins meanwhile has a whole interval before it, and who leaves is not called.
    for (const look of Array.from(due)) if (due.has(look)) look();
  }
}

const known = new WeakMap<Clock, Map<number, Rounds>>();
