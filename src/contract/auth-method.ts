import type { Captures, Clock, HostPort, Log } from "#base";
import type { Certificate, PublicKey } from "#ssh/keys";
import type { InfoRequest } from "#ssh/messages";
import type { Arrival, PeerAddress } from "./arrival.ts";
import type { DeviceAuthority, DeviceSubject } from "./device.ts";
import type { FileReader, FileUpdater, Kind } from "./kind.ts";
import type { Restrictions } from "./policy.ts";
import type { Revocation } from "./revocation.ts";
import type { BrowserLogin, SignInDesk } from "./sign-in.ts";
import type { UserDirectory } from "./users.ts";

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

/** A keyboard-interactive exchange: the method asks as many rounds as it needs (RFC 4256). */
export interface InteractiveProof {
  readonly method: "keyboard-interactive";
  /** What the client would rather be asked, as it says: names with commas between, or nothing. For the upstream, if for anybody. */
  readonly submethods?: string;
  /**
   * One round: as many answers as there are prompts. They are wiped when the attempt has been answered. Rejects when the client
   * gave the exchange up or left: let that through.
   */
  ask(request: InfoRequest): Promise<readonly Uint8Array[]>;
}

export type Proof = PasswordProof | KeyProof | InteractiveProof;

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
      /** The client's password, where it was given in an exchange. */
      readonly password?: Uint8Array;
      /** The key is a device's, or may become one's. */
      readonly device?: DeviceSubject;
      /** Told to the client before its login succeeds. */
      readonly notice?: string;
      /** Who it is by the word of somebody else, for the audit. */
      readonly subject?: string;
      /** Where it goes, in place of what the rule says. */
      readonly direction?: LoginDirection;
    }
  | { readonly kind: "deferred"; readonly password?: Uint8Array }
  /** Of an unproven key: that it would do is not looked up before it is proven, and the answer to the question is yes for all. */
  | { readonly kind: "undecided" }
  | { readonly kind: "denied"; readonly reason: string; readonly subject?: string };

/** What a login method may choose of the way on. The gateway holds it to what the rule allows. */
export interface LoginDirection {
  /** Must be among the rule's `targets`. */
  readonly address?: HostPort;
  /** User name at the upstream. */
  readonly user?: string;
  /** Of the rule's credentials, in this order: kinds, or numbers from 1. */
  readonly credentials?: readonly (string | number)[];
}

/** The login that an attempt is a part of. */
export interface LoginSetting {
  /** The gateway's name for the session. */
  readonly session: string;
  readonly rule: string;
  /** The entry point, and the address there. */
  readonly via: string;
  readonly to?: Arrival["to"];
  /** Steps that are done: SSH's name of the method, and what proved it. */
  readonly passed: readonly { readonly method: string; readonly by: string }[];
}

export interface AuthContext {
  readonly user: string;
  readonly captures: Captures;
  readonly from: PeerAddress;
  readonly nowMs: number;
  readonly signal: AbortSignal;
  /** The name cannot log in, and the verdict will be thrown away: the same work and the same questions, but nothing is remembered. */
  readonly pretended: boolean;
  /** Where the rule leads; absent for a name that leads nowhere. */
  readonly upstreamFiles?: UpstreamFiles;
  /** The rule was chosen by the key itself, which its conditions name: that may be proof enough. */
  readonly matchedKey?: boolean;
  /** Absent for a name that leads nowhere. */
  readonly login?: LoginSetting;
}

/** Files of the upstream that a rule leads to, read with the rule's own credentials: a login there for each. */
export interface UpstreamFiles {
  /** The same text for the same files. */
  readonly place: string;
  /** Undefined: there is no such file. Throws UPSTREAM_ errors and those of credentials. */
  read(path: string, maxBytes: number): Promise<Uint8Array | undefined>;
}

/** One way to prove who one is. */
export interface AuthMethod extends AsyncDisposable {
  readonly kind: string;
  /** SSH's names of the methods that can carry the proof. */
  readonly methods: readonly Proof["method"][];
  /** The upstream judges: every attempt is `deferred`. */
  readonly defers: boolean;
  /** The upstream's own questions go to the client: what is `deferred` needs no password. */
  readonly relays?: boolean;
  /** With `relays`: the upstream's banner goes to the client before its first question, and so to people who have proven nothing. */
  readonly tellsBanner?: boolean;
  /** Whoever it accepts has given a password, which credentials may send on. */
  readonly givesPassword: boolean;
  /** Present: it can be done on the web, by a browser alone. */
  readonly browser?: BrowserLogin;
  attempt(proof: Proof, context: AuthContext): Promise<Verdict>;
}

/** One step of a login: any of these will do. */
export type LoginStep = readonly AuthMethod[];

export interface AuthPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly files: FileReader;
  readonly updates: FileUpdater;
  readonly users: UserDirectory;
  /** Where what must be remembered over restarts is kept. */
  readonly stateDir: string;
  /** Absent: the gateway has no devices. */
  readonly devices?: DeviceAuthority;
  /** Of the rule, and of all rules. Absent: no key is revoked. */
  readonly revocation?: Revocation;
  /** Absent: the gateway has no pages for browsers that sign in. */
  readonly signIn?: SignInDesk;
}

export type AuthKind<Config = unknown> = Kind<Config, AuthMethod, AuthPorts>;
