import { Buffer } from "node:buffer";
import {
  type Cipheriv,
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  type Decipheriv,
} from "node:crypto";
import { algorithmErrors } from "./errors.ts";
import { PacketMac } from "./macs.ts";
import {
  append,
  checkBodyLength,
  discard,
  lengthBytes,
  nextSequence,
  readUint32,
  writeUint32,
} from "./packet-bytes.ts";
import type { CipherAlgorithm, KeyedMac, PacketBatch, PacketOpener, PacketSealer } from "./packet-cipher.ts";

const blockBytes = 16;

/** Puts what becomes of `from` into `to`. node:crypto cannot write where it is told. */
function cryptInto(cipher: Cipheriv | Decipheriv, from: Uint8Array, to: Uint8Array, at: number): void {
  const made = cipher.update(from);
  to.set(made, at);
  discard(made);
}

/** AES in CTR (RFC 4344, section 4) with encrypt-then-MAC: the length is in clear, the tag is over what is on the wire. */
class CtrEtmOpener implements PacketOpener {
  sequence = 0;
  #decipher: Decipheriv | undefined;
  readonly #mac: PacketMac;

  constructor(decipher: Decipheriv, mac: PacketMac) {
    this.#decipher = decipher;
    this.#mac = mac;
  }

  open(bytes: Uint8Array, start: number, end: number, batch: PacketBatch, max: number): number {
    if (this.#decipher === undefined) throw new algorithmErrors.BUG_CIPHER_WIPED();
    batch.count = 0;
    let at = start;
    while (batch.count < max && end - at >= lengthBytes) {
      const length = checkBodyLength(readUint32(bytes, at), blockBytes, 0);
      const body = at + lengthBytes;
      const tag = body + length;
      if (tag + this.#mac.tagBytes > end) break;
      this.#mac.check(this.sequence, bytes.subarray(at, tag), bytes, tag);
      cryptInto(this.#decipher, bytes.subarray(body, tag), bytes, body);
      append(batch, bytes, body, tag);
      this.sequence = nextSequence(this.sequence);
      at = tag + this.#mac.tagBytes;
    }
    return at;
  }

  wipe(): void {
    this.#decipher = undefined;
    this.#mac.wipe();
  }
}

/**
 * AES in CTR with the MAC of RFC 4253, section 6.4: the length is encrypted, the tag is over the plain text.
 *
 * A bad length ends the connection at once. In CTR that tells an attacker only that a bit he flipped was flipped, which the tag
 * would have told as well; the CBC attacks that need OpenSSH's read-on do not apply.
 */
class CtrMacOpener implements PacketOpener {
  sequence = 0;
  #decipher: Decipheriv | undefined;
  readonly #mac: PacketMac;
  /** First block, decrypted, of the packet that is not complete yet. The key stream is past it. */
  #firstBlock: Buffer | undefined;

  constructor(decipher: Decipheriv, mac: PacketMac) {
    this.#decipher = decipher;
    this.#mac = mac;
  }

  open(bytes: Uint8Array, start: number, end: number, batch: PacketBatch, max: number): number {
    if (this.#decipher === undefined) throw new algorithmErrors.BUG_CIPHER_WIPED();
    batch.count = 0;
    let at = start;
    while (batch.count < max && end - at >= blockBytes) {
      this.#firstBlock ??= this.#decipher.update(bytes.subarray(at, at + blockBytes));
      const length = checkBodyLength(readUint32(this.#firstBlock, 0), blockBytes, 4);
      const body = at + lengthBytes;
      const tag = body + length;
      if (tag + this.#mac.tagBytes > end) break;
      // Two pieces of plain text: only bringing them together gives the MAC and the reader one.
      const second = at + blockBytes;
      if (tag > second) cryptInto(this.#decipher, bytes.subarray(second, tag), bytes, second);
      bytes.set(this.#firstBlock, at);
      this.#mac.check(this.sequence, bytes.subarray(at, tag), bytes, tag);
      append(batch, bytes, body, tag);
      this.#firstBlock = undefined;
      this.sequence = nextSequence(this.sequence);
      at = tag + this.#mac.tagBytes;
    }
    return at;
  }

  wipe(): void {
    this.#decipher = undefined;
    this.#firstBlock = undefined;
    this.#mac.wipe();
  }
}

class CtrSealer implements PacketSealer {
  sequence = 0;
  readonly blockBytes: number = blockBytes;
  readonly lengthIsPadded: boolean;
  readonly tagBytes: number;
  #cipher: Cipheriv | undefined;
  readonly #mac: PacketMac;

  constructor(cipher: Cipheriv, mac: PacketMac, encryptThenMac: boolean) {
    this.#cipher = cipher;
    this.#mac = mac;
    this.lengthIsPadded = !encryptThenMac;
    this.tagBytes = mac.tagBytes;
  }

  seal(input: Uint8Array, start: number, end: number, out: Uint8Array, at: number): number {
    if (this.#cipher === undefined) throw new algorithmErrors.BUG_CIPHER_WIPED();
    const body = at + lengthBytes;
    const tag = body + end - start;
    const packet = out.subarray(at, tag);
    // The body goes first: it may lie under the place of the length.
    if (this.lengthIsPadded) {
      out.set(input.subarray(start, end), body);
      writeUint32(out, at, end - start);
      const computed = this.#mac.compute(this.sequence, packet);
      cryptInto(this.#cipher, packet, out, at);
      out.set(computed, tag);
    } else {
      cryptInto(this.#cipher, input.subarray(start, end), out, body);
      writeUint32(out, at, end - start);
      out.set(this.#mac.compute(this.sequence, packet), tag);
    }
    this.sequence = nextSequence(this.sequence);
    return tag + this.tagBytes;
  }

  finish(): void {}

  wipe(): void {
    this.#cipher = undefined;
    this.#mac.wipe();
  }
}

function needed(mac: KeyedMac | undefined): KeyedMac {
  if (mac === undefined) throw new algorithmErrors.BUG_CIPHER_MAC("AES-CTR needs a MAC");
  return mac;
}

export function ctrAlgorithm(name: string, keyBytes: number): CipherAlgorithm {
  const cipher = `aes-${keyBytes * 8}-ctr`;
  return {
    name,
    keyBytes,
    ivBytes: blockBytes,
    aead: false,
    opener(key, iv, keyedMac) {
      const { algorithm } = needed(keyedMac);
      const mac = new PacketMac(needed(keyedMac));
      const decipher = createDecipheriv(cipher, createSecretKey(key), iv);
      return algorithm.encryptThenMac ? new CtrEtmOpener(decipher, mac) : new CtrMacOpener(decipher, mac);
    },
    sealer(key, iv, keyedMac) {
      const { algorithm } = needed(keyedMac);
      const mac = new PacketMac(needed(keyedMac));
      return new CtrSealer(createCipheriv(cipher, createSecretKey(key), iv), mac, algorithm.encryptThenMac);
    },
  };
}
