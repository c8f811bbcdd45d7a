import type { Clock } from "#base";

const minuteMs = 60_000;

/** How often each token may ask, of all processes together. */
export interface ApiTurns {
  /** Takes one of those that it has; or seconds until it has one again. */
  take(token: string, requestsPerMinute: number): Promise<number>;
}

/** Counted in this process, over reloads too. */
export class CountedTurns implements ApiTurns {
  readonly #clock: Clock;
  /** What each may still ask, and when that was counted. */
  readonly #left = new Map<string, { readonly requests: number; readonly atMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  take(token: string, requestsPerMinute: number): Promise<number> {
    const nowMs = this.#clock.monotonic();
    const before = this.#left.get(token) ?? { requests: requestsPerMinute, atMs: nowMs };
    const grown = ((nowMs - before.atMs) * requestsPerMinute) / minuteMs;
    const requests = Math.min(requestsPerMinute, before.requests + grown);
    this.#left.set(token, { requests: requests < 1 ? requests : requests - 1, atMs: nowMs });
    const seconds = requests < 1 ? Math.ceil(((1 - requests) * minuteMs) / requestsPerMinute / 1000) : 0;
    return Promise.resolve(seconds);
  }
}
