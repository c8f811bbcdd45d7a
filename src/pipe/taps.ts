import type { PacketView } from "#ssh/transport";

/**
 * What a tap says of a payload: let it pass; put another in its place (none: it is dropped); or answer it to its sender, so that
 * it goes no further.
 */
export type TapVerdict =
  | { readonly kind: "pass" }
  | { readonly kind: "replace"; readonly payloads: readonly Uint8Array[] }
  | { readonly kind: "reply"; readonly payloads: readonly Uint8Array[] };

export const passing: TapVerdict = { kind: "pass" };

/** Watches or rewrites the payloads of some message numbers in one lane. A payload with a number that no tap asked for is not decoded. */
export interface Tap {
  readonly numbers: readonly number[];
  /** The packet is valid during the call only. */
  see(packet: PacketView): TapVerdict;
}

/** Taps by message number, in order; each sees what those before it let pass unchanged. */
export class TapTable {
  readonly #byNumber: (Tap[] | undefined)[] = Array.from({ length: 256 });

  constructor(taps: readonly Tap[]) {
    for (const tap of taps) {
      for (const number of tap.numbers) (this.#byNumber[number] ??= []).push(tap);
    }
  }

  see(number: number, packet: PacketView): TapVerdict {
    const taps = this.#byNumber[number];
    if (taps === undefined) return passing;
    for (const tap of taps) {
      const verdict = tap.see(packet);
      if (verdict.kind !== "pass") return verdict;
    }
    return passing;
  }
}
