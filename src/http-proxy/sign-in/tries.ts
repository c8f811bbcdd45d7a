import type { Clock } from "#base";
import type { PeerAddress } from "#contract";
import { networkIn } from "./kept.ts";

/** Codes that nobody was shown, of one network in this time; then no code of its is looked at any more. */
export const maxWrongCodes = 30;
const windowMs = 600_000;

/** Networks that are counted; the oldest is forgotten first. */
export const maxCountedNetworks = 10_000;

/** Wrong codes, by the network that they come from. */
export class WrongCodes {
  readonly #clock: Clock;
  readonly #counts = new Map<string, { count: number; readonly untilMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether a network has tried too much. */
  tooMany(from: PeerAddress): boolean {
    return (this.#of(from)?.count ?? 0) >= maxWrongCodes;
  }

  /** Gives what takes it back, for one that turns out to be right. */
  count(from: PeerAddress): () => void {
    const network = networkIn(from);
    const counted = this.#of(from) ?? { count: 0, untilMs: this.#clock.monotonic() + windowMs };
    counted.count++;
    this.#counts.delete(network);
    this.#counts.set(network, counted);
    const [oldest] = this.#counts.keys();
    if (this.#counts.size > maxCountedNetworks && oldest !== undefined) this.#counts.delete(oldest);
    return () => void counted.count--;
  }

  #of(from: PeerAddress): { count: number; readonly untilMs: number } | undefined {
    const counted = this.#counts.get(networkIn(from));
    return counted !== undefined && this.#clock.monotonic() < counted.untilMs ? counted : undefined;
  }
}
