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
