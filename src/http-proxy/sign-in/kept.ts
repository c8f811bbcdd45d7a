import { randomBytes } from "node:crypto";
import { type Clock, networkOf } from "#base";
import type { PeerAddress } from "#contract";

/** Who asks, as they are counted: one person commands a whole IPv6 network. */
export function networkIn({ ip }: PeerAddress): string {
  return ip === undefined ? "" : networkOf(ip, 32, 64);
}

export interface KeptOptions {
  readonly clock: Clock;
  readonly lifeMs: number;
  readonly max: number;
  /** What the names begin with that are made here. */
  readonly mark?: string;
  /** Of one network; the oldest of its own makes room for another. */
  readonly maxPerNetwork: number;
}

interface Held<T> {
  readonly value: T;
  readonly network: string;
  readonly untilMs: number;
}

/** What browsers are to come back to: each by a name that cannot be guessed, for a while. A flood of one network drives out its own. */
export class Kept<T> {
  readonly #options: KeptOptions;
  /** In the order of their ends. */
  readonly #held = new Map<string, Held<T>>();
  readonly #networks = new Map<string, Set<string>>();

  constructor(options: KeptOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#held.size;
  }

  /** The name that it can be had by. `given`: one that cannot be guessed either. */
  put(value: T, from: PeerAddress, given?: string): string {
    const { clock, lifeMs, max, maxPerNetwork, mark = "" } = this.#options;
    const name = given ?? `${mark}${randomBytes(32).toString("base64url")}`;
    const nowMs = clock.monotonic();
    for (const [each, { untilMs }] of this.#held) {
      if (untilMs > nowMs) break;
      this.#drop(each);
    }
    const network = networkIn(from);
    const own = this.#networks.get(network) ?? new Set();
    if (own.size >= maxPerNetwork) this.#drop(first(own));
    if (this.#held.size >= max) this.#drop(first(this.#largest()));
    own.add(name);
    this.#networks.set(network, own);
    this.#held.set(name, { value, network, untilMs: nowMs + lifeMs });
    return name;
  }

  find(name: string): T | undefined {
    const held = this.#held.get(name);
    return held !== undefined && this.#options.clock.monotonic() < held.untilMs ? held.value : undefined;
  }

  /** Once. */
  take(name: string): T | undefined {
    const value = this.find(name);
    this.#drop(name);
    return value;
  }

  /** Those of the network that has the most: whoever fills the table, makes room in it. */
  #largest(): Iterable<string> {
    let largest = new Set<string>();
    for (const own of this.#networks.values()) if (own.size > largest.size) largest = own;
    return largest;
  }

  #drop(name: string | undefined): void {
    const held = name === undefined ? undefined : this.#held.get(name);
    if (held === undefined || name === undefined) return;
    this.#held.delete(name);
    const own = this.#networks.get(held.network);
    own?.delete(name);
    if (own?.size === 0) this.#networks.delete(held.network);
  }
}

function first<T>(all: Iterable<T>): T | undefined {
  for (const each of all) return each;
  return undefined;
}
