import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { derOctetString, derSequence, spkiBits } from "./der.ts";

/**
 * Keys as bytes <-> KeyObject, by the cheapest way this Node has (measured): JWK and raw formats where they are, and a fixed DER
 * prefix where a Node below 26 may lack the raw ones.
 */
export type EcCurve = "P-256" | "P-384" | "P-521";

/** What node:crypto calls a curve, the length of its field and order, its OID in DER, and its order. */
export interface EcCurveRow {
  readonly node: string;
  readonly bytes: number;
  readonly oid: Uint8Array;
  readonly order: Uint8Array;
}

export const ecCurves: Readonly<Record<EcCurve, EcCurveRow>> = {
  "P-256": {
    node: "prime256v1",
    bytes: 32,
    oid: Buffer.from("06082a8648ce3d030107", "hex"),
    order: Buffer.from("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", "hex"),
  },
  "P-384": {
    node: "secp384r1",
    bytes: 48,
    oid: Buffer.from("06052b81040022", "hex"),
    order: Buffer.from(
      "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
      "hex",
    ),
  },
  "P-521": {
    node: "secp521r1",
    bytes: 66,
    oid: Buffer.from("06052b81040023", "hex"),
    order: Buffer.from(
      "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
      "hex",
    ),
  },
};

const x25519Pkcs8 = Buffer.from("302e020100300506032b656e04220420", "hex");
const mlKemPkcs8 = Buffer.from("3054020100300b060960864801650304040204428040", "hex");
const mlKemSpki = Buffer.from("308204b2300b0609608648016503040402038204a100", "hex");

/** Whether this Node imports and exports the raw formats; otherwise DER has to do. */
export const hasRawKeys: boolean = probeRawKeys();

function probeRawKeys(): boolean {
  try {
    const key = createPrivateKey({
      key: new Uint8Array(32),
      format: "raw-private",
      asymmetricKeyType: "x25519",
    });
    return createPublicKey(key).export({ format: "raw-public" }).length === 32;
  } catch {
    return false;
  }
}

/** X25519 private key from 32 bytes; `raw` is for tests of both ways. */
export function x25519Private(bytes: Uint8Array, raw: boolean = hasRawKeys): KeyObject {
  return raw
    ? createPrivateKey({ key: bytes, format: "raw-private", asymmetricKeyType: "x25519" })
    : createPrivateKey({ key: Buffer.concat([x25519Pkcs8, bytes]), format: "der", type: "pkcs8" });
}

/** The public value, 32 bytes, of a private key. */
export function x25519PublicBytes(privateKey: KeyObject): Uint8Array {
  return Buffer.from(createPublicKey(privateKey).export({ format: "jwk" }).x ?? "", "base64url");
}

/** X25519 public key from 32 bytes; every value is one. */
export function x25519Public(bytes: Uint8Array): KeyObject {
  return createPublicKey({ key: { kty: "OKP", crv: "X25519", x: base64url(bytes) }, format: "jwk" });
}

/** Whether 0 < number < order. Asked before the import: by the raw format OpenSSL takes 0 for a private key. */
export function isEcPrivate(curve: EcCurve, number: Uint8Array): boolean {
  const { bytes, order } = ecCurves[curve];
  return number.length === bytes && number.some((byte) => byte !== 0) && Buffer.compare(number, order) < 0;
}

/** Private key from its big-endian number, as long as the curve's order and below it. */
export function ecPrivate(curve: EcCurve, bytes: Uint8Array, raw: boolean = hasRawKeys): KeyObject {
  const { node, oid } = ecCurves[curve];
  if (raw) {
    return createPrivateKey({
      key: bytes,
      format: "raw-private",
      asymmetricKeyType: "ec",
      namedCurve: node,
    });
  }
  const version = Uint8Array.of(0x02, 1, 1);
  const sec1 = derSequence(version, derOctetString(bytes), Uint8Array.of(0xa0, oid.length), oid);
  return createPrivateKey({ key: Buffer.from(sec1), format: "der", type: "sec1" });
}

/** The public point, uncompressed (SEC 1, section 2.3.3), of a private key. */
export function ecPublicBytes(privateKey: KeyObject): Uint8Array {
  const { x, y } = createPublicKey(privateKey).export({ format: "jwk" });
  return Buffer.concat([
    Uint8Array.of(4),
    Buffer.from(x ?? "", "base64url"),
    Buffer.from(y ?? "", "base64url"),
  ]);
}

/** Public key from an uncompressed point of the right length. Throws what node:crypto throws when it is not on the curve. */
export function ecPublic(curve: EcCurve, point: Uint8Array): KeyObject {
  const { bytes } = ecCurves[curve];
  const x = base64url(point.subarray(1, 1 + bytes));
  const y = base64url(point.subarray(1 + bytes));
  return createPublicKey({ key: { kty: "EC", crv: curve, x, y }, format: "jwk" });
}

/** ML-KEM-768 decapsulation key from its seed of 64 bytes (d and z of FIPS 203). The DER form is the faster one, and older. */
export function mlKemPrivate(seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([mlKemPkcs8, seed]), format: "der", type: "pkcs8" });
}

/** The encapsulation key, 1184 bytes, of a decapsulation key. */
export function mlKemPublicBytes(privateKey: KeyObject, raw: boolean = hasRawKeys): Uint8Array {
  const key = createPublicKey(privateKey);
  return raw ? key.export({ format: "raw-public" }) : spkiBits(key.export({ format: "der", type: "spki" }));
}

/** ML-KEM-768 encapsulation key from 1184 bytes. Throws what node:crypto throws when they are not one (FIPS 203, section 7.2). */
export function mlKemPublic(bytes: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([mlKemSpki, bytes]), format: "der", type: "spki" });
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64url");
}
