import type { PublicValueForm } from "#ssh/messages";

/** `count` random bytes. Handed in, so that a handshake can be replayed. */
export type RandomBytes = (count: number) => Uint8Array;

export type HashName = "sha256" | "sha384" | "sha512";

/** A result that takes too long for the event loop: run it elsewhere and hand the value back to the engine. */
export class Slow<T> {
  readonly run: () => Promise<T>;
  constructor(run: () => Promise<T>) {
    this.run = run;
  }
}

/** What both sides know after the exchange. */
export interface Agreement {
  /** The shared secret as it goes into the hashes: already an mpint or a string, its length included. */
  readonly secret: Uint8Array;
  /** Our public value: as sent, and as hashed. */
  readonly publicValue: Uint8Array;
}

/** The client's side: it speaks first. */
export interface KexClient {
  /** Sent in KEX_ECDH_INIT or its like. */
  readonly publicValue: Uint8Array;
  /** Throws PEER_KEX_VALUE for a value of wrong length, outside the group, or that gives an all-zero secret. */
  agree(serverValue: Uint8Array): Agreement | Slow<Agreement>;
}

/** A row of the key exchange table (`kex.ts`). */
export interface KexMethod {
  readonly name: string;
  readonly hash: HashName;
  /** How both public values are written, on the wire and in the exchange hash. */
  readonly publicForm: PublicValueForm;
  client(random: RandomBytes): KexClient;
  /** The server's side, which answers: its Agreement carries the server's public value. Throws PEER_KEX_VALUE. */
  answer(clientValue: Uint8Array, random: RandomBytes): Agreement | Slow<Agreement>;
}

/** Group exchange (RFC 4419): the method is known once a group is. */
export interface GroupExchange {
  readonly name: string;
  readonly hash: HashName;
  readonly minBits: number;
  readonly preferredBits: number;
  readonly maxBits: number;
  /** Client: a method over the server's group. Throws PEER_KEX_VALUE when the prime is outside min…max bits or the group is no good. */
  methodFor(prime: Uint8Array, generator: Uint8Array): KexMethod;
  /** Server: one of our own safe primes within the request, the nearest to `preferred`; undefined if none fits. */
  choose(
    min: number,
    preferred: number,
    max: number,
  ): { readonly prime: Uint8Array; readonly generator: Uint8Array } | undefined;
}
