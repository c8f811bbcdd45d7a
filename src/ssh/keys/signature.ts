import { hash } from "node:crypto";
import { PosternError } from "#base";
import { signatureAlgorithms } from "#ssh/algorithms";
import { Reader, Writer } from "#ssh/wire";
import type { Certificate, PublicKey, SignatureVerdict } from "./shapes.ts";

/** RSA keys shorter than this prove nothing, unless the caller says otherwise (NIST SP 800-131A: 2048 bits at least). */
export const defaultMinRsaBits = 2048;

const certificateSuffix = "-cert-v01@openssh.com";
const vendorSuffix = "@openssh.com";

/** FIDO signatures are those of a plain algorithm over another message (PROTOCOL.u2f). */
const fidoAlgorithms: ReadonlyMap<string, string> = new Map([
  ["sk-ssh-ed25519@openssh.com", "ssh-ed25519"],
  ["sk-ecdsa-sha2-nistp256@openssh.com", "ecdsa-sha2-nistp256"],
]);
/** Authenticator data, flags (WebAuthn, section 6.1). */
const fidoFlagTouched = 0x01;
const fidoFlagVerified = 0x04;

/** True for a name such as "rsa-sha2-512-cert-v01@openssh.com": of a certificate, or of an algorithm to sign for one. */
export function isCertificateType(name: string): boolean {
  return name.endsWith(certificateSuffix);
}

/** The name without the certificate: of "ssh-rsa-cert-v01@openssh.com" it is "ssh-rsa". Other names stay as they are. */
export function plainName(name: string): string {
  if (!isCertificateType(name)) return name;
  const stem = name.slice(0, -certificateSuffix.length);
  return stem.startsWith("sk-") ? stem + vendorSuffix : stem;
}

/** The name with the certificate: the reverse of `plainName`. */
export function certificateName(name: string): string {
  const stem = name.endsWith(vendorSuffix) ? name.slice(0, -vendorSuffix.length) : name;
  return stem + certificateSuffix;
}

/**
 * What a key, or the key of a certificate, can sign with, best first; the names are those of the user authentication request and
 * of the negotiation of host keys, so a certificate's end in "-cert-v01@openssh.com". Never SHA-1.
 */
export function keyAlgorithms(key: PublicKey | Certificate): readonly string[] {
  const type = plainName(key.type);
  const plain = type === "ssh-rsa" ? ["rsa-sha2-512", "rsa-sha2-256"] : [type];
  return isCertificateType(key.type) ? plain.map(certificateName) : plain;
}

/** Whether a key of this type can sign with an algorithm; "ssh-rsa" (SHA-1) counts. */
export function algorithmFits(keyType: string, algorithm: string): boolean {
  if (isCertificateType(keyType) !== isCertificateType(algorithm)) return false;
  const type = plainName(keyType);
  const plain = plainName(algorithm);
  return plain === type || (type === "ssh-rsa" && (plain === "rsa-sha2-256" || plain === "rsa-sha2-512"));
}

export interface VerifyOptions {
  /** Default 2048. */
  readonly minRsaBits?: number;
}

/**
 * Verifies a whole signature blob: `string algorithm, string signature`, for FIDO keys also `byte flags, uint32 counter`
 * (RFC 4253, section 6.6; RFC 8332, section 3; PROTOCOL.u2f). Never throws for what a peer can send: a bad signature is a value.
 *
 * `algorithm` is the one that was agreed upon, or named in the request: it must fit the key, and the blob must name it (for a
 * certificate, its plain form). Whether the algorithm is allowed at all, "ssh-rsa" above all, the caller decides.
 */
export function verifySignature(
  key: PublicKey | Certificate,
  algorithm: string,
  data: Uint8Array,
  signatureBlob: Uint8Array,
  options: VerifyOptions = {},
): SignatureVerdict {
  if (!algorithmFits(key.type, algorithm)) return refused("the algorithm does not fit the key");
  const plain = "key" in key ? key.key : key;
  if (plain.type === "ssh-rsa" && plain.bits < (options.minRsaBits ?? defaultMinRsaBits)) {
    return refused(`the RSA key has only ${plain.bits} bits`);
  }
  try {
    const reader = new Reader(signatureBlob);
    if (reader.ascii() !== plainName(algorithm)) return refused("the signature is by another algorithm");
    const verdict = fidoAlgorithms.has(plain.type)
      ? verifyFido(plain, data, reader)
      : verifyPlain(plain, plainName(algorithm), data, reader);
    return verdict;
  } catch (error) {
    if (error instanceof PosternError && error.blame === "PEER") return refused(error.message);
    throw error;
  }
}

/** The name of the algorithm in a signature blob; undefined if there is none. */
export function signatureAlgorithmOf(signatureBlob: Uint8Array): string | undefined {
  try {
    return new Reader(signatureBlob).ascii();
  } catch {
    return undefined;
  }
}

/** What the options of a key ask of a FIDO signature; keys of other kinds satisfy everything, as with sshd. */
export function missingPresence(
  verdict: SignatureVerdict,
  demands: { readonly touchRequired: boolean; readonly verifyRequired: boolean },
): string | undefined {
  if (demands.touchRequired && verdict.touched === false) return "the authenticator was not touched";
  if (demands.verifyRequired && verdict.verified === false)
    return "the authenticator did not ask who is there";
  return undefined;
}

function verifyPlain(key: PublicKey, name: string, data: Uint8Array, reader: Reader): SignatureVerdict {
  const signature = reader.string();
  reader.expectEnd();
  const algorithm = signatureAlgorithms.get(name);
  if (algorithm === undefined) return refused(`${name} is not known`);
  return algorithm.verify(key.keyObject, data, signature)
    ? { valid: true }
    : refused("the signature is wrong");
}

function verifyFido(key: PublicKey, data: Uint8Array, reader: Reader): SignatureVerdict {
  const signature = reader.string();
  const flags = reader.u8();
  const counter = reader.u32();
  reader.expectEnd();
  const algorithm = signatureAlgorithms.get(fidoAlgorithms.get(key.type) ?? "");
  if (algorithm === undefined) return refused(`${key.type} is not known`);
  const signed = new Writer(69)
    .raw(hash("sha256", key.application ?? "", "buffer"))
    .u8(flags)
    .u32(counter)
    .raw(hash("sha256", data, "buffer"))
    .bytes();
  if (!algorithm.verify(key.keyObject, signed, signature)) return refused("the signature is wrong");
  return {
    valid: true,
    touched: (flags & fidoFlagTouched) !== 0,
    verified: (flags & fidoFlagVerified) !== 0,
    counter,
  };
}

function refused(reason: string): SignatureVerdict {
  return { valid: false, reason };
}
