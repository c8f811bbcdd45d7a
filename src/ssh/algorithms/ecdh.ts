import { diffieHellman, generateKeyPair, type KeyObject } from "node:crypto";
import { Writer } from "#ssh/wire";
import { algorithmErrors } from "./errors.ts";
import { type Agreement, type HashName, type KexMethod, type RandomBytes, Slow } from "./kex-method.ts";
import { systemRandom } from "./random.ts";
import { type EcCurve, ecCurves, ecPrivate, ecPublic, isEcPrivate, ecPublicBytes } from "./raw-keys.ts";

/** A number that is not below the order comes once in 2³² tries on P-256 and more rarely on the others. */
const maxTries = 8;

function seededPrivate(curve: EcCurve, random: RandomBytes): KeyObject {
  for (let tries = 0; tries < maxTries; tries++) {
    const number = Uint8Array.from(random(ecCurves[curve].bytes));
    // The order of P-521 has 521 bits in 66 bytes.
    if (curve === "P-521") number[0] = (number[0] ?? 0) & 1;
    // Other bytes rather than a remainder, which would be biased.
    if (isEcPrivate(curve, number)) return ecPrivate(curve, number);
  }
  throw new algorithmErrors.BUG_RANDOM_STUCK(curve);
}

function freshPrivate(curve: EcCurve): Promise<KeyObject> {
  return new Promise((resolve, reject) => {
    generateKeyPair("ec", { namedCurve: ecCurves[curve].node }, (error, _publicKey, privateKey) => {
      if (error === null) resolve(privateKey);
      else reject(error);
    });
  });
}

/** The peer's point. Throws PEER_KEX_VALUE unless it is uncompressed, not infinity and on the curve (RFC 5656, section 4). */
function peerPoint(curve: EcCurve, value: Uint8Array): KeyObject {
  if (value.length !== 1 + 2 * ecCurves[curve].bytes || value[0] !== 4) {
    throw new algorithmErrors.PEER_KEX_VALUE(`${curve} point of ${value.length} bytes`);
  }
  try {
    return ecPublic(curve, value);
  } catch (cause) {
    throw new algorithmErrors.PEER_KEX_VALUE(`point not on ${curve}`, { cause });
  }
}

function asAgreement(secret: Uint8Array, publicValue: Uint8Array): Agreement {
  return { secret: new Writer(secret.length + 5).mpint(secret).bytes(), publicValue };
}

function agreeLater(privateKey: KeyObject, publicKey: KeyObject): Promise<Agreement> {
  const publicValue = ecPublicBytes(privateKey);
  return new Promise((resolve, reject) => {
    diffieHellman({ privateKey, publicKey }, (error, secret) => {
      if (error === null) resolve(asAgreement(secret, publicValue));
      else reject(error);
    });
  });
}

/**
 * RFC 5656, section 4. P-384 and P-521 cost 1 to 2 ms a multiplication in OpenSSL: theirs is done elsewhere, but for the client's
 * own key, which the interface wants at once.
 */
export function ecdhMethod(name: string, curve: EcCurve, hash: HashName): KexMethod {
  const quick = curve === "P-256";
  return {
    name,
    hash,
    publicForm: "string",
    client(random) {
      const privateKey = seededPrivate(curve, random);
      const publicValue = ecPublicBytes(privateKey);
      return {
        publicValue,
        agree(serverValue) {
          const publicKey = peerPoint(curve, serverValue);
          if (quick) return asAgreement(diffieHellman({ privateKey, publicKey }), publicValue);
          return new Slow(() => agreeLater(privateKey, publicKey));
        },
      };
    },
    answer(clientValue, random) {
      const publicKey = peerPoint(curve, clientValue);
      if (quick) {
        const privateKey = seededPrivate(curve, random);
        return asAgreement(diffieHellman({ privateKey, publicKey }), ecPublicBytes(privateKey));
      }
      return new Slow(async () => {
        // A replay needs its own bytes; otherwise the key too is made elsewhere.
        const privateKey = random === systemRandom ? await freshPrivate(curve) : seededPrivate(curve, random);
        return agreeLater(privateKey, publicKey);
      });
    },
  };
}
