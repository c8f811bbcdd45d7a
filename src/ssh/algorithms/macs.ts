import { Buffer } from "node:buffer";
import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from "node:crypto";
import { algorithmErrors } from "./errors.ts";
import { copyFew, writeUint32 } from "./packet-bytes.ts";
import type { KeyedMac, MacAlgorithm } from "./packet-cipher.ts";

function hmac(name: string, hash: string, bytes: number): MacAlgorithm {
  return {
    name,
    hash,
    keyBytes: bytes,
    tagBytes: bytes,
    encryptThenMac: name.endsWith("-etm@openssh.com"),
  };
}

/** RFC 6668, and the -etm forms of OpenSSH's PROTOCOL, section 1.5. */
export const macAlgorithms: ReadonlyMap<string, MacAlgorithm> = new Map(
  [
    hmac("hmac-sha2-256-etm@openssh.com", "sha256", 32),
    hmac("hmac-sha2-512-etm@openssh.com", "sha512", 64),
    hmac("hmac-sha2-256", "sha256", 32),
    hmac("hmac-sha2-512", "sha512", 64),
  ].map((row) => [row.name, row]),
);

/** One direction's MAC with its key. */
export class PacketMac {
  readonly tagBytes: number;
  readonly #hash: string;
  #key: KeyObject | undefined;
  readonly #sequence: Buffer = Buffer.alloc(4);
  readonly #tag: Buffer;

  constructor(mac: KeyedMac) {
    this.tagBytes = mac.algorithm.tagBytes;
    this.#hash = mac.algorithm.hash;
    this.#key = createSecretKey(mac.key);
    this.#tag = Buffer.alloc(mac.algorithm.tagBytes);
  }

  /** The tag over the sequence number and `packet`. */
  compute(sequence: number, packet: Uint8Array): Uint8Array {
    if (this.#key === undefined) throw new algorithmErrors.BUG_CIPHER_WIPED();
    writeUint32(this.#sequence, 0, sequence);
    return createHmac(this.#hash, this.#key).update(this.#sequence).update(packet).digest();
  }

  /** Throws PEER_MAC_INVALID unless the tag at `at` is that of `packet`. */
  check(sequence: number, packet: Uint8Array, bytes: Uint8Array, at: number): void {
    const wanted = this.compute(sequence, packet);
    copyFew(bytes, at, this.#tag, this.tagBytes);
    if (!timingSafeEqual(wanted, this.#tag)) {
      throw new algorithmErrors.PEER_MAC_INVALID(`packet ${sequence}`);
    }
  }

  wipe(): void {
    this.#key = undefined;
  }
}
