import { type KeyObject, sign as cryptoSign, verify as cryptoVerify } from "node:crypto";
import { PosternError } from "#base";
import { Reader, Writer } from "#ssh/wire";
import { algorithmErrors } from "./errors.ts";
import { Slow } from "./kex-method.ts";
import { type EcCurve, ecCurves } from "./raw-keys.ts";

export type SignatureHash = "sha1" | "sha256" | "sha384" | "sha512";

/** A row of the signature table. The signature is the inner blob: the second string of an SSH signature (RFC 4253, section 6.6). */
export interface SignatureAlgorithm {
  readonly name: string;
  /** Type of the plain keys that sign with it: `ssh-rsa`, `ssh-ed25519`, … */
  readonly keyType: string;
  /** Hash over the data; undefined where it is part of the algorithm (Ed25519). */
  readonly hash: SignatureHash | undefined;
  /** Slow where it takes longer than half a millisecond. Throws BUG_SIGNATURE_KEY for a key of another type. */
  sign(key: KeyObject, data: Uint8Array): Uint8Array | Slow<Uint8Array>;
  /** Never throws: a signature that cannot be read, or a key of another type, is a signature that is not valid. */
  verify(key: KeyObject, data: Uint8Array, signature: Uint8Array): boolean;
}

function expectKey(fits: boolean, name: string, key: KeyObject): void {
  if (!fits) throw new algorithmErrors.BUG_SIGNATURE_KEY(`${name} with ${key.asymmetricKeyType ?? key.type}`);
}

/** A KeyObject of no use to OpenSSL makes it throw: that too is a signature that is not valid. */
function holds(check: () => boolean): boolean {
  try {
    return check();
  } catch {
    return false;
  }
}

const isEd25519 = (key: KeyObject): boolean => key.asymmetricKeyType === "ed25519";
const isRsa = (key: KeyObject): boolean => key.asymmetricKeyType === "rsa";

/** RFC 8709, section 6. */
function ed25519(): SignatureAlgorithm {
  const name = "ssh-ed25519";
  const signatureBytes = 64;
  return {
    name,
    keyType: name,
    hash: undefined,
    sign(key, data) {
      expectKey(isEd25519(key), name, key);
      return cryptoSign(null, data, key);
    },
    verify(key, data, signature) {
      if (!isEd25519(key) || signature.length !== signatureBytes) return false;
      return holds(() => cryptoVerify(null, data, key, signature));
    },
  };
}

/** r and s as mpints (RFC 5656, section 3.1.2) from both at full length. */
function encodeEcdsa(pair: Uint8Array): Uint8Array {
  const half = pair.length / 2;
  return new Writer(pair.length + 10).mpint(pair.subarray(0, half)).mpint(pair.subarray(half)).bytes();
}

/** The other way; undefined when it cannot be read. */
function decodeEcdsa(signature: Uint8Array, half: number): Uint8Array | undefined {
  try {
    const reader = new Reader(signature);
    const r = reader.mpint();
    const s = reader.mpint();
    reader.expectEnd();
    if (r.length > half || s.length > half) return undefined;
    const pair = Buffer.alloc(2 * half);
    pair.set(r, half - r.length);
    pair.set(s, 2 * half - s.length);
    return pair;
  } catch (error) {
    if (error instanceof PosternError) return undefined;
    throw error;
  }
}

/** RFC 5656, section 3. P-384 and P-521 take OpenSSL 1 to 2 ms. */
function ecdsa(curve: EcCurve, suffix: string, hash: SignatureHash): SignatureAlgorithm {
  const name = `ecdsa-sha2-${suffix}`;
  const { node, bytes } = ecCurves[curve];
  const fits = (key: KeyObject): boolean =>
    key.asymmetricKeyType === "ec" && key.asymmetricKeyDetails?.namedCurve === node;
  return {
    name,
    keyType: name,
    hash,
    sign(key, data) {
      expectKey(fits(key), name, key);
      const input = { key, dsaEncoding: "ieee-p1363" } as const;
      if (curve === "P-256") return encodeEcdsa(cryptoSign(hash, data, input));
      return signLater(hash, data, input, encodeEcdsa);
    },
    verify(key, data, signature) {
      if (!fits(key)) return false;
      const pair = decodeEcdsa(signature, bytes);
      if (pair === undefined) return false;
      return holds(() => cryptoVerify(hash, data, { key, dsaEncoding: "ieee-p1363" }, pair));
    },
  };
}

/** RSASSA-PKCS1-v1_5 (RFC 8332, section 3; with SHA-1 RFC 4253, section 6.6). */
function rsa(name: string, hash: SignatureHash): SignatureAlgorithm {
  return {
    name,
    keyType: "ssh-rsa",
    hash,
    sign(key, data) {
      expectKey(isRsa(key), name, key);
      return signLater(hash, data, { key }, (signature) => signature);
    },
    verify(key, data, signature) {
      if (!isRsa(key)) return false;
      const modulusBytes = Math.ceil((key.asymmetricKeyDetails?.modulusLength ?? 0) / 8);
      if (signature.length === 0 || signature.length > modulusBytes) return false;
      // Some signers leave out leading zeros; OpenSSH puts them back, and so do we.
      const whole = Buffer.alloc(modulusBytes);
      whole.set(signature, modulusBytes - signature.length);
      return holds(() => cryptoVerify(hash, data, key, whole));
    },
  };
}

/** Signs on the thread pool. `data` is copied: the caller may reuse it at once. */
function signLater(
  hash: SignatureHash,
  data: Uint8Array,
  key: { readonly key: KeyObject; readonly dsaEncoding?: "ieee-p1363" },
  encode: (signature: Uint8Array) => Uint8Array,
): Slow<Uint8Array> {
  const copy = Uint8Array.from(data);
  return new Slow(
    () =>
      new Promise((resolve, reject) => {
        cryptoSign(hash, copy, key, (error, signature) => {
          if (error === null) resolve(encode(signature));
          else reject(error);
        });
      }),
  );
}

const rows: readonly SignatureAlgorithm[] = [
  ed25519(),
  ecdsa("P-256", "nistp256", "sha256"),
  ecdsa("P-384", "nistp384", "sha384"),
  ecdsa("P-521", "nistp521", "sha512"),
  rsa("rsa-sha2-512", "sha512"),
  rsa("rsa-sha2-256", "sha256"),
  // SHA-1: only where an operator turns it on for a named old upstream, so never in the defaults.
  rsa("ssh-rsa", "sha1"),
];

/** Signature algorithms over plain keys, by name. */
export const signatureAlgorithms: ReadonlyMap<string, SignatureAlgorithm> = new Map(
  rows.map((row) => [row.name, row]),
);
