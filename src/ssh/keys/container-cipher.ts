import {
  type CipherGCMTypes,
  createCipheriv,
  createDecipheriv,
  type DecipherGCM,
  timingSafeEqual,
} from "node:crypto";
import { poly1305 } from "@noble/ciphers/_poly1305.js";
import { chacha20orig } from "@noble/ciphers/chacha.js";

/** A cipher of the openssh-key-v1 container: key and iv come from the key derivation, one after the other. */
export interface ContainerCipher {
  readonly keyBytes: number;
  readonly ivBytes: number;
  readonly blockBytes: number;
  /** Bytes that follow the encrypted string. */
  readonly tagBytes: number;
  /** A new buffer, which the caller wipes; undefined when the tag is wrong. */
  decrypt(key: Uint8Array, iv: Uint8Array, sealed: Uint8Array, tag: Uint8Array): Buffer | undefined;
}

/** What ssh-keygen -Z can choose, but for 3des. */
export const containerCiphers: ReadonlyMap<string, ContainerCipher> = new Map<string, ContainerCipher>([
  [
    "none",
    {
      keyBytes: 0,
      ivBytes: 0,
      blockBytes: 8,
      tagBytes: 0,
      decrypt: (_k, _iv, sealed) => Buffer.from(sealed),
    },
  ],
  ["aes128-ctr", plainAes("aes-128-ctr", 16)],
  ["aes192-ctr", plainAes("aes-192-ctr", 24)],
  ["aes256-ctr", plainAes("aes-256-ctr", 32)],
  ["aes128-cbc", plainAes("aes-128-cbc", 16)],
  ["aes192-cbc", plainAes("aes-192-cbc", 24)],
  ["aes256-cbc", plainAes("aes-256-cbc", 32)],
  ["aes128-gcm@openssh.com", gcm("aes-128-gcm", 16)],
  ["aes256-gcm@openssh.com", gcm("aes-256-gcm", 32)],
  [
    "chacha20-poly1305@openssh.com",
    { keyBytes: 64, ivBytes: 0, blockBytes: 8, tagBytes: 16, decrypt: decryptChacha },
  ],
]);

/** Encrypts for the container with aes256-ctr, as ssh-keygen does by default. */
export function encryptAes256Ctr(key: Uint8Array, iv: Uint8Array, plain: Uint8Array): Buffer {
  return createCipheriv("aes-256-ctr", key, iv).update(plain);
}

function plainAes(name: string, keyBytes: number): ContainerCipher {
  return {
    keyBytes,
    ivBytes: 16,
    blockBytes: 16,
    tagBytes: 0,
    decrypt: (key, iv, sealed) => createDecipheriv(name, key, iv).setAutoPadding(false).update(sealed),
  };
}

function gcm(name: CipherGCMTypes, keyBytes: number): ContainerCipher {
  return {
    keyBytes,
    ivBytes: 12,
    blockBytes: 16,
    tagBytes: 16,
    decrypt(key, iv, sealed, tag) {
      const decipher: DecipherGCM = createDecipheriv(name, key, iv, { authTagLength: 16 });
      decipher.setAuthTag(tag);
      const plain = decipher.update(sealed);
      try {
        decipher.final();
      } catch {
        plain.fill(0);
        return undefined;
      }
      return plain;
    },
  };
}

/** PROTOCOL.chacha20poly1305 with packet number 0 and nothing but a body: the second half of the key is not used. */
function decryptChacha(
  key: Uint8Array,
  _iv: Uint8Array,
  sealed: Uint8Array,
  tag: Uint8Array,
): Buffer | undefined {
  const bodyKey = key.slice(0, 32);
  const nonce = new Uint8Array(8);
  const macKey = chacha20orig(bodyKey, nonce, new Uint8Array(32));
  const right = timingSafeEqual(poly1305(sealed, macKey), tag);
  macKey.fill(0);
  const plain = right ? Buffer.from(chacha20orig(bodyKey, nonce, sealed, undefined, 1).buffer) : undefined;
  bodyKey.fill(0);
  return plain;
}
