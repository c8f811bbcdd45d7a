/**
 * When keys are to be changed. RFC 4253, section 9 recommends an hour or a gigabyte; RFC 4344, section 3.1 demands it before 2³¹
 * packets; OpenSSH takes 1 GiB for ciphers with short blocks, no time limit, and 2³¹ packets.
 */
export interface RekeyLimits {
  /** Bytes in either direction under the same keys. */
  readonly bytes: number;
  /** Packets in either direction under the same keys. */
  readonly packets: number;
  /** Milliseconds under the same keys. */
  readonly ms: number;
}

/**
 * Bytes after which a server moves a connection to a cheaper cipher. The client's order decides which cipher a connection begins
 * with, and OpenSSH's begins with chacha20-poly1305, which costs twice as much as AES-GCM where the processor has AES. A key
 * exchange costs as much as a few megabytes save, so nothing is done for a session that only types.
 */
export const bulkBytes: number = 8 * 1024 * 1024;

export const defaultRekeyLimits: RekeyLimits = { bytes: 1024 ** 3, packets: 2 ** 31, ms: 3_600_000 };

/** What has passed in one direction since the keys changed. */
export interface KeyUse {
  readonly bytes: number;
  readonly packets: number;
}

export function rekeyIsDue(limits: RekeyLimits, inbound: KeyUse, outbound: KeyUse, ageMs: number): boolean {
  return (
    inbound.bytes >= limits.bytes ||
    outbound.bytes >= limits.bytes ||
    inbound.packets >= limits.packets ||
    outbound.packets >= limits.packets ||
    ageMs >= limits.ms
  );
}
