import { Buffer } from "node:buffer";
import { createCipheriv, createSecretKey, type KeyObject, timingSafeEqual } from "node:crypto";
import { algorithmErrors } from "./errors.ts";
import {
  append,
  checkBodyLength,
  copyFew,
  discard,
  lengthBytes,
  nextSequence,
  readUint32,
  writeUint32,
} from "./packet-bytes.ts";
import type { CipherAlgorithm, PacketBatch, PacketOpener, PacketSealer } from "./packet-cipher.ts";
import { poly1305 } from "./poly1305.ts";

/**
 * chacha20-poly1305@openssh.com (PROTOCOL.chacha20poly1305 of OpenSSH).
 *
 * Two ChaCha20 keys: one for the length alone, one for the body. The nonce is the sequence number; block 0 of the body's key
 * gives the Poly1305 key, the body begins at block 1. The tag covers the encrypted length and body.
 */
const keyBytes = 64;
const blockBytes = 8;
const tagBytes = 16;
const polyKeyBytes = 32;

/** A block of zeros, to have the keystream itself. */
const zeroBlock: Buffer = Buffer.alloc(64);

/** For node's chacha20: 8 bytes of block counter, little-endian, here always 0, and 8 bytes of nonce, big-endian. */
function newIv(): Buffer {
  return Buffer.alloc(16);
}

class Keys {
  readonly length: KeyObject;
  readonly body: KeyObject;

  constructor(key: Uint8Array) {
    this.body = createSecretKey(key.subarray(0, keyBytes / 2));
    this.length = createSecretKey(key.subarray(keyBytes / 2, keyBytes));
  }
}

class ChachaPolyOpener implements PacketOpener {
  sequence = 0;
  #keys: Keys | undefined;
  readonly #iv: Buffer = newIv();
  readonly #sealedLength: Buffer = Buffer.alloc(lengthBytes);
  readonly #tag: Buffer = Buffer.alloc(tagBytes);
  /** Body length of the packet that is not complete yet; -1 when unknown. */
  #pending = -1;

  constructor(key: Uint8Array) {
    this.#keys = new Keys(key);
  }

  open(bytes: Uint8Array, start: number, end: number, batch: PacketBatch, max: number): number {
    const keys = this.#keys;
    if (keys === undefined) throw new algorithmErrors.BUG_CIPHER_WIPED();
    batch.count = 0;
    let at = start;
    while (batch.count < max && end - at >= lengthBytes) {
      writeUint32(this.#iv, 12, this.sequence);
      if (this.#pending < 0) {
        copyFew(bytes, at, this.#sealedLength, lengthBytes);
        const opened = createCipheriv("chacha20", keys.length, this.#iv).update(this.#sealedLength);
        this.#pending = checkBodyLength(readUint32(opened, 0), blockBytes, 0);
      }
      const body = at + lengthBytes;
      const tag = body + this.#pending;
      if (tag + tagBytes > end) break;
      const cipher = createCipheriv("chacha20", keys.body, this.#iv);
      const polyKey = cipher.update(zeroBlock).subarray(0, polyKeyBytes);
      copyFew(bytes, tag, this.#tag, tagBytes);
      if (!timingSafeEqual(poly1305(polyKey, bytes.subarray(at, tag)), this.#tag)) {
        throw new algorithmErrors.PEER_MAC_INVALID(`packet ${this.sequence}`);
      }
      const opened = cipher.update(bytes.subarray(body, tag));
      bytes.set(opened, body);
      discard(opened);
      append(batch, bytes, body, tag);
      this.#pending = -1;
      this.sequence = nextSequence(this.sequence);
      at = tag + tagBytes;
    }
    return at;
  }

  wipe(): void {
    this.#keys = undefined;
  }
}

class ChachaPolySealer implements PacketSealer {
  sequence = 0;
  readonly blockBytes: number = blockBytes;
  readonly lengthIsPadded: boolean = false;
  readonly tagBytes: number = tagBytes;
  #keys: Keys | undefined;
  readonly #iv: Buffer = newIv();
  readonly #length: Buffer = Buffer.alloc(lengthBytes);

  constructor(key: Uint8Array) {
    this.#keys = new Keys(key);
  }

  seal(input: Uint8Array, start: number, end: number, out: Uint8Array, at: number): number {
    const keys = this.#keys;
    if (keys === undefined) throw new algorithmErrors.BUG_CIPHER_WIPED();
    const tag = at + lengthBytes + end - start;
    writeUint32(this.#iv, 12, this.sequence);
    writeUint32(this.#length, 0, end - start);
    const cipher = createCipheriv("chacha20", keys.body, this.#iv);
    const polyKey = cipher.update(zeroBlock).subarray(0, polyKeyBytes);
    // The body goes first: it may lie under the place of the length.
    const sealed = cipher.update(input.subarray(start, end));
    out.set(sealed, at + lengthBytes);
    discard(sealed);
    out.set(createCipheriv("chacha20", keys.length, this.#iv).update(this.#length), at);
    out.set(poly1305(polyKey, out.subarray(at, tag)), tag);
    this.sequence = nextSequence(this.sequence);
    return tag + tagBytes;
  }

  finish(): void {}

  wipe(): void {
    this.#keys = undefined;
  }
}

export const chachaPoly: CipherAlgorithm = {
  name: "chacha20-poly1305@openssh.com",
  keyBytes,
  ivBytes: 0,
  aead: true,
  opener: (key) => new ChachaPolyOpener(key),
  sealer: (key) => new ChachaPolySealer(key),
};
