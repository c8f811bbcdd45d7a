import {
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPair,
  getDiffieHellman,
  type KeyObject,
} from "node:crypto";
import { Writer } from "#ssh/wire";
import {
  derBitString,
  derInteger,
  derOctetString,
  derSequence,
  derVersion0,
  integerContent,
  spkiBits,
} from "./der.ts";
import { algorithmErrors } from "./errors.ts";
import { type Agreement, type HashName, type KexMethod, type RandomBytes, Slow } from "./kex-method.ts";
import { systemRandom } from "./random.ts";

/** A group for Diffie-Hellman modulo a prime: magnitudes, big-endian, without leading zeros. */
export interface DhGroup {
  readonly prime: Uint8Array;
  readonly generator: Uint8Array;
  /** One of RFC 3526, whose generator is 2: OpenSSL knows it by its prime and chooses short exponents by itself. */
  readonly known: boolean;
}

const dhObjectIdentifier: Uint8Array = Buffer.from("06092a864886f70d010301", "hex");

/** Group 14 to 18 of RFC 3526, sections 3 to 7, out of OpenSSL's own tables. */
export function rfc3526Group(number: 14 | 15 | 16 | 17 | 18): DhGroup {
  const group = getDiffieHellman(`modp${number}`);
  return { prime: group.getPrime(), generator: group.getGenerator(), known: true };
}

export function withoutLeadingZeros(magnitude: Uint8Array): Uint8Array {
  let start = 0;
  while (magnitude[start] === 0) start++;
  return magnitude.subarray(start);
}

/** Whether 1 < value < prime - 1. The prime is odd; neither has leading zeros. */
export function isInsideGroup(value: Uint8Array, prime: Uint8Array): boolean {
  if (value.length === 0 || (value.length === 1 && value[0] === 1)) return false;
  if (value.length !== prime.length) return value.length < prime.length;
  const last = Uint8Array.from(prime);
  last[last.length - 1] = (last.at(-1) ?? 0) - 1;
  return Buffer.compare(value, last) < 0;
}

/** Twice the strength of the group, with room (RFC 3526, section 8; SP 800-56A): a longer exponent costs time and gives nothing. */
function exponentBytes(prime: Uint8Array): number {
  const bits = prime.length * 8;
  if (bits <= 3072) return 32;
  return bits <= 4096 ? 48 : 64;
}

function algorithmIdentifier(group: DhGroup): Uint8Array {
  return derSequence(dhObjectIdentifier, derSequence(derInteger(group.prime), derInteger(group.generator)));
}

/** A private key from random bytes. Costs one exponentiation on the spot: 0.3 ms in group 14, 1.2 in 16, 6 in 18. */
function seededPrivate(group: DhGroup, random: RandomBytes): KeyObject {
  const exponent = Uint8Array.from(random(exponentBytes(group.prime)));
  // Never zero, never short.
  exponent[0] = (exponent[0] ?? 0) | 0x80;
  const pkcs8 = derSequence(derVersion0, algorithmIdentifier(group), derOctetString(derInteger(exponent)));
  return createPrivateKey({ key: Buffer.from(pkcs8), format: "der", type: "pkcs8" });
}

function freshPrivate({ prime }: DhGroup): Promise<KeyObject> {
  return new Promise((resolve, reject) => {
    generateKeyPair("dh", { prime, generator: 2 }, (error, _publicKey, privateKey) => {
      if (error === null) resolve(privateKey);
      else reject(error);
    });
  });
}

function publicValueOf(privateKey: KeyObject): Uint8Array {
  const spki = createPublicKey(privateKey).export({ format: "der", type: "spki" });
  return withoutLeadingZeros(integerContent(spkiBits(spki)));
}

/** Throws PEER_KEX_VALUE unless the value lies in 2 … prime - 2 (RFC 4253, section 8; RFC 8268, section 4). */
function peerValue(group: DhGroup, value: Uint8Array): KeyObject {
  const magnitude = withoutLeadingZeros(value);
  if (!isInsideGroup(magnitude, group.prime)) {
    throw new algorithmErrors.PEER_KEX_VALUE("Diffie-Hellman value outside 2 … p-2");
  }
  const spki = derSequence(algorithmIdentifier(group), derBitString(derInteger(magnitude)));
  return createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
}

function agreeLater(privateKey: KeyObject, publicKey: KeyObject): Promise<Agreement> {
  const publicValue = publicValueOf(privateKey);
  return new Promise((resolve, reject) => {
    diffieHellman({ privateKey, publicKey }, (error, secret) => {
      if (error === null) {
        resolve({ secret: new Writer(secret.length + 5).mpint(secret).bytes(), publicValue });
      } else {
        // In range, and yet not in the group that OpenSSL knows by its prime; or the peer's own group is no group.
        reject(new algorithmErrors.PEER_KEX_VALUE("Diffie-Hellman failed", { cause: error }));
      }
    });
  });
}

/** RFC 4253, section 8, and RFC 8268, over a fixed group or one that a group exchange gave. */
export function dhMethod(name: string, hash: HashName, group: DhGroup): KexMethod {
  return {
    name,
    hash,
    publicForm: "mpint",
    client(random) {
      const privateKey = clientPrivate(group, random);
      const publicValue = publicValueOf(privateKey);
      return {
        publicValue,
        agree(serverValue) {
          const publicKey = peerValue(group, serverValue);
          return new Slow(() => agreeLater(privateKey, publicKey));
        },
      };
    },
    answer(clientValue, random) {
      const publicKey = peerValue(group, clientValue);
      return new Slow(async () => {
        // A replay needs its own bytes; otherwise the key too is made elsewhere.
        const privateKey =
          random === systemRandom && group.known ? await freshPrivate(group) : seededPrivate(group, random);
        return agreeLater(privateKey, publicKey);
      });
    },
  };
}

function clientPrivate(group: DhGroup, random: RandomBytes): KeyObject {
  if (group.known) return seededPrivate(group, random);
  try {
    return seededPrivate(group, random);
  } catch (cause) {
    throw new algorithmErrors.PEER_KEX_VALUE("OpenSSL refuses the group", { cause });
  }
}
