import type { KeyObject } from "node:crypto";
import type { Slow } from "#ssh/algorithms";

/** A plain public key, FIDO ones (`sk-…`) included. */
export interface PublicKey {
  /** As in the blob: "ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "sk-ssh-ed25519@openssh.com", … */
  readonly type: string;
  /** As on the wire (RFC 4253, section 6.6); a copy, never changed. */
  readonly blob: Uint8Array;
  readonly keyObject: KeyObject;
  /** Of a FIDO key: the application its signatures are bound to, "ssh:" as a rule. */
  readonly application?: string;
  /** Size of the modulus or of the curve. */
  readonly bits: number;
}

/** A key that can sign, wherever its private half is: a PrivateKey's shape, and that of a key in an agent. */
export interface KeySigner {
  readonly publicKey: PublicKey;
  /** Sent to the peer: of the public key, or of a certificate for it. */
  readonly blob: Uint8Array;
  /** What it can sign with, best first, as negotiated. */
  readonly algorithms: readonly string[];
  /** The whole signature blob: `string algorithm, string signature`; the name in it is the plain one. */
  sign(algorithm: string, data: Uint8Array): Uint8Array | Slow<Uint8Array> | Promise<Uint8Array>;
}

/** An OpenSSH certificate (PROTOCOL.certkeys). Its authority's signature is right, but nothing says that the authority is trusted. */
export interface Certificate {
  /** "ssh-ed25519-cert-v01@openssh.com" and the like. */
  readonly type: string;
  /** The whole certificate as on the wire; a copy, never changed. */
  readonly blob: Uint8Array;
  /** The key that is certified. */
  readonly key: PublicKey;
  readonly serial: bigint;
  readonly kind: "user" | "host";
  readonly keyId: string;
  readonly principals: readonly string[];
  /** Seconds since 1970; valid from this second on. */
  readonly validAfter: bigint;
  /** Seconds since 1970; invalid from this second on; 2⁶⁴-1 is for ever. */
  readonly validBefore: bigint;
  /** Name to data, the data still encoded. */
  readonly criticalOptions: ReadonlyMap<string, Uint8Array>;
  readonly extensions: ReadonlyMap<string, Uint8Array>;
  readonly authority: PublicKey;
  /** The algorithm that the authority signed with. */
  readonly signatureAlgorithm: string;
}

/** What a signature proves. */
export interface SignatureVerdict {
  readonly valid: boolean;
  /** Why not, for the log. */
  readonly reason?: string;
  /** FIDO keys: the person touched the authenticator for this signature. */
  readonly touched?: boolean;
  /** FIDO keys: the authenticator knew the person, by PIN or finger. */
  readonly verified?: boolean;
  /** FIDO keys: how many signatures the authenticator has made; not every authenticator counts. */
  readonly counter?: number;
}

/** A line of a file that was passed over, and why. */
export interface LineWarning {
  readonly fileName: string;
  /** Counted from 1. */
  readonly line: number;
  readonly reason: string;
}
