import { createPublicKey, type KeyObject, type webcrypto } from "node:crypto";
import { PosternError } from "#base";
import { Reader, Writer } from "#ssh/wire";
import { keyErrors } from "./errors.ts";
import type { PublicKey } from "./shapes.ts";

/** OpenSSH's SSH_RSA_MINIMUM_MODULUS_SIZE: nothing shorter is read at all. */
export const minRsaBits = 1024;
/** OpenSSL verifies nothing longer. */
export const maxRsaBits = 16384;
/** No key in use has a longer public exponent; a longer one only costs time to verify. */
const maxRsaExponentBits = 64;

/** The fields of a key after its type, as certificates hold them too. */
export interface KeyFields {
  readonly keyObject: KeyObject;
  readonly bits: number;
  readonly application?: string;
}

interface Curve {
  readonly type: string;
  /** RFC 5656, section 10.1. */
  readonly name: string;
  /** As JSON Web Key calls it (RFC 7518, section 6.2.1.1). */
  readonly jwk: string;
  readonly fieldBytes: number;
  readonly bits: number;
}

export const curves: readonly Curve[] = [
  { type: "ecdsa-sha2-nistp256", name: "nistp256", jwk: "P-256", fieldBytes: 32, bits: 256 },
  { type: "ecdsa-sha2-nistp384", name: "nistp384", jwk: "P-384", fieldBytes: 48, bits: 384 },
  { type: "ecdsa-sha2-nistp521", name: "nistp521", jwk: "P-521", fieldBytes: 66, bits: 521 },
];
const [nistp256] = curves as [Curve, ...Curve[]];

const fieldReaders: ReadonlyMap<string, (reader: Reader) => KeyFields> = new Map([
  ["ssh-ed25519", readEd25519],
  ["ssh-rsa", readRsa],
  ...curves.map((curve) => [curve.type, (reader: Reader) => readEcdsa(reader, curve)] as const),
  ["sk-ssh-ed25519@openssh.com", (reader) => readApplication(reader, readEd25519(reader))],
  ["sk-ecdsa-sha2-nistp256@openssh.com", (reader) => readApplication(reader, readEcdsa(reader, nistp256))],
]);

/** The types of key that can be read, certificates not counted. */
export const publicKeyTypes: readonly string[] = [...fieldReaders.keys()];

/**
 * Decodes a plain public key: RFC 4253, section 6.6; RFC 5656, section 3.1; RFC 8709, section 4; PROTOCOL.u2f.
 * The blob is copied. Throws PEER_KEY_INVALID; also for a certificate.
 */
export function decodePublicKey(blob: Uint8Array): PublicKey {
  return asInvalidKey(() => {
    const copy = Uint8Array.from(blob);
    const reader = new Reader(copy);
    const type = reader.ascii();
    const fields = readKeyFields(type, reader);
    reader.expectEnd();
    return { type, blob: copy, ...fields };
  });
}

/** Reads the fields of a key of a plain type. Throws PEER_KEY_INVALID and the errors of `ssh/wire`. */
export function readKeyFields(type: string, reader: Reader): KeyFields {
  const read = fieldReaders.get(type);
  if (read === undefined) throw new keyErrors.PEER_KEY_INVALID(`type ${type.slice(0, 80)} is not known`);
  return read(reader);
}

/** Runs a decoder; whatever the fields throw becomes PEER_KEY_INVALID. */
function asInvalidKey<T>(decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    if (!(cause instanceof PosternError) || cause.blame !== "PEER") throw cause;
    if (cause.code === "PEER_KEY_INVALID") throw cause;
    throw new keyErrors.PEER_KEY_INVALID(cause.message, { cause });
  }
}

function readEd25519(reader: Reader): KeyFields {
  const x = reader.string();
  if (x.length !== 32) throw new keyErrors.PEER_KEY_INVALID(`an ed25519 key of ${x.length} bytes`);
  return { keyObject: importJwk({ kty: "OKP", crv: "Ed25519", x: base64Url(x) }), bits: 256 };
}

function readEcdsa(reader: Reader, curve: Curve): KeyFields {
  const name = reader.ascii();
  if (name !== curve.name) throw new keyErrors.PEER_KEY_INVALID("curve and type of key differ");
  const { x, y } = splitPoint(reader.string(), curve);
  return {
    keyObject: importJwk({ kty: "EC", crv: curve.jwk, x: base64Url(x), y: base64Url(y) }),
    bits: curve.bits,
  };
}

/** An uncompressed point (SEC 1, section 2.3.3); as OpenSSH, no other form is read. */
function splitPoint(point: Uint8Array, curve: Curve): { x: Uint8Array; y: Uint8Array } {
  const { fieldBytes } = curve;
  if (point.length !== 1 + 2 * fieldBytes || point[0] !== 4) {
    throw new keyErrors.PEER_KEY_INVALID("a point is not uncompressed, or of wrong length");
  }
  return { x: point.subarray(1, 1 + fieldBytes), y: point.subarray(1 + fieldBytes) };
}

function readRsa(reader: Reader): KeyFields {
  const e = reader.mpint();
  const n = reader.mpint();
  const bits = bitLength(n);
  if (bits < minRsaBits || bits > maxRsaBits) throw new keyErrors.PEER_KEY_INVALID(`RSA of ${bits} bits`);
  const exponentBits = bitLength(e);
  if (exponentBits < 2 || exponentBits > maxRsaExponentBits || !isOdd(e) || !isOdd(n)) {
    throw new keyErrors.PEER_KEY_INVALID("RSA with an unusable modulus or exponent");
  }
  return { keyObject: importJwk({ kty: "RSA", n: base64Url(n), e: base64Url(e) }), bits };
}

function readApplication(reader: Reader, fields: KeyFields): KeyFields {
  return { ...fields, application: reader.text() };
}

/** JSON Web Key and not DER: OpenSSL takes it without its slow decoders, and checks that a point is on its curve. */
function importJwk(key: webcrypto.JsonWebKey): KeyObject {
  try {
    return createPublicKey({ key, format: "jwk" });
  } catch (cause) {
    throw new keyErrors.PEER_KEY_INVALID("the numbers of a key do not fit together", { cause });
  }
}

/** The blob of a public key that node:crypto holds. Throws OPERATOR_KEY_UNSUPPORTED for other than ed25519, NIST curves and RSA. */
export function encodePublicKey(keyObject: KeyObject): Uint8Array {
  switch (keyObject.asymmetricKeyType) {
    case "ed25519": {
      const { x } = keyObject.export({ format: "jwk" });
      return new Writer().string("ssh-ed25519").string(fromBase64Url(x)).bytes();
    }
    case "ec": {
      const { crv, x, y } = exportEc(keyObject);
      const curve = curves.find((candidate) => candidate.jwk === crv);
      if (curve === undefined) throw new keyErrors.OPERATOR_KEY_UNSUPPORTED(`curve ${crv}`);
      const point = Buffer.concat([Buffer.of(4), fromBase64Url(x), fromBase64Url(y)]);
      return new Writer().string(curve.type).string(curve.name).string(point).bytes();
    }
    case "rsa": {
      const { e, n } = keyObject.export({ format: "jwk" });
      return new Writer(1024).string("ssh-rsa").mpint(fromBase64Url(e)).mpint(fromBase64Url(n)).bytes();
    }
    default:
      throw new keyErrors.OPERATOR_KEY_UNSUPPORTED(`type ${keyObject.asymmetricKeyType ?? keyObject.type}`);
  }
}

function exportEc(keyObject: KeyObject): webcrypto.JsonWebKey {
  try {
    return keyObject.export({ format: "jwk" });
  } catch (cause) {
    throw new keyErrors.OPERATOR_KEY_UNSUPPORTED("an elliptic curve that SSH does not use", { cause });
  }
}

function bitLength(magnitude: Uint8Array): number {
  const first = magnitude[0];
  return first === undefined ? 0 : magnitude.length * 8 - Math.clz32(first) + 24;
}

function isOdd(magnitude: Uint8Array): boolean {
  return ((magnitude.at(-1) ?? 0) & 1) === 1;
}

export function base64Url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64url");
}

export function fromBase64Url(text: string | undefined): Buffer {
  if (text === undefined) throw new keyErrors.OPERATOR_KEY_INVALID("a number of the key is missing");
  return Buffer.from(text, "base64url");
}
