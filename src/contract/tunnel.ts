import type { Duplex } from "node:stream";
import type { Device } from "./device.ts";

/** What a device asks to be reached by. */
export type TunnelRequest =
  /** `-R NAME:PORT:…`, `-R PORT:…`, `-R 0:…`; `name` is empty where the device gave none. */
  | { readonly kind: "port"; readonly name: string; readonly port: number }
  /** `-R /path/NAME.sock:…` */
  | { readonly kind: "path"; readonly path: string };

/** From whom a stream through a tunnel comes, as the device is told. */
export interface TunnelOrigin {
  readonly host: string;
  readonly port: number;
}

/** A device's live connection. */
export interface DeviceConnection {
  readonly device: Device;
  readonly from: string;
  readonly sinceMs: number;
  /** Opens a stream to what the device offers under this request. Throws UPSTREAM_TUNNEL_REFUSED. */
  open(request: TunnelRequest, origin: TunnelOrigin, signal: AbortSignal): Promise<Duplex>;
  /** Ends it, the device told why. */
  drop(why: string): void;
  /** It is held by another process of this gateway, which sees to it and tells of it. */
  readonly elsewhere?: true;
}

/** What processes of one gateway tell each other of the tunnels that each holds. */
export type TunnelNews =
  | {
      readonly kind: "held";
      /** Of this tunnel, for ever. */
      readonly key: string;
      readonly device: Device;
      readonly from: string;
      readonly sinceMs: number;
      readonly request: TunnelRequest;
      readonly port: number;
    }
  | { readonly kind: "left"; readonly key: string };

/** One tunnel while it is held. Disposing gives it back. */
export interface TunnelLease extends Disposable {
  readonly device: string;
  readonly port: number;
}

/** The live tunnels. */
export interface Tunnels {
  /**
   * Holds a tunnel, which the authority has allowed. Whatever another connection of the same device held under this port is taken
   * over: that connection is dropped, unless the plan is to pool.
   */
  hold(connection: DeviceConnection, request: TunnelRequest, port: number): TunnelLease;
  /** Forgets all that a connection holds. */
  leave(connection: DeviceConnection): void;
  /** Throws UPSTREAM_DEVICE_OFFLINE, and what the device's refusal is. `port` absent: its only one, or SSH's. */
  open(name: string, port: number | undefined, origin: TunnelOrigin, signal: AbortSignal): Promise<Duplex>;
  /** The device of that name that is there now, as it is known now. */
  find(name: string): Device | undefined;
  /** The approved device of that name, there or not. */
  known(name: string): Device | undefined;
  /** All approved devices, in the order of their names. */
  all(): readonly KnownDevice[];
  /** Everything that is held, in the order of names. */
  list(): readonly TunnelListing[];
}

export interface KnownDevice {
  readonly device: Device;
  readonly online: boolean;
}

/** One thing that a device offers. */
export interface TunnelListing {
  readonly device: string;
  readonly name: string;
  readonly port: number;
  readonly from: string;
  readonly sinceMs: number;
  readonly tags: readonly string[];
}
