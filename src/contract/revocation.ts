import type { Certificate, PublicKey } from "#ssh/keys";

/** Which keys are out, whatever else lets them in. */
export interface Revocation {
  /** Why this key or certificate may not be used, for the log; undefined if it may. Where that cannot be told, that is the reason. */
  reasonAgainst(key: PublicKey | Certificate): Promise<string | undefined>;
}
