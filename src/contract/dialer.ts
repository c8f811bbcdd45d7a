import type { Duplex } from "node:stream";
import type { Clock, HostPort, Log } from "#base";
import type { PacketConn } from "#ssh/transport";
import type { FileReader, Kind } from "./kind.ts";

export interface DialOptions {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** How a route becomes a stream. */
export interface Dialer extends AsyncDisposable {
  readonly kind: string;
  /** The kernel asks who is at the far end whether it is there (TCP keepalive). Absent: it does not, or asks only a hop between. */
  readonly probing?: boolean;
  /** A connected stream, owned by the caller. Throws UPSTREAM_UNREACHABLE or UPSTREAM_TIMEOUT. */
  dial(address: HostPort, options: DialOptions): Promise<Duplex>;
}

export interface DialerPorts {
  readonly log: Log;
}

/** What a hop may use: one that leads over something else. */
export interface HopPorts extends DialerPorts {
  readonly clock: Clock;
  readonly files: FileReader;
  /** How the hop itself is reached. */
  readonly through: Dialer;
}

/** One step of the way to a target, over a proxy or a command. */
export type HopKind<Config = unknown> = Kind<Config, Dialer, HopPorts>;

/** Makes a connection to one SSH server and logs in, its host key checked. Throws UPSTREAM_ and OPERATOR_ errors. */
export type SshConnector = (through: Dialer, signal: AbortSignal) => Promise<PacketConn>;

export type DialerKind<Config = unknown> = Kind<Config, Dialer, DialerPorts>;
