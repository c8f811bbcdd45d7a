import type { Clock } from "#base";

/** How often those who wait are looked at. One timer for all of a process, and none when nobody waits. */
const tickMs = 20;

/** A second's part of bytes that may pass at once after a silence. */
const burstSeconds = 0.25;
const leastBurstBytes = 32 * 1024;

/** So many bytes a second, for all who share it. */
export class ByteBucket {
  readonly #perSecond: number;
  readonly #share: () => number;
  #left: number;
  #atMs: number;
  /** Those who wait for it: while there are any, nobody passes them. */
  waiting = 0;

  /** `share`: the part of it that is this process's, 0 to 1. */
  constructor(perSecond: number, share: () => number, nowMs: number) {
    this.#perSecond = perSecond;
    this.#share = share;
    this.#left = this.#burst;
    this.#atMs = nowMs;
  }

  has(nowMs: number): number {
    const gained = ((nowMs - this.#atMs) / 1000) * this.#perSecond * this.#share();
    this.#left = Math.min(this.#burst, this.#left + gained);
    this.#atMs = nowMs;
    return Math.floor(this.#left);
  }

  take(bytes: number): void {
    this.#left -= bytes;
  }

  get #burst(): number {
    return Math.max(leastBurstBytes, this.#perSecond * this.#share() * burstSeconds);
  }
}

/** Bytes that one gets in a turn, before the next has one. */
const turnBytes = 2 * 1024;

interface Waiter {
  readonly buckets: readonly ByteBucket[];
  readonly wanted: number;
  granted: number;
  readonly go: (bytes: number) => void;
}

/** Lets bytes through as their buckets fill: in turns, so that nobody is starved. */
export class Pacer {
  readonly #clock: Clock;
  #waiters: Waiter[] = [];
  #ticking = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get nowMs(): number {
    return this.#clock.monotonic();
  }

  /** Calls `go` once, at once or later, with how many bytes may pass: at least one, at most `wanted`. */
  ask(buckets: readonly ByteBucket[], wanted: number, go: (bytes: number) => void): Disposable {
    const nowMs = this.nowMs;
    if (buckets.every(({ waiting }) => waiting === 0)) {
      const bytes = Math.min(wanted, ...buckets.map((bucket) => bucket.has(nowMs)));
      // A trickle is not worth a packet of its own.
      if (bytes >= Math.min(wanted, turnBytes)) {
        for (const bucket of buckets) bucket.take(bytes);
        go(bytes);
        return { [Symbol.dispose]: () => {} };
      }
    }
    const waiter: Waiter = { buckets, wanted, granted: 0, go };
    this.#waiters.push(waiter);
    for (const bucket of buckets) bucket.waiting++;
    this.#tickLater();
    return {
      [Symbol.dispose]: () => {
        const at = this.#waiters.indexOf(waiter);
        if (at < 0) return;
        this.#waiters.splice(at, 1);
        for (const bucket of buckets) bucket.waiting--;
      },
    };
  }

  #tick(): void {
    this.#ticking = false;
    const nowMs = this.nowMs;
    for (const { buckets } of this.#waiters) for (const bucket of buckets) bucket.has(nowMs);
    let open = this.#waiters;
    while (open.length > 0) open = open.filter((waiter) => grantTurn(waiter, nowMs));
    // Who got something comes again at the end; who got nothing keeps its place at the front.
    const served = this.#waiters.filter(({ granted }) => granted > 0);
    this.#waiters = this.#waiters.filter(({ granted }) => granted === 0);
    for (const { buckets } of served) for (const bucket of buckets) bucket.waiting--;
    if (this.#waiters.length > 0) this.#tickLater();
    for (const { go, granted } of served) go(granted);
  }

  #tickLater(): void {
    if (this.#ticking) return;
    this.#ticking = true;
    this.#clock.after(tickMs, () => this.#tick());
  }
}

/** True: it may have more. */
function grantTurn(waiter: Waiter, nowMs: number): boolean {
  const { buckets, wanted, granted } = waiter;
  const bytes = Math.min(turnBytes, wanted - granted, ...buckets.map((bucket) => bucket.has(nowMs)));
  if (bytes < Math.min(1024, wanted - granted)) return false;
  for (const bucket of buckets) bucket.take(bytes);
  waiter.granted += bytes;
  return waiter.granted < wanted;
}
