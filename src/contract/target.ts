import type { Captures, Cidr, HostPort, Pattern, Place } from "#base";
import type { Arrival, PeerAddress } from "./arrival.ts";
import type { AuthMethod } from "./auth-method.ts";
import type { AddressPlan } from "./route.ts";

declare const brand: unique symbol;

/**
 * Ways in by which a client names a target: the comment of its version line, TLS's SNI, HTTP CONNECT, the path of a WebSocket,
 * HTTP's Host, the address that it connected to, a jump; a device's web page, by its own host name.
 */
export type NameEntry = "version" | "tls" | "http" | "websocket" | "host" | "address" | "jump" | "web";

/** A place behind the gateway, named once and used by every entry. */
export interface Target {
  readonly name: string;
  /** Other names that it goes by. */
  readonly names: readonly string[];
  /** Present: it stands for all names that match as a whole, whose captures fill in its addresses. */
  readonly pattern?: Pattern;
  readonly tags: readonly string[];
  readonly addresses: readonly AddressPlan[];
  readonly connectTimeoutMs: number;
  /** SSH for it ends at the gateway, and the rules decide once more; without an address it is the gateway itself. */
  readonly terminate?: boolean;
  /** It stands for all devices, by their names; they are reached by their tunnels. */
  readonly devices?: boolean;
  /** It speaks TLS itself: a client's TLS reaches it unopened. */
  readonly tls: boolean;
  /** It speaks HTTP: requests with its name in `Host` reach it. */
  readonly http?: boolean;
  /** Whoever connected to one of these means it (entry `address`). */
  readonly at?: readonly Place[];
}

/** When a splice rule holds. All conditions that are present must hold. */
export interface SpliceMatch {
  readonly from?: readonly Cidr[];
  readonly entries?: readonly NameEntry[];
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
  /** What the client connected to. A UNIX socket is none of these. */
  readonly to?: readonly Place[];
  /** Patterns (`*`, `?`, `!` as for hosts), one of which must take one of the names in the client's certificate: `CN:ada`. */
  readonly clientCertificate?: readonly string[];
  /** The name given for `login`, or a pattern over it. Neither: any name. */
  readonly user?: string;
  readonly userPattern?: Pattern;
}

/** Who may reach which targets, by raw bytes: nothing is opened. */
export interface SpliceRule {
  readonly name: string;
  readonly match: SpliceMatch;
  /** Names of targets, `tag:NAME`, or `*` for all. */
  readonly targets: readonly string[];
  /** Name and password, where the entry can carry them (HTTP): any one suffices. Absent: not asked for. */
  readonly login?: readonly AuthMethod[];
}

/** Who wants to reach what. */
export interface TargetQuery {
  readonly entry: NameEntry;
  /** As the client said it. */
  readonly name: string;
  /** Absent where the entry has none to say. */
  readonly port?: number;
  readonly from: PeerAddress;
  /** What the client connected to. */
  readonly to?: Arrival["to"];
  readonly nowMs: number;
  /** Names in the client's certificate, which an authority of ours vouches for. Absent: it has shown none. */
  readonly certificate?: readonly string[];
  /** Whose password was right, and the names of the rules for which it is. Absent: none was shown. */
  readonly proven?: { readonly user: string; readonly rules: ReadonlySet<string> };
}

/** What a client could show besides, so that some rule would hold for it. */
export type WantedProof = "certificate" | "login";

/** What was decided: where raw bytes go. Only `gateway/target-router.ts` makes one. */
export interface SpliceRoute {
  readonly [brand]: "SpliceRoute";
  /** `terminate`: nowhere yet; what comes is a client of the gateway's, and asks for this target. */
  readonly mode: "splice" | "terminate";
  readonly rule: string;
  readonly target: string;
  readonly tags: readonly string[];
  /** In the order of the configuration; the target's pool decides which is tried first. */
  readonly addresses: readonly HostPort[];
  readonly captures: Captures;
  readonly connectTimeoutMs: number;
  readonly tls: boolean;
  readonly http: boolean;
  /** Who proved to be there, by a password. */
  readonly user?: string;
}
