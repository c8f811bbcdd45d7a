import type { Agreement, RandomBytes, Slow } from "#ssh/algorithms";
import type { Extensions } from "#ssh/messages";
import type { Algorithms, Negotiated, Role } from "./negotiate.ts";
import type { PacketView } from "./packet-conn.ts";
import type { RekeyLimits } from "./rekey.ts";

export interface TransportOptions {
  readonly role: Role;
  /** Our version line without line end, at most 253 bytes: `SSH-2.0-Postern_0.1`. */
  readonly version: string;
  readonly algorithms: Algorithms;
  /** Server: the blob of the host key that signs under each host key algorithm offered. */
  readonly hostKeys?: ReadonlyMap<string, Uint8Array>;
  /** Sent in EXT_INFO after the first key exchange if the peer understands it (RFC 8308). */
  readonly extensions: Extensions;
  /**
   * Client: data of an SSH_MSG_IGNORE that goes before the first KEXINIT, for whoever reads the beginning of the stream. Strict key
   * exchange cannot be had with it, so no cipher may be offered that needs it.
   */
  readonly firstIgnore?: Uint8Array;
  readonly rekey?: RekeyLimits;
  readonly random: RandomBytes;
  /** Milliseconds of a clock that never goes back, at the start. */
  readonly now: number;
}

/** What the engine tells its owner, in order. */
export type TransportEvent =
  /** The version line of the peer came. */
  | { readonly kind: "version"; readonly line: string }
  /** Server: sign `data` with the host key `hostKey` under `algorithm`, then call `signed`. */
  | {
      readonly kind: "need-signature";
      readonly hostKey: Uint8Array;
      readonly algorithm: string;
      readonly data: Uint8Array;
    }
  /** Run the task, then call `agreed`. */
  | { readonly kind: "need-secret"; readonly task: Slow<Agreement> }
  /** Client: is this the host we want? Its signature has been verified. Call `hostKeyAccepted`, or end the connection. */
  | {
      readonly kind: "need-host-key";
      readonly hostKey: Uint8Array;
      readonly algorithm: string;
      /** The whole signature blob over the exchange hash. */
      readonly signature: Uint8Array;
    }
  /** Keys have changed both ways. */
  | { readonly kind: "kex-done"; readonly first: boolean; readonly negotiated: Negotiated }
  | { readonly kind: "extensions"; readonly extensions: Extensions }
  /** A payload for the layers above; valid until the next call. */
  | { readonly kind: "packet"; readonly packet: PacketView }
  | { readonly kind: "disconnected"; readonly reason: number; readonly description: string };
