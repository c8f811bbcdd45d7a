import type { Captures, Clock, Log } from "#base";
import type { Certificate, PublicKey } from "#ssh/keys";
import type { InfoRequest } from "#ssh/messages";
import type { PeerAddress } from "./arrival.ts";
import type { FileReader, Kind } from "./kind.ts";
import type { Restrictions } from "./policy.ts";

export interface PasswordProof {
  readonly method: "password";
  readonly password: Uint8Array;
}

/** A public key: a question whether it would do (`proven` false), or one whose signature was found right. */
export interface KeyProof {
  readonly method: "publickey";
  readonly algorithm: string;
  readonly key: PublicKey | Certificate;
  readonly blob: Uint8Array;
  readonly proven: boolean;
  /** Of a security key: its user was present, its user was verified (PIN). */
  readonly touched?: boolean;
  readonly verified?: boolean;
}

export type Proof = PasswordProof | KeyProof;

/**
 * `accepted`: proven (of an unproven key: it would do). `deferred`: only the upstream can tell, and is asked with the client's
 * password. `denied` has its reason for the log, never for the client.
 */
export type Verdict =
  | {
      readonly kind: "accepted";
      readonly by: string;
      /** What the proof takes from the session that it opens. */
      readonly restrictions?: readonly Restrictions[];
    }
  | { readonly kind: "deferred" }
  | { readonly kind: "challenge"; readonly request: InfoRequest }
  | { readonly kind: "denied"; readonly reason: string };

export interface AuthContext {
  readonly user: string;
  readonly captures: Captures;
  readonly from: PeerAddress;
  readonly nowMs: number;
  readonly signal: AbortSignal;
}

/** One way to prove who one is. */
export interface AuthMethod extends AsyncDisposable {
  readonly kind: string;
  /** SSH's name of the method that carries the proof. */
  readonly method: Proof["method"];
  /** The upstream judges: every attempt is `deferred`. */
  readonly defers: boolean;
  attempt(proof: Proof, context: AuthContext): Promise<Verdict>;
}

export interface AuthPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly files: FileReader;
}

export type AuthKind<Config = unknown> = Kind<Config, AuthMethod, AuthPorts>;
