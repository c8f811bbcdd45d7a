import type { Clock } from "#base";
import type { RandomBytes, Slow } from "#ssh/algorithms";
import type { Extensions } from "#ssh/messages";
import type { Algorithms, Negotiated, RekeyLimits } from "#ssh/transport";

/** A host key that can sign: the shape of a PrivateKey, or of something far away that holds one. */
export interface HostKeySigner {
  /** Public key or certificate as sent to the client. */
  readonly blob: Uint8Array;
  /** Signature algorithms it is offered under, best first. */
  readonly algorithms: readonly string[];
  /** The whole signature blob over `data`. */
  sign(algorithm: string, data: Uint8Array): Uint8Array | Slow<Uint8Array> | Promise<Uint8Array>;
}

interface CommonOptions {
  /** Our version line: `SSH-2.0-Postern_0.1`. */
  readonly version: string;
  /** As server, `hostKeys` in it is not looked at: it follows from the signers. */
  readonly algorithms: Algorithms;
  readonly extensions: Extensions;
  readonly rekey?: RekeyLimits;
  readonly random: RandomBytes;
  readonly clock: Clock;
  /** Milliseconds for version exchange and first key exchange. */
  readonly handshakeMs: number;
  /** The kernel asks the peer whether it is there (TCP keepalive). Default: it does not. */
  readonly probed?: boolean;
}

export type LinkOptions = CommonOptions &
  (
    | { readonly role: "server"; readonly hostKeys: readonly HostKeySigner[] }
    | {
        readonly role: "client";
        /** As TransportOptions has it. */
        readonly firstIgnore?: Uint8Array;
        /** Throws, or rejects, to refuse the host. The key has proven itself by its signature. */
        readonly checkHostKey: (algorithm: string, blob: Uint8Array) => Promise<void> | void;
      }
  );

/** The first key exchange is done. */
export interface Established {
  readonly sessionId: Uint8Array;
  readonly peerVersion: string;
  readonly hostKey: Uint8Array;
  readonly negotiated: Negotiated;
  /** The cipher that bulk data will have, once there are any (see Transport.bulkCipher). */
  readonly bulkCipher: string;
}

/** Which key signs under each host key algorithm: the first that can. */
export function hostKeyBlobs(signers: readonly HostKeySigner[]): Map<string, Uint8Array> {
  const blobs = new Map<string, Uint8Array>();
  for (const signer of signers) {
    for (const algorithm of signer.algorithms) if (!blobs.has(algorithm)) blobs.set(algorithm, signer.blob);
  }
  return blobs;
}

/** Our algorithms, with the host key algorithms that follow from the keys. */
export function withHostKeys(options: LinkOptions & { role: "server" }): Algorithms {
  return { ...options.algorithms, hostKeys: [...hostKeyBlobs(options.hostKeys).keys()] };
}
