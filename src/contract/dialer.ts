import type { Duplex } from "node:stream";
import type { HostPort, Log } from "#base";
import type { Kind } from "./kind.ts";

export interface DialOptions {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** How a route becomes a stream. */
export interface Dialer extends AsyncDisposable {
  readonly kind: string;
  /** A connected stream, owned by the caller. Throws UPSTREAM_UNREACHABLE or UPSTREAM_TIMEOUT. */
  dial(address: HostPort, options: DialOptions): Promise<Duplex>;
}

export interface DialerPorts {
  readonly log: Log;
}

export type DialerKind<Config = unknown> = Kind<Config, Dialer, DialerPorts>;
