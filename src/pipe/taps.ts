import type { PacketView } from "#ssh/transport";

/**
 * What a tap says of a payload: let it pass; put another in its place (none: it is dropped); or answer it to its sender, so that
 * it goes no further. A global request can be passed or replied to: with one payload, which takes its place in the order of the
 * sender's answers, and is left out if the sender wants none.
 */
export type TapVerdict =
  | { readonly kind: "pass" }
  | { readonly kind: "replace"; readonly payloads: readonly Uint8Array[] }
  | { readonly kind: "reply"; readonly payloads: readonly Uint8Array[] };

export const passing: TapVerdict = { kind: "pass" };

/** Message numbers are one byte. */
const lastNumber = 255;

/** Watches or rewrites the payloads of some message numbers in one lane. A payload with a number that no tap asked for is not decoded. */
export interface Tap {
  readonly numbers: readonly number[];
  /** The packet is valid during the call only. */
  see(packet: PacketView): TapVerdict;
  /** A packet that this tap let pass was answered by a tap after it, and went no further. */
  stopped?(packet: PacketView): void;
}

/**
 * Taps by message number, in order; each sees what those before it let pass unchanged. Each session has two such tables for as long
 * as it lasts: they reach from the lowest number to the highest that is asked for, and nothing in them has room to grow.
 */
export class TapTable {
  readonly #lowest: number;
  readonly #byNumber: readonly (readonly Tap[] | undefined)[];

  constructor(taps: readonly Tap[]) {
    const numbers = taps.flatMap((tap) => tap.numbers);
    const lowest = Math.min(lastNumber, ...numbers);
    const byNumber: (readonly Tap[] | undefined)[] = Array.from({
      length: Math.max(lowest, ...numbers) - lowest + 1,
    });
    for (const tap of taps) {
      for (const number of tap.numbers)
        byNumber[number - lowest] = [...(byNumber[number - lowest] ?? []), tap];
    }
    this.#lowest = lowest;
    this.#byNumber = byNumber;
  }

  see(number: number, packet: PacketView): TapVerdict {
    const taps = number < this.#lowest ? undefined : this.#byNumber[number - this.#lowest];
    if (taps === undefined) return passing;
    // By number: an iterator for every packet would cost more than most taps.
    for (let at = 0; at < taps.length; at++) {
      const verdict = taps[at]?.see(packet) ?? passing;
      if (verdict.kind === "pass") continue;
      if (verdict.kind === "reply") for (const before of taps.slice(0, at)) before.stopped?.(packet);
      return verdict;
    }
    return passing;
  }
}
