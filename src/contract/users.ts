import type { Secret } from "#base";

/** How the codes of one person are made (RFC 6238). */
export interface TotpSecret {
  readonly secret: Secret;
  readonly digits: 6 | 8;
  readonly algorithm: "sha1" | "sha256" | "sha512";
}

/** A person whom the operator has listed. */
export interface User {
  readonly name: string;
  /** Hashes, any of which will do. */
  readonly passwords: readonly string[];
  /** Lines of authorized_keys. */
  readonly keys: readonly string[];
  readonly totp?: TotpSecret;
  readonly groups: readonly string[];
}

/** All who are listed, read again whenever one is asked for. */
export interface UserDirectory {
  /** The user, and another one, always the same for the same name, whose proofs cost the same to judge: for names that are not listed. */
  find(name: string): Promise<{ readonly user: User | undefined; readonly standIn: User | undefined }>;
}
