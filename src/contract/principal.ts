import type { DeviceSubject } from "./device.ts";
import type { Restrictions } from "./policy.ts";

declare const brand: unique symbol;

/** Who proved what. Only `gateway/authenticate.ts` makes one, after the proof. */
export interface Principal {
  readonly [brand]: "Principal";
  /** The name that the client logged in with. */
  readonly user: string;
  /** SSH's name of the method: `password`, `publickey`. */
  readonly method: string;
  /** What was shown, for the audit: a key's fingerprint; who judged a password. Never the proof itself. */
  readonly by: string;
  /** What the proof takes from the session, whatever the rule allows. */
  readonly restrictions: readonly Restrictions[];
  /** Present: it is a device, or may become one. */
  readonly device?: DeviceSubject;
}
