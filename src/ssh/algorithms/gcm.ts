import { Buffer } from "node:buffer";
import {
  type CipherGCMTypes,
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  type KeyObject,
} from "node:crypto";
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

const blockBytes = 16;
const tagBytes = 16;
const ivBytes = 12;

/** Not by Buffer.from: twelve bytes of Node's pool, kept as long as a connection, would keep all 64 KiB of it. */
function newIv(): Buffer {
  return Buffer.alloc(ivBytes);
}

/** Adds one to the invocation counter, the last 8 of the 12 bytes (RFC 5647, section 7.1); the first 4 are fixed. */
function nextInvocation(iv: Uint8Array): void {
  for (let i = ivBytes - 1; i >= 4; i--) {
    const byte = ((iv[i] ?? 0) + 1) & 0xff;
    iv[i] = byte;
    if (byte !== 0) return;
  }
}

/** AES in GCM as OpenSSH uses it: RFC 5647 with the length in clear as additional data. */
class GcmOpener implements PacketOpener {
  sequence = 0;
  readonly #cipher: CipherGCMTypes;
  #key: KeyObject | undefined;
  readonly #iv: Buffer = newIv();
  readonly #length: Buffer = Buffer.alloc(lengthBytes);
  readonly #tag: Buffer = Buffer.alloc(tagBytes);

  constructor(cipher: CipherGCMTypes, key: Uint8Array, iv: Uint8Array) {
    this.#cipher = cipher;
    this.#key = createSecretKey(key);
    this.#iv.set(iv);
  }

  open(bytes: Uint8Array, start: number, end: number, batch: PacketBatch, max: number): number {
    if (this.#key === undefined) throw new algorithmErrors.BUG_CIPHER_WIPED();
    batch.count = 0;
    let at = start;
    while (batch.count < max && end - at >= lengthBytes) {
      const length = checkBodyLength(readUint32(bytes, at), blockBytes, 0);
      const body = at + lengthBytes;
      const after = body + length + tagBytes;
      if (after > end) break;
      copyFew(bytes, at, this.#length, lengthBytes);
      copyFew(bytes, body + length, this.#tag, tagBytes);
      // node:crypto cannot give an object another IV: one per packet, and a fresh Buffer of plain text, are forced.
      const decipher = createDecipheriv(this.#cipher, this.#key, this.#iv);
      decipher.setAAD(this.#length);
      decipher.setAuthTag(this.#tag);
      const opened = decipher.update(bytes.subarray(body, body + length));
      try {
        decipher.final();
      } catch (cause) {
        throw new algorithmErrors.PEER_MAC_INVALID(`packet ${this.sequence}`, { cause });
      }
      bytes.set(opened, body);
      discard(opened);
      append(batch, bytes, body, body + length);
      nextInvocation(this.#iv);
      this.sequence = nextSequence(this.sequence);
      at = after;
    }
    return at;
  }

  wipe(): void {
    this.#key = undefined;
    this.#iv.fill(0);
  }
}

class GcmSealer implements PacketSealer {
  sequence = 0;
  readonly blockBytes: number = blockBytes;
  readonly lengthIsPadded: boolean = false;
  readonly tagBytes: number = tagBytes;
  readonly #cipher: CipherGCMTypes;
  #key: KeyObject | undefined;
  readonly #iv: Buffer = newIv();
  readonly #length: Buffer = Buffer.alloc(lengthBytes);

  constructor(cipher: CipherGCMTypes, key: Uint8Array, iv: Uint8Array) {
    this.#cipher = cipher;
    this.#key = createSecretKey(key);
    this.#iv.set(iv);
  }

  seal(input: Uint8Array, start: number, end: number, out: Uint8Array, at: number): number {
    if (this.#key === undefined) throw new algorithmErrors.BUG_CIPHER_WIPED();
    const length = end - start;
    writeUint32(this.#length, 0, length);
    const cipher = createCipheriv(this.#cipher, this.#key, this.#iv);
    cipher.setAAD(this.#length);
    const sealed = cipher.update(input.subarray(start, end));
    cipher.final();
    writeUint32(out, at, length);
    const body = at + lengthBytes;
    out.set(sealed, body);
    discard(sealed);
    out.set(cipher.getAuthTag(), body + length);
    nextInvocation(this.#iv);
    this.sequence = nextSequence(this.sequence);
    return body + length + tagBytes;
  }

  finish(): void {}

  wipe(): void {
    this.#key = undefined;
    this.#iv.fill(0);
  }
}

export function gcmAlgorithm(name: string, cipher: CipherGCMTypes, keyBytes: number): CipherAlgorithm {
  return {
    name,
    keyBytes,
    ivBytes,
    aead: true,
    opener: (key, iv) => new GcmOpener(cipher, key, iv),
    sealer: (key, iv) => new GcmSealer(cipher, key, iv),
  };
}
