import type { HostPort, Log } from "#base";
import type { Duplex } from "node:stream";
import type { Arrival, PeerAddress } from "./arrival.ts";
import type { SpliceRoute } from "./target.ts";

/** Whom a target is reached for. */
export interface Asker {
  readonly from: PeerAddress;
  /** The address that the client connected to. */
  readonly to?: Arrival["to"];
  /** The name that the client gave. */
  readonly user?: string;
  /** The name has been proven: limits go by it, and not by the client's network. */
  readonly proven?: boolean;
}

/** What of a route is needed to go there. */
export type ReachPlace = Pick<SpliceRoute, "target" | "addresses" | "connectTimeoutMs">;

/** A connection to a target. The stream is the caller's; disposing gives the place in the target's pool back, and twice is harmless. */
export interface Reached extends Disposable {
  readonly stream: Duplex;
  readonly address: HostPort;
  /** As its dialer's `probing`. */
  readonly probed?: boolean;
}

export interface ReachOptions {
  readonly signal: AbortSignal;
  readonly log: Log;
  /** Addresses that could be connected to, and yet did not do. */
  readonly tried?: readonly HostPort[];
}

/** How a decided route becomes a stream: address by address, within the target's limits, by the way that leads there. */
export interface Reach extends AsyncDisposable {
  /** Throws UPSTREAM_ and DENIED_ errors. */
  reach(place: ReachPlace, asker: Asker, options: ReachOptions): Promise<Reached>;
}
