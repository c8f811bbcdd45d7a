/**
 * The one interface of all packet ciphers: it takes batches, works in place where it can, and allocates nothing per packet that
 * the primitive below does not force on it.
 *
 * A packet on the wire is `length (4) | body | tag`; its body is `padding length (1) | payload | padding` (RFC 4253, section 6).
 */

/** As OpenSSH's PACKET_MAX_SIZE: no length above it is trusted, in bytes of body. */
export const maxPacketBytes: number = 256 * 1024;

/** RFC 4253, section 6: padding length, at least one byte of payload, and four of padding. */
export const minBodyBytes = 6;

/** Packets opened by one call; the arrays are reused from call to call. Entry n: `bytes[n].subarray(start[n], end[n])` is the body. */
export interface PacketBatch {
  count: number;
  readonly bytes: Uint8Array[];
  /** Offset of the body, that is of the padding length byte. */
  readonly start: number[];
  /** Offset after the padding. */
  readonly end: number[];
}

export function createPacketBatch(): PacketBatch {
  return { count: 0, bytes: [], start: [], end: [] };
}

/** Opens the packets of one direction under one set of keys. */
export interface PacketOpener {
  /** Number of the next packet, modulo 2³²; set by the framer when keys change. */
  sequence: number;
  /**
   * Opens up to `max` whole packets of `bytes[start, end)`, whose bytes it may overwrite, and appends their bodies to `batch`
   * (after setting `count` to 0). A body is shown only after its tag was found right, compared in constant time.
   *
   * Returns the offset after the last packet opened. An incomplete packet at the end stays; its length is checked as soon as it
   * can be known. The same bytes may come again at another place: what was learnt of an incomplete packet is kept inside.
   *
   * Throws PEER_PACKET_LENGTH (too long, too short, not aligned) or PEER_MAC_INVALID; the opener is unusable afterwards.
   */
  open(bytes: Uint8Array, start: number, end: number, batch: PacketBatch, max: number): number;
  /** Drops the keys. */
  wipe(): void;
}

/** Seals the packets of one direction under one set of keys. */
export interface PacketSealer {
  /** Number of the next packet, modulo 2³²; set by the framer when keys change. */
  sequence: number;
  /** The padded part of a packet is a multiple of this many bytes. */
  readonly blockBytes: number;
  /** Whether the padded part begins with the four length bytes (plain MAC and no cipher) or after them (AEAD, -etm). */
  readonly lengthIsPadded: boolean;
  /** Bytes that follow the body. */
  readonly tagBytes: number;
  /**
   * Writes `input[start, end)`, a whole padded body, as one packet into `out` at `at`; returns the offset after it. `out` has
   * room for it. May put off all of it until `finish`: until then `input` must stay as it is, and what is in `out` there is
   * nothing to look at.
   */
  seal(input: Uint8Array, start: number, end: number, out: Uint8Array, at: number): number;
  /** Does what was put off, before the bytes leave, the input goes or the keys change. After a throw it throws ever again. */
  finish(): void;
  /** Drops the keys. */
  wipe(): void;
}

/** A row of the cipher table (`ciphers.ts`). */
export interface CipherAlgorithm {
  readonly name: string;
  /** Bytes of key and of initial IV taken from the key derivation of RFC 4253, section 7.2. */
  readonly keyBytes: number;
  readonly ivBytes: number;
  /** Authenticates by itself: the MAC negotiated beside it is ignored. */
  readonly aead: boolean;
  /** `mac` is absent exactly when `aead` is true. The caller may wipe `key`, `iv` and the MAC's key after the call. */
  opener(key: Uint8Array, iv: Uint8Array, mac?: KeyedMac): PacketOpener;
  sealer(key: Uint8Array, iv: Uint8Array, mac?: KeyedMac): PacketSealer;
}

/** A row of the MAC table (`macs.ts`). */
export interface MacAlgorithm {
  readonly name: string;
  readonly keyBytes: number;
  readonly tagBytes: number;
  /** Over the ciphertext, with the length in clear (PROTOCOL of OpenSSH, section 1.5). */
  readonly encryptThenMac: boolean;
  /** Name of the hash for node:crypto. */
  readonly hash: string;
}

export interface KeyedMac {
  readonly algorithm: MacAlgorithm;
  readonly key: Uint8Array;
}
