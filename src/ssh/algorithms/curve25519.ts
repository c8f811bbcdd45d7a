import { diffieHellman, type KeyObject } from "node:crypto";
import { Writer } from "#ssh/wire";
import { algorithmErrors } from "./errors.ts";
import type { Agreement, KexMethod } from "./kex-method.ts";
import { x25519Private, x25519Public, x25519PublicBytes } from "./raw-keys.ts";

/** Length of an X25519 public value and of the secret. */
export const x25519Bytes = 32;

/**
 * The X25519 secret. Throws PEER_KEX_VALUE when the peer's value is not 32 bytes or is a point of small order, which gives the
 * secret zero (RFC 7748, section 6.1; RFC 8731, section 3).
 */
export function x25519Secret(privateKey: KeyObject, peerValue: Uint8Array): Uint8Array {
  if (peerValue.length !== x25519Bytes) {
    throw new algorithmErrors.PEER_KEX_VALUE(`X25519 value of ${peerValue.length} bytes`);
  }
  let secret: Uint8Array;
  try {
    secret = diffieHellman({ privateKey, publicKey: x25519Public(peerValue) });
  } catch (cause) {
    // OpenSSL itself refuses the secret zero.
    throw new algorithmErrors.PEER_KEX_VALUE("X25519 point of small order", { cause });
  }
  let any = 0;
  for (const byte of secret) any |= byte;
  if (any === 0) throw new algorithmErrors.PEER_KEX_VALUE("X25519 point of small order");
  return secret;
}

function agree(privateKey: KeyObject, publicValue: Uint8Array, peerValue: Uint8Array): Agreement {
  const secret = x25519Secret(privateKey, peerValue);
  return { secret: new Writer(x25519Bytes + 5).mpint(secret).bytes(), publicValue };
}

/** RFC 8731; the name with @libssh.org is the same method, older. */
export function curve25519Method(name: string): KexMethod {
  return {
    name,
    hash: "sha256",
    publicForm: "string",
    client(random) {
      const privateKey = x25519Private(random(x25519Bytes));
      const publicValue = x25519PublicBytes(privateKey);
      return { publicValue, agree: (serverValue) => agree(privateKey, publicValue, serverValue) };
    },
    answer(clientValue, random) {
      const privateKey = x25519Private(random(x25519Bytes));
      return agree(privateKey, x25519PublicBytes(privateKey), clientValue);
    },
  };
}
