/** So many in a minute, in a burst or one after the other. */
export class MinuteRate {
  readonly #perMinute: number;
  #left: number;
  #atMs: number;

  constructor(perMinute: number, nowMs: number) {
    this.#perMinute = perMinute;
    this.#left = perMinute;
    this.#atMs = nowMs;
  }

  has(nowMs: number): boolean {
    const gained = ((nowMs - this.#atMs) * this.#perMinute) / 60_000;
    this.#left = Math.min(this.#perMinute, this.#left + gained);
    this.#atMs = nowMs;
    return this.#left >= 1;
  }

  take(): void {
    this.#left -= 1;
  }

  /** Nothing would change if it were made anew. */
  isFull(nowMs: number): boolean {
    this.has(nowMs);
    return this.#left >= this.#perMinute;
  }
}
