import type { Captures, Clock, Log } from "#base";
import type { KeySigner } from "#ssh/keys";
import type { InfoRequest } from "#ssh/messages";
import type { FileReader, Kind } from "./kind.ts";

/** One thing to try at the upstream. */
export type LoginWay =
  | { readonly method: "none" }
  | {
      readonly method: "password";
      readonly password: Uint8Array;
      /** Whose fault it is when it is refused. */
      readonly whose: "client" | "operator";
      /** The client answers whatever else the upstream asks, too. */
      readonly relayed?: boolean;
    }
  | {
      /** The client answers. */
      readonly method: "keyboard-interactive";
      readonly exchange: ClientExchange;
    }
  | {
      readonly method: "publickey";
      /** The key, or how to come by it when its turn has come; rejects with OPERATOR_ or DENIED_ errors. */
      readonly key: KeySigner | (() => Promise<KeySigner>);
    }
  | {
      readonly method: "publickey";
      /** Keys of the client's, to be tried in order, when their turn has come; rejects as above. */
      readonly keys: (binding: UpstreamBinding) => Promise<readonly KeySigner[]>;
    };

/** The client's end of a keyboard-interactive exchange (RFC 4256). */
export interface ClientExchange {
  /** What the client would rather be asked. */
  readonly submethods?: string;
  /** One round: as many answers as there are prompts. Rejects when the client gave the exchange up or left: let that through. */
  ask(request: InfoRequest): Promise<readonly Uint8Array[]>;
}

/** Which connection to an upstream is signed for. */
export interface UpstreamBinding {
  /** The upstream's host key, as a blob. */
  readonly hostKey: Uint8Array;
  readonly sessionId: Uint8Array;
  /** The whole signature blob of the host key over the session identifier. */
  readonly hostKeySignature: Uint8Array;
}

/** The agent that a client forwards. */
export interface ClientAgent {
  /** All keys that it offers for this connection, likely ones first. `timeoutMs`: for each answer. Rejects with DENIED_ errors. */
  keys(binding: UpstreamBinding, timeoutMs: number): Promise<readonly KeySigner[]>;
}

export interface CredentialContext {
  /** The gateway's name for the session, as in the log. */
  readonly sessionId: string;
  /** The name that the client logged in with. */
  readonly user: string;
  readonly captures: Captures;
  /** Whom the upstream is to log in. */
  readonly upstreamUser: string;
  readonly clientPassword?: Uint8Array;
  readonly clientAgent?: ClientAgent;
  readonly clientExchange?: ClientExchange;
}

/** How we log in upstream. */
export interface Credential extends AsyncDisposable {
  readonly kind: string;
  /** It needs the client's password: without one it offers nothing. */
  readonly needsClientPassword: boolean;
  /** It sends on what the client answers to the upstream's own questions. */
  readonly relays?: boolean;
  /**
   * It needs the agent that the client forwards, and can therefore be used only when the client is in: then the upstream is entered
   * later. Milliseconds that the client may take to offer it.
   */
  readonly clientAgent?: { readonly waitMs: number };
  /** What it can offer now, best first; empty if nothing. Throws OPERATOR_ errors. */
  ways(context: CredentialContext): Promise<readonly LoginWay[]>;
}

export interface CredentialPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly files: FileReader;
}

export type CredentialKind<Config = unknown> = Kind<Config, Credential, CredentialPorts>;
