import type { Log } from "#base";
import type { Arrival } from "./arrival.ts";
import type { Kind } from "./kind.ts";

/** A listening socket that the service manager opened for us. */
export interface PassedSocket {
  readonly fd: number;
  readonly name?: string;
}

export interface EntryPorts {
  readonly log: Log;
  readonly passedSockets: readonly PassedSocket[];
  /** Who is to own the socket files that are made, when that is not the one who runs us now. */
  readonly owner?: { readonly uid: number; readonly gid: number };
}

/** How a stream arrives. Made, it is bound; what comes before `start` waits. Disposing stops it, and leaves what came in alone. */
export interface EntryPoint extends AsyncDisposable {
  readonly kind: string;
  /** As its configuration names it. */
  readonly name: string;
  /** As bound: `127.0.0.1:2222`, `[::1]:2222`, `unix:/run/…`. */
  readonly addresses: readonly string[];
  start(accept: (arrival: Arrival) => void): void;
}

export type EntryKind<Config = unknown> = Kind<Config, EntryPoint, EntryPorts>;
