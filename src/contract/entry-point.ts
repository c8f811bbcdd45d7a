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
}

/** How a stream arrives. Made, it is bound but takes nothing in before `start`. */
export interface EntryPoint extends AsyncDisposable {
  readonly kind: string;
  /** As its configuration names it. */
  readonly name: string;
  /** As bound: `127.0.0.1:2222`, `[::1]:2222`, `unix:/run/…`. */
  readonly addresses: readonly string[];
  start(accept: (arrival: Arrival) => void): void;
}

export type EntryKind<Config = unknown> = Kind<Config, EntryPoint, EntryPorts>;
