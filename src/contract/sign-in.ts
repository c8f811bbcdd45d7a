import type { Captures } from "#base";
import type { PeerAddress } from "./arrival.ts";

/** Somebody who has just signed in at a provider, by its word. */
export interface Identity {
  /** Of the provider: see SignInProvider. */
  readonly provider: string;
  /** What the provider calls them. */
  readonly subject: string;
  /** Who it is, as it can be shown to anybody. */
  readonly who: string;
  /** Who it is by whose word, for the audit. */
  readonly by: string;
  /** All that the provider says of them. */
  readonly claims: Readonly<Record<string, unknown>>;
}

/** What a provider is to be asked for. */
export interface SignInWants {
  readonly scopes: readonly string[];
  /** Claims without which it cannot be decided who may log in. */
  readonly claims: readonly string[];
}

/** One browser's way to a provider and back. */
export interface SignInVisit {
  /** Where the browser is sent. */
  readonly address: string;
  /** What it comes back with: nobody else can know it. */
  readonly state: string;
  /**
   * Who it is, of the query that the browser came back with. Once. Rejects with UPSTREAM_OIDC_ and DENIED_OIDC_ errors, whose `user` text
   * is for the browser.
   */
  finish(query: string): Promise<Identity>;
}

/** A provider at which people sign in with a browser. */
export interface SignInProvider {
  /** The same for the same client of the same provider, asked by the same means. */
  readonly id: string;
  /** For people: its address, without https://. What browsers come back to ends with it, so that no provider can speak for another. */
  readonly title: string;
  readonly wants: SignInWants;
  /** `callback`: where the browser is to come back to. `mark`: what the state begins with. Rejects with UPSTREAM_OIDC_ errors. */
  begin(callback: string, wants: SignInWants, mark?: string): Promise<SignInVisit>;
}

/** A login method by which people can come with a browser and no other proof. */
export interface BrowserLogin {
  readonly provider: SignInProvider;
  /** Names that somebody may be meant by; whether they may go by one, `refusal` says. */
  names(identity: Identity): readonly string[];
  /** Why somebody may not log in by a name, for the log; undefined if they may. */
  refusal(identity: Identity, captures: Captures): string | undefined;
}

/** A login by SSH that waits for somebody at a browser. */
export interface WaitingLogin {
  /** The name asked for. */
  readonly user: string;
  /** Where the login comes from. */
  readonly from: PeerAddress;
  readonly provider: SignInProvider;
  /** Only a browser of the same network may agree: the same IPv4 address, or IPv6 /64. */
  readonly sameNetwork: boolean;
  /** Whether somebody who has signed in may log in by the name. */
  mayBe(identity: Identity): boolean;
  /** They have agreed to this login, or may not have it. */
  settle(identity: Identity): void;
  /** They have refused it. */
  refuse(): void;
  /** Their sign-in came to nothing. */
  fail(error: unknown): void;
}

/** What the person is shown. Disposing ends it: nobody can enter its code any more. */
export interface OpenSignIn extends Disposable {
  readonly code: string;
  /** Where the code is entered. */
  readonly address: string;
  /** The same with the code in it. */
  readonly addressWithCode: string;
}

/** Where logins by SSH meet browsers. */
export interface SignInDesk {
  /** Undefined: too many wait. */
  open(login: WaitingLogin): OpenSignIn | undefined;
}

/** How people can log in to web pages. */
export interface SignInWays {
  /** By name and password. */
  readonly passwords: boolean;
  readonly providers: readonly SignInProvider[];
}
