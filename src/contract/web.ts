import type { Duplex } from "node:stream";
import type { Auditor } from "./audit-sink.ts";
import type { PeerAddress } from "./arrival.ts";
import type { Device } from "./device.ts";
import type { ShownLogin } from "./reception.ts";
import type { Identity, SignInWays } from "./sign-in.ts";
import type { WantedProof } from "./target.ts";

/** Whose password was right, and the names of the rules for which it is. */
export interface WebProof {
  readonly user: string;
  readonly rules: readonly string[];
}

/** Who wants to see the web page of which device. */
export interface WebQuestion {
  /** Absent: there is none that may be seen. Everything else is done as if there were. */
  readonly device?: Pick<Device, "name" | "tags">;
  /** Names in the client's certificate, which an authority of ours vouches for. */
  readonly certificate?: readonly string[];
  readonly login?: ShownLogin;
  /** Who has just signed in at a provider. */
  readonly identity?: Identity;
  /** What an earlier login has proven. */
  readonly proof?: WebProof;
}

export type WebAnswer =
  /** `proof`: by a password or a provider, and only for this rule. */
  | { readonly kind: "allowed"; readonly rule: string; readonly proof?: WebProof }
  /** `proven`: name and password, or who signed in, are right, and not for this device. */
  | { readonly kind: "refused"; readonly wants: readonly WantedProof[]; readonly proven: boolean };

/** What whoever serves web pages asks the gateway. */
export interface WebDesk {
  /** Gives up when it fires; whoever fires it destroys the stream. */
  readonly signal: AbortSignal;
  readonly from: PeerAddress;
  readonly audit: Auditor | undefined;
  /** By the rules of entry `web`. A wrong password is answered no sooner than any other. */
  askWeb(question: WebQuestion): Promise<WebAnswer>;
  /** How somebody with this certificate can log in. */
  waysToLogIn(shown: Pick<WebQuestion, "certificate">): SignInWays;
}

/** A client that speaks HTTP. */
export interface WebClient {
  readonly desk: WebDesk;
  /** The name that it gave in TLS of ours; absent: no TLS lies around it. */
  readonly serverName?: string;
  readonly protocol: "h2" | "http/1.1";
  /** Names in its certificate. */
  readonly certificate?: readonly string[];
}

/** What a program asks, read by whoever speaks HTTP. */
export interface ProgramRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** Its only such field; undefined too when there are several. */
  readonly authorization: string | undefined;
  readonly contentType: string | undefined;
  /** Whether anything follows the head. */
  readonly hasBody: boolean;
  /** Undefined: it is longer, or does not come whole, or in time. */
  body(maxBytes: number): Promise<string | undefined>;
  readonly from: PeerAddress;
  readonly audit: Auditor | undefined;
}

export interface ProgramAnswer {
  readonly status: number;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly text: string;
}

/** Answers programs at one host, by TLS alone. */
export interface ProgramDesk {
  /** In lower case. */
  readonly host: string;
  answer(request: ProgramRequest): Promise<ProgramAnswer>;
}

/** Serves the web pages of devices. */
export interface WebFront extends AsyncDisposable {
  /** Whether a host's name is, or might be, that of a device. */
  takes(host: string): boolean;
  /** What it speaks there by ALPN, the best first. Absent: both. */
  protocols?(host: string): readonly WebClient["protocol"][];
  /** Takes the stream over; resolves when it has ended. */
  serve(stream: Duplex, client: WebClient): Promise<void>;
}
