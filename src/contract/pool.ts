/** Which of a target's addresses comes next. */
export type Balance = "first" | "random" | "round-robin" | "least-sessions";

/** What a target, or one client of it, may have at once and over time. Absent: no limit. */
export interface Allowance {
  readonly maxConnections?: number;
  readonly connectionsPerMinute?: number;
  /** In each direction. */
  readonly bytesPerSecond?: number;
}

/** How a target's connections are spread over its addresses, and how many it takes. */
export interface PoolPlan {
  readonly balance: Balance;
  /** The same address for the same person, or for the same network. */
  readonly sticky?: "user" | "source";
  /** For so long after an address came up again, its share grows from nothing to the whole. */
  readonly slowStartMs: number;
  /** `host:port` of addresses that get nobody new. */
  readonly drained: readonly string[];
  readonly limits: Allowance & { readonly perClient?: Allowance };
}

/** Asked before each attempt to connect. */
export interface PoolQuestion {
  readonly target: string;
  /** `host:port`, in the order of the configuration. */
  readonly addresses: readonly string[];
  /** Of those, the ones that did not do. */
  readonly tried: readonly string[];
  /** Who limits count by; absent for local clients. */
  readonly client?: string;
  /** What stickiness goes by; absent: there is none. */
  readonly key?: string;
}

export type LimitName =
  | "maxConnections"
  | "connectionsPerMinute"
  | "perClient.maxConnections"
  | "perClient.connectionsPerMinute";

export type PoolAnswer =
  /** Holds a place until `release`. */
  | { readonly kind: "go"; readonly address: string; readonly lease: number }
  | { readonly kind: "full"; readonly limit: LimitName }
  /** All addresses are down, drained or tried; why, for the log. */
  | { readonly kind: "none"; readonly reason: string };

/** Counts who is where, for all processes of the gateway together. */
export interface Pools {
  ask(question: PoolQuestion): Promise<PoolAnswer>;
  /** Whether the address of a lease could be connected to. */
  tell(lease: number, connected: boolean): void;
  release(lease: number): void;
  /** The part of a target's bandwidth, or of a client's, that this process may use: 0 to 1. */
  share(target: string, client: string | undefined): number;
}

/** How an address of a target is, for `postern status`. */
export interface AddressReport {
  readonly target: string;
  readonly address: string;
  /** `unknown`: no check has come to an end yet, or there is none. */
  readonly health: "up" | "down" | "unknown";
  readonly drained: boolean;
  readonly sessions: number;
  /** Why it is down. */
  readonly reason?: string;
}

/** What a health check looks for. */
export interface CheckPlan {
  readonly kind: "tcp" | "ssh" | "tls";
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Good answers in a row after which a dead address is up. */
  readonly rise: number;
  /** Bad ones after which a live one is down. */
  readonly fall: number;
}
