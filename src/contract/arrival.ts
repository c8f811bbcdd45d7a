import type { Duplex } from "node:stream";
import type { Destination } from "./destination.ts";
import type { SpliceRoute } from "./target.ts";

/** Where a stream comes from. */
export interface PeerAddress {
  /** IPv4 or IPv6 in canonical text (an IPv4-mapped IPv6 address as IPv4); absent for a UNIX socket. */
  readonly ip?: string;
  readonly port?: number;
  /** For logs: `192.0.2.1:50022`, `[2001:db8::1]:50022` or `unix`. */
  readonly text: string;
}

/** A stream that came in; what was read of it has been put back. Who takes it owns it. */
export interface Arrival {
  readonly stream: Duplex;
  readonly from: PeerAddress;
  /** The entry point, as its configuration names it. */
  readonly via: string;
  /** The address that the client connected to, where it has one. */
  readonly to?: { readonly ip: string; readonly port: number };
  /** What the client asked for, when the entry point could tell. */
  readonly destination?: Destination;
  /** The target that it was led to by a name, whose SSH ends here. */
  readonly target?: SpliceRoute;
  /** The kernel asks this very peer whether it is there, while nothing passes, and ends the stream of one that is not. */
  readonly probed?: boolean;
  /** How many sessions of this gateway it is inside of. Absent: none. */
  readonly depth?: number;
}
