/** What the gateway's own part of the limits says; the configuration's `limits` has this shape. Reasons: docs/limits.md. */
export interface GatewayLimits {
  /** As sshd's MaxStartups: from `start` waiting logins on, `ratePercent` of new connections are dropped, rising to all at `full`. */
  readonly startups: { readonly start: number; readonly ratePercent: number; readonly full: number };
  readonly maxConnections: number;
  readonly maxConnectionsPerSource: number;
  readonly maxStartupsPerSource: number;
  /** How many leading bits of an address make one source. */
  readonly sourceNetwork: { readonly ipv4Bits: number; readonly ipv6Bits: number };
  /** Version line and first key exchange. */
  readonly handshakeSeconds: number;
  /** From the connection to the end of the login. */
  readonly loginGraceSeconds: number;
  /** Each round that waits for the upstream alone. */
  readonly upstreamLoginSeconds: number;
  readonly maxAuthTries: number;
  readonly maxKeyQueries: number;
  /** A refused password is answered no sooner than this; see `FailureDelays`. */
  readonly failureDelaySeconds: number;
}
