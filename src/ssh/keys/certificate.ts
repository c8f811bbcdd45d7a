import { PosternError } from "#base";
import { Reader, Writer } from "#ssh/wire";
import { keyErrors } from "./errors.ts";
import { decodePublicKey, type KeyFields, readKeyFields } from "./public-key.ts";
import type { Certificate, PublicKey } from "./shapes.ts";
import { isCertificateType, plainName, signatureAlgorithmOf, verifySignature } from "./signature.ts";

/** OpenSSH's SSHKEY_CERT_MAX_PRINCIPALS. */
export const maxPrincipals = 256;
/** No certificate that OpenSSH makes has more than a dozen. */
const maxOptions = 256;

/**
 * Decodes an OpenSSH certificate and verifies its authority's signature (PROTOCOL.certkeys). Whether it is trusted, in time and
 * for whom, `checkCertificate` says. The blob is copied. Throws PEER_CERTIFICATE_INVALID.
 */
export function decodeCertificate(blob: Uint8Array): Certificate {
  try {
    return decode(Uint8Array.from(blob));
  } catch (cause) {
    if (!(cause instanceof PosternError) || cause.blame !== "PEER") throw cause;
    if (cause.code === "PEER_CERTIFICATE_INVALID") throw cause;
    throw new keyErrors.PEER_CERTIFICATE_INVALID(cause.message, { cause });
  }
}

/** Decodes whatever the type in front says. Throws PEER_KEY_INVALID or PEER_CERTIFICATE_INVALID. */
export function decodeAnyKey(blob: Uint8Array): PublicKey | Certificate {
  const type = signatureAlgorithmOf(blob); // signatures and keys both begin with their name
  return type !== undefined && isCertificateType(type) ? decodeCertificate(blob) : decodePublicKey(blob);
}

function decode(blob: Uint8Array): Certificate {
  const reader = new Reader(blob);
  const type = reader.ascii();
  if (!isCertificateType(type))
    throw new keyErrors.PEER_CERTIFICATE_INVALID("a plain key, not a certificate");
  reader.string(); // the nonce
  const fieldsAt = reader.offset;
  const fields = readKeyFields(plainName(type), reader);
  const key = plainKey(plainName(type), fields, blob.subarray(fieldsAt, reader.offset));
  const serial = reader.u64();
  const kind = kindOf(reader.u32());
  const keyId = text(reader);
  const principals = readPrincipals(reader.string());
  const validAfter = reader.u64();
  const validBefore = reader.u64();
  const criticalOptions = readOptions(reader.string());
  const extensions = readOptions(reader.string());
  reader.string(); // reserved
  const authority = decodePublicKey(reader.string());
  const signed = blob.subarray(0, reader.offset);
  const signature = reader.string();
  reader.expectEnd();
  const signatureAlgorithm = verifyAuthority(authority, signed, signature);
  return {
    type,
    blob,
    key,
    serial,
    kind,
    keyId,
    principals,
    validAfter,
    validBefore,
    criticalOptions,
    extensions,
    authority,
    signatureAlgorithm,
  };
}

function plainKey(type: string, fields: KeyFields, encoded: Uint8Array): PublicKey {
  const blob = Uint8Array.from(new Writer(encoded.length + 64).string(type).raw(encoded).bytes());
  return { type, blob, ...fields };
}

function kindOf(value: number): "user" | "host" {
  if (value === 1) return "user";
  if (value === 2) return "host";
  throw new keyErrors.PEER_CERTIFICATE_INVALID(`kind ${value} is not known`);
}

function verifyAuthority(authority: PublicKey, signed: Uint8Array, signature: Uint8Array): string {
  const algorithm = signatureAlgorithmOf(signature) ?? "";
  // SHA-1 and short keys are verified too, so that the refusal by `checkCertificate` names the true reason.
  const verdict = verifySignature(authority, algorithm, signed, signature, { minRsaBits: 0 });
  if (!verdict.valid)
    throw new keyErrors.PEER_CERTIFICATE_INVALID(`of its authority: ${verdict.reason ?? ""}`);
  return algorithm;
}

function readPrincipals(bytes: Uint8Array): readonly string[] {
  const reader = new Reader(bytes);
  const principals: string[] = [];
  while (reader.left > 0) {
    if (principals.length === maxPrincipals)
      throw new keyErrors.PEER_CERTIFICATE_INVALID("too many principals");
    principals.push(text(reader));
  }
  return principals;
}

function readOptions(bytes: Uint8Array): ReadonlyMap<string, Uint8Array> {
  const reader = new Reader(bytes);
  const options = new Map<string, Uint8Array>();
  while (reader.left > 0) {
    const name = text(reader);
    if (options.has(name)) throw new keyErrors.PEER_CERTIFICATE_INVALID(`two options ${name.slice(0, 80)}`);
    if (options.size === maxOptions) throw new keyErrors.PEER_CERTIFICATE_INVALID("too many options");
    options.set(name, reader.string());
  }
  return options;
}

/** Text without NUL, which C programs on the other side would read as its end. */
function text(reader: Reader): string {
  const value = reader.text();
  if (value.includes("\0")) throw new keyErrors.PEER_CERTIFICATE_INVALID("text with a NUL");
  return value;
}

/** What a user certificate demands and grants, decoded. */
export interface CertificateOptions {
  /** The only command that may run, whatever the client asks for. */
  readonly forceCommand?: string;
  /** Addresses and networks that the certificate may be used from, comma-separated. */
  readonly sourceAddress?: string;
  /** FIDO: the authenticator must have asked for PIN or finger. */
  readonly verifyRequired: boolean;
  /** FIDO: false if the extension no-touch-required is there. */
  readonly touchRequired: boolean;
  readonly agentForwarding: boolean;
  readonly portForwarding: boolean;
  readonly pty: boolean;
  readonly userRc: boolean;
  readonly x11Forwarding: boolean;
}

/**
 * Decodes the options of a user certificate that OpenSSH knows (PROTOCOL.certkeys, "Critical options", "Extensions"); unknown
 * extensions are passed over. Throws PEER_CERTIFICATE_INVALID for an unknown critical option and for malformed data.
 */
export function certificateOptions(certificate: Certificate): CertificateOptions {
  const { criticalOptions, extensions } = certificate;
  for (const name of criticalOptions.keys()) {
    if (name !== "force-command" && name !== "source-address" && name !== "verify-required") {
      throw new keyErrors.PEER_CERTIFICATE_INVALID(`critical option ${name.slice(0, 80)} is not known`);
    }
  }
  const forceCommand = innerText(criticalOptions.get("force-command"));
  const sourceAddress = innerText(criticalOptions.get("source-address"));
  return {
    ...(forceCommand === undefined ? {} : { forceCommand }),
    ...(sourceAddress === undefined ? {} : { sourceAddress }),
    verifyRequired: isFlag(criticalOptions, "verify-required"),
    touchRequired: !isFlag(extensions, "no-touch-required"),
    agentForwarding: isFlag(extensions, "permit-agent-forwarding"),
    portForwarding: isFlag(extensions, "permit-port-forwarding"),
    pty: isFlag(extensions, "permit-pty"),
    userRc: isFlag(extensions, "permit-user-rc"),
    x11Forwarding: isFlag(extensions, "permit-X11-forwarding"),
  };
}

function innerText(data: Uint8Array | undefined): string | undefined {
  if (data === undefined) return undefined;
  try {
    const reader = new Reader(data);
    const value = text(reader);
    reader.expectEnd();
    return value;
  } catch (cause) {
    throw new keyErrors.PEER_CERTIFICATE_INVALID("an option's data is malformed", { cause });
  }
}

function isFlag(options: ReadonlyMap<string, Uint8Array>, name: string): boolean {
  const data = options.get(name);
  if (data === undefined) return false;
  if (data.length > 0) throw new keyErrors.PEER_CERTIFICATE_INVALID(`option ${name} with data`);
  return true;
}
