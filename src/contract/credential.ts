import type { Captures, Log } from "#base";
import type { PrivateKey } from "#ssh/keys";
import type { FileReader, Kind } from "./kind.ts";

/** One thing to try at the upstream. */
export type LoginWay =
  | {
      readonly method: "password";
      readonly password: Uint8Array;
      /** Whose fault it is when it is refused. */
      readonly whose: "client" | "operator";
    }
  | { readonly method: "publickey"; readonly key: PrivateKey };

export interface CredentialContext {
  /** The name that the client logged in with. */
  readonly user: string;
  readonly captures: Captures;
  readonly clientPassword?: Uint8Array;
}

/** How we log in upstream. */
export interface Credential extends AsyncDisposable {
  readonly kind: string;
  /** It needs the client's password: without one it offers nothing. */
  readonly needsClientPassword: boolean;
  /** What it can offer now, best first; empty if nothing. Throws OPERATOR_ errors. */
  ways(context: CredentialContext): Promise<readonly LoginWay[]>;
}

export interface CredentialPorts {
  readonly log: Log;
  readonly files: FileReader;
}

export type CredentialKind<Config = unknown> = Kind<Config, Credential, CredentialPorts>;
