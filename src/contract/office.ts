import type { Device, DeviceLogEntry, JoinToken } from "./device.ts";
import type { TunnelListing } from "./tunnel.ts";

/** A device, as programs are told of it. Times are ISO 8601, in UTC. */
export interface DeviceReport
  extends Pick<
    Device,
    | "id"
    | "name"
    | "state"
    | "code"
    | "fingerprint"
    | "key"
    | "tags"
    | "ports"
    | "web"
    | "cameBy"
    | "decidedBy"
    | "lastFrom"
  > {
  readonly createdAt: string;
  readonly decidedAt?: string;
  readonly lastSeenAt?: string;
}

/** A device, and whether it is there. */
export interface SeenDevice extends DeviceReport {
  /** Null: nobody knows, because the gateway does not run. */
  readonly online: boolean | null;
  readonly tunnels: readonly { readonly port: number; readonly from: string; readonly since: string }[];
}

/** One thing that a device offers now. */
export type HeldTunnel = Pick<TunnelListing, "device" | "port" | "from" | "sinceMs">;

/** A join token, without what it is shown by. */
export interface TokenReport extends Pick<JoinToken, "id" | "usesLeft" | "tags" | "ports" | "web" | "names"> {
  readonly createdAt: string;
  readonly expiresAt: string;
}

export interface DeviceLogReport extends Pick<DeviceLogEntry, "event" | "by" | "detail"> {
  readonly at: string;
}

/** What a device is given. What is absent stays as it is. */
export interface DeviceGrant {
  readonly name?: string;
  readonly tags?: readonly string[];
  readonly ports?: readonly number[];
  readonly web?: Device["web"];
}

export interface NewJoinToken extends Pick<JoinToken, "tags" | "ports" | "web" | "names"> {
  readonly uses: number;
  readonly lifeMs: number;
}

/**
 * The authority as one operator uses it, by the command line or by HTTP. A device is said by its name, its code or its id.
 * Throws OPERATOR_DEVICE_ errors.
 */
export interface DeviceOffice {
  /** In the order of their names, those behind `after`. */
  list(after?: Pick<Device, "name" | "id">): AsyncGenerator<SeenDevice>;
  find(said: string): Promise<SeenDevice>;
  approve(said: string, grant: DeviceGrant): Promise<DeviceReport>;
  deny(said: string): Promise<DeviceReport>;
  rename(said: string, name: string): Promise<DeviceReport>;
  grant(said: string, grant: Omit<DeviceGrant, "name">): Promise<DeviceReport>;
  revoke(said: string): Promise<DeviceReport>;
  remove(said: string): Promise<DeviceReport>;
  /** The newest first. */
  log(said: string, limit: number): Promise<readonly DeviceLogReport[]>;
  /** The token's text is shown here and never again. */
  makeToken(plan: NewJoinToken): Promise<TokenReport & { readonly token: string }>;
  tokens(): Promise<readonly TokenReport[]>;
  removeToken(id: string): Promise<void>;
}
