import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign as nodeSign,
  verify as nodeVerify,
} from "node:crypto";
import { type SignatureAlgorithm, Slow, signatureAlgorithms } from "#ssh/algorithms";
import { Writer } from "#ssh/wire";
import { keyErrors } from "./errors.ts";
import { openContainer, type PrivateKeyFile, sealContainer } from "./openssh-private.ts";
import { decodePublicKey, encodePublicKey } from "./public-key.ts";
import type { Certificate, PublicKey } from "./shapes.ts";
import { algorithmFits, keyAlgorithms, plainName } from "./signature.ts";

/** A private key that this process holds, alone or with a certificate. Also the shape of a host key. */
export interface PrivateKey {
  readonly publicKey: PublicKey;
  /** Sent to the peer: of the public key, or of the certificate. */
  readonly blob: Uint8Array;
  readonly comment: string;
  /** What it can sign with, best first, as negotiated; never SHA-1. */
  readonly algorithms: readonly string[];
  readonly keyObject: KeyObject;
  /**
   * The whole signature blob: `string algorithm, string signature`. For a certificate, `algorithm` is the certificate's, and the
   * blob names its plain form. "ssh-rsa" (SHA-1) works where the caller has been allowed it. RSA is Slow. Throws
   * BUG_KEY_ALGORITHM for an algorithm that does not fit.
   */
  sign(algorithm: string, data: Uint8Array): Uint8Array | Slow<Uint8Array>;
}

/** What `generatePrivateKey` can make. */
export type GeneratedType =
  | "ssh-ed25519"
  | "ecdsa-sha2-nistp256"
  | "ecdsa-sha2-nistp384"
  | "ecdsa-sha2-nistp521"
  | "ssh-rsa";

const generatedRsaBits = 3072;

/** Makes a key; RSA has 3072 bits and may take a second or two, during which nothing else runs. */
export function generatePrivateKey(type: GeneratedType, comment = ""): PrivateKey {
  const { privateKey } = generateKeyObject(type);
  return fromKeyObject(privateKey, comment);
}

function generateKeyObject(type: GeneratedType): { readonly privateKey: KeyObject } {
  switch (type) {
    case "ssh-ed25519":
      return generateKeyPairSync("ed25519");
    case "ecdsa-sha2-nistp256":
      return generateKeyPairSync("ec", { namedCurve: "P-256" });
    case "ecdsa-sha2-nistp384":
      return generateKeyPairSync("ec", { namedCurve: "P-384" });
    case "ecdsa-sha2-nistp521":
      return generateKeyPairSync("ec", { namedCurve: "P-521" });
    case "ssh-rsa":
      return generateKeyPairSync("rsa", { modulusLength: generatedRsaBits });
  }
}

/**
 * Reads a private key file: OpenSSH's own format (PROTOCOL.key), or PEM with PKCS#1, SEC 1 or PKCS#8 in it, encrypted or not.
 * A passphrase that is not needed is ignored.
 *
 * Throws OPERATOR_KEY_PASSPHRASE_NEEDED, OPERATOR_KEY_PASSPHRASE_WRONG, OPERATOR_KEY_UNSUPPORTED or OPERATOR_KEY_INVALID.
 * What was decoded is wiped; `text` and `passphrase` are the caller's. Copies that had to be text, such as the JSON Web Key for
 * node:crypto, stay until they are collected.
 */
export async function parsePrivateKey(
  text: string | Uint8Array,
  passphrase: Uint8Array | string = "",
): Promise<PrivateKey> {
  const content = typeof text === "string" ? text : Buffer.from(text).toString("latin1");
  const secret = typeof passphrase === "string" ? Buffer.from(passphrase, "utf8") : passphrase;
  const armour = /-----BEGIN ([A-Z0-9 ]{1,40})-----(.*?)-----END \1-----/s.exec(content);
  const [block, label, body] = armour ?? [];
  if (block === undefined || label === undefined || body === undefined) {
    throw new keyErrors.OPERATOR_KEY_INVALID("there is no -----BEGIN … PRIVATE KEY----- with its end");
  }
  if (label === "OPENSSH PRIVATE KEY") return await parseOpenssh(body, secret);
  if (!label.endsWith("PRIVATE KEY")) throw new keyErrors.OPERATOR_KEY_UNSUPPORTED(`it holds a ${label}`);
  return fromKeyObject(importPem(block, secret), "");
}

async function parseOpenssh(body: string, passphrase: Uint8Array): Promise<PrivateKey> {
  const base64 = body.replace(/\s+/g, "");
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) throw new keyErrors.OPERATOR_KEY_INVALID("it is not base64");
  const bytes = Buffer.from(base64, "base64");
  try {
    return fromFile(await openContainer(bytes, passphrase));
  } finally {
    bytes.fill(0);
  }
}

function importPem(pem: string, passphrase: Uint8Array): KeyObject {
  const encrypted = /^-----BEGIN ENCRYPTED |^Proc-Type: 4,ENCRYPTED/m.test(pem);
  if (encrypted && passphrase.length === 0) throw new keyErrors.OPERATOR_KEY_PASSPHRASE_NEEDED();
  try {
    // Without encryption the passphrase would be ignored; an empty one keeps OpenSSL from asking at the terminal.
    return createPrivateKey({ key: pem, format: "pem", passphrase: Buffer.from(passphrase) });
  } catch (cause) {
    // OpenSSL reports a wrong passphrase in many ways: as bad padding, or as an unreadable structure inside.
    if (encrypted) throw new keyErrors.OPERATOR_KEY_PASSPHRASE_WRONG("or the file is damaged", { cause });
    throw new keyErrors.OPERATOR_KEY_INVALID("OpenSSL cannot read it", { cause });
  }
}

function fromKeyObject(keyObject: KeyObject, comment: string): PrivateKey {
  const blob = encodePublicKey(createPublicKey(keyObject));
  return fromFile({ publicKey: decodeOwn(blob), keyObject, comment });
}

function decodeOwn(blob: Uint8Array): PublicKey {
  try {
    return decodePublicKey(blob);
  } catch (cause) {
    throw new keyErrors.OPERATOR_KEY_UNSUPPORTED("its public half is none that SSH can use", { cause });
  }
}

function fromFile({ publicKey, keyObject, comment }: PrivateKeyFile): PrivateKey {
  expectPair(publicKey.keyObject, keyObject);
  return {
    publicKey,
    blob: publicKey.blob,
    comment,
    algorithms: keyAlgorithms(publicKey),
    keyObject,
    sign: (algorithm, data) => signBlob(publicKey.type, keyObject, algorithm, data),
  };
}

/** A trial signature: OpenSSL takes halves that do not belong together, and such a key fails at the first login only. */
function expectPair(publicKey: KeyObject, privateKey: KeyObject): void {
  const trial = Buffer.from("postern");
  const hash = publicKey.asymmetricKeyType === "ed25519" ? null : "sha256";
  let right = false;
  try {
    right = nodeVerify(hash, trial, publicKey, nodeSign(hash, trial, privateKey));
  } catch (cause) {
    throw new keyErrors.OPERATOR_KEY_INVALID("it cannot sign", { cause });
  }
  if (!right)
    throw new keyErrors.OPERATOR_KEY_INVALID("its public and private halves do not belong together");
}

function signBlob(
  type: string,
  key: KeyObject,
  algorithm: string,
  data: Uint8Array,
): Uint8Array | Slow<Uint8Array> {
  const name = plainName(algorithm);
  const row: SignatureAlgorithm | undefined = signatureAlgorithms.get(name);
  if (row === undefined || !algorithmFits(plainName(type), name)) {
    throw new keyErrors.BUG_KEY_ALGORITHM(`${type} with ${algorithm}`);
  }
  const inner = row.sign(key, data);
  if (inner instanceof Slow) return new Slow(async () => signatureBlob(name, await inner.run()));
  return signatureBlob(name, inner);
}

function signatureBlob(name: string, signature: Uint8Array): Uint8Array {
  return new Writer(name.length + signature.length + 8).string(name).string(signature).bytes();
}

/** The key together with a certificate for it, as one key. Throws OPERATOR_KEY_INVALID when the certificate is for another key. */
export function withCertificate(key: PrivateKey, certificate: Certificate): PrivateKey {
  if (Buffer.compare(key.publicKey.blob, certificate.key.blob) !== 0) {
    throw new keyErrors.OPERATOR_KEY_INVALID("the certificate is for another key");
  }
  return {
    ...key,
    blob: certificate.blob,
    algorithms: keyAlgorithms(certificate),
    sign(algorithm, data) {
      if (!algorithmFits(certificate.type, algorithm)) {
        throw new keyErrors.BUG_KEY_ALGORITHM(`${certificate.type} with ${algorithm}`);
      }
      return key.sign(plainName(algorithm), data);
    },
  };
}

/**
 * Writes a key in OpenSSH's format, for ssh-keygen and `parsePrivateKey`; with a passphrase, encrypted by aes256-ctr with bcrypt
 * of 24 rounds.
 */
export async function formatPrivateKey(
  key: PrivateKey,
  passphrase: Uint8Array | string = "",
): Promise<string> {
  const secret = typeof passphrase === "string" ? Buffer.from(passphrase, "utf8") : passphrase;
  const bytes = await sealContainer(key, secret);
  const base64 = Buffer.from(bytes).toString("base64");
  bytes.fill(0);
  const lines = base64.match(/.{1,70}/g) ?? [];
  return ["-----BEGIN OPENSSH PRIVATE KEY-----", ...lines, "-----END OPENSSH PRIVATE KEY-----", ""].join(
    "\n",
  );
}
