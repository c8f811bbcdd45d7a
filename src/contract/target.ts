import type { Captures, Cidr, HostPort, Pattern } from "#base";
import type { PeerAddress } from "./arrival.ts";
import type { AddressPlan } from "./route.ts";

declare const brand: unique symbol;

/** Ways in by which a client names a target: the comment of its version line, TLS's SNI, HTTP CONNECT, a jump. */
export type NameEntry = "version" | "tls" | "http" | "jump";

/** A place behind the gateway, named once and used by every entry. */
export interface Target {
  readonly name: string;
  /** Other names that it goes by. */
  readonly names: readonly string[];
  /** Present: it stands for all names that match as a whole, whose captures fill in its addresses. */
  readonly pattern?: Pattern;
  readonly tags: readonly string[];
  readonly addresses: readonly AddressPlan[];
  readonly spread: "in-order" | "random";
  readonly connectTimeoutMs: number;
  /** It speaks TLS itself: a client's TLS reaches it unopened. */
  readonly tls: boolean;
}

/** When a splice rule holds. All conditions that are present must hold. */
export interface SpliceMatch {
  readonly from?: readonly Cidr[];
  readonly entries?: readonly NameEntry[];
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
}

/** Who may reach which targets, by raw bytes: nothing is opened. */
export interface SpliceRule {
  readonly name: string;
  readonly match: SpliceMatch;
  /** Names of targets, `tag:NAME`, or `*` for all. */
  readonly targets: readonly string[];
}

/** Who wants to reach what. */
export interface TargetQuery {
  readonly entry: NameEntry;
  /** As the client said it. */
  readonly name: string;
  /** Absent where the entry has none to say. */
  readonly port?: number;
  readonly from: PeerAddress;
  readonly nowMs: number;
}

/** What was decided: where raw bytes go. Only `gateway/target-router.ts` makes one. */
export interface SpliceRoute {
  readonly [brand]: "SpliceRoute";
  readonly mode: "splice";
  readonly rule: string;
  readonly target: string;
  /** In the order to try. */
  readonly addresses: readonly HostPort[];
  readonly captures: Captures;
  readonly connectTimeoutMs: number;
  readonly tls: boolean;
}
