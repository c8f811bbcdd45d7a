import { performance } from "node:perf_hooks";

/** A running timer; disposing stops it. Stopping twice is harmless. */
export interface Timer extends Disposable {
  /** Starts over with the same time. */
  refresh(): void;
}

/** Time, handed in: no room but the one that composes the program asks the system. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Milliseconds of a clock that never goes back. */
  monotonic(): number;
  /** Calls `then` once after `ms` milliseconds. Does not keep the program alive. */
  after(ms: number, then: () => void): Timer;
}

/** A class: every connection has some of them, and closures would be twice its size. */
class SystemTimer implements Timer {
  readonly #timeout: NodeJS.Timeout;

  constructor(ms: number, then: () => void) {
    // What setTimeout cannot hold it would fire at once; 24 days are as good as never here.
    this.#timeout = setTimeout(then, Math.min(ms, 2 ** 31 - 1));
    this.#timeout.unref();
  }

  refresh(): void {
    this.#timeout.refresh();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timeout);
  }
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, then) {
    return new SystemTimer(ms, then);
  },
};
