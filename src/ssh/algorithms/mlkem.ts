import * as crypto from "node:crypto";
import { Writer } from "#ssh/wire";
import { x25519Bytes, x25519Secret } from "./curve25519.ts";
import { algorithmErrors } from "./errors.ts";
import type { Agreement, KexMethod } from "./kex-method.ts";
import { mlKemPrivate, mlKemPublic, mlKemPublicBytes, x25519Private, x25519PublicBytes } from "./raw-keys.ts";

const seedBytes = 64;
const encapsulationKeyBytes = 1184;
const ciphertextBytes = 1088;

/** Whether this Node has ML-KEM (24.7 and later); a build of it may not. */
export const hasMlKem: boolean = probeMlKem();

function probeMlKem(): boolean {
  if (!("encapsulate" in crypto)) return false;
  try {
    mlKemPrivate(new Uint8Array(seedBytes));
    return true;
  } catch {
    return false;
  }
}

function expectLength(value: Uint8Array, wanted: number): void {
  if (value.length !== wanted) {
    throw new algorithmErrors.PEER_KEX_VALUE(`hybrid value of ${value.length} bytes, not ${wanted}`);
  }
}

/** K = SHA-256(K_PQ || K_CL), written as a string. */
function combine(postQuantum: Uint8Array, classical: Uint8Array, publicValue: Uint8Array): Agreement {
  const secret = crypto.createHash("sha256").update(postQuantum).update(classical).digest();
  return { secret: new Writer(secret.length + 4).string(secret).bytes(), publicValue };
}

/**
 * draft-ietf-sshm-mlkem-hybrid-kex: ML-KEM-768 and X25519 side by side. The client sends encapsulation key || X25519 value, the
 * server ciphertext || X25519 value.
 *
 * The randomness of the encapsulation is OpenSSL's own and cannot be handed in: only the client's side can be replayed.
 */
export const mlKem768X25519: KexMethod = {
  name: "mlkem768x25519-sha256",
  hash: "sha256",
  publicForm: "string",
  client(random) {
    const decapsulationKey = mlKemPrivate(random(seedBytes));
    const privateKey = x25519Private(random(x25519Bytes));
    const publicValue = Buffer.concat([mlKemPublicBytes(decapsulationKey), x25519PublicBytes(privateKey)]);
    return {
      publicValue,
      agree(serverValue) {
        expectLength(serverValue, ciphertextBytes + x25519Bytes);
        // Never fails: a ciphertext that was not made with our key gives a secret that only we know (FIPS 203, section 6.3).
        const postQuantum = crypto.decapsulate(decapsulationKey, serverValue.subarray(0, ciphertextBytes));
        const classical = x25519Secret(privateKey, serverValue.subarray(ciphertextBytes));
        return combine(postQuantum, classical, publicValue);
      },
    };
  },
  answer(clientValue, random) {
    expectLength(clientValue, encapsulationKeyBytes + x25519Bytes);
    const privateKey = x25519Private(random(x25519Bytes));
    const classical = x25519Secret(privateKey, clientValue.subarray(encapsulationKeyBytes));
    const { sharedKey, ciphertext } = encapsulate(clientValue.subarray(0, encapsulationKeyBytes));
    const publicValue = Buffer.concat([ciphertext, x25519PublicBytes(privateKey)]);
    return combine(sharedKey, classical, publicValue);
  },
};

function encapsulate(encapsulationKey: Uint8Array): { sharedKey: Uint8Array; ciphertext: Uint8Array } {
  try {
    return crypto.encapsulate(mlKemPublic(encapsulationKey));
  } catch (cause) {
    // FIPS 203, section 7.2: a coefficient is not reduced modulo q.
    throw new algorithmErrors.PEER_KEX_VALUE("not an ML-KEM-768 key", { cause });
  }
}
