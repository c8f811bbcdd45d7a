import { randomBytes } from "node:crypto";
import { Slow } from "#ssh/algorithms";
import { Reader, Writer } from "#ssh/wire";
import { decodeCertificate, maxPrincipals } from "./certificate.ts";
import { keyErrors } from "./errors.ts";
import type { Certificate, KeySigner, PublicKey } from "./shapes.ts";
import { certificateName, keyAlgorithms } from "./signature.ts";

/** What a certificate is to say. */
export interface CertificateContents {
  readonly kind: "user" | "host";
  /** The key that is certified. */
  readonly key: PublicKey;
  /** Chosen by the authority; revocation lists name it. */
  readonly serial: bigint;
  /** For logs: whom it was made for. */
  readonly keyId: string;
  /** Names of users or of hosts; at least one, since none would mean everybody to older servers. */
  readonly principals: readonly string[];
  /** Seconds since 1970; valid from this second on. */
  readonly validAfter: bigint;
  /** Seconds since 1970; invalid from this second on. */
  readonly validBefore: bigint;
  /** Name to text, "" for an option without data; only in user certificates. */
  readonly criticalOptions?: ReadonlyMap<string, string>;
  /** Names of extensions without data; only in user certificates. */
  readonly extensions?: readonly string[];
}

/** As OpenSSH's: enough that nobody can choose what an authority signs. */
const nonceBytes = 32;

/**
 * Makes an OpenSSH certificate (PROTOCOL.certkeys) and has the authority sign it by its best algorithm. What comes back has been
 * decoded and verified again. Throws BUG_CERTIFICATE_CONTENTS for contents that no certificate should have, and what the signer
 * throws.
 */
export async function signCertificate(
  contents: CertificateContents,
  authority: KeySigner,
): Promise<Certificate> {
  checkContents(contents);
  const [algorithm = ""] = keyAlgorithms(authority.publicKey);
  const body = encodeBody(contents, authority.publicKey.blob);
  const signature = authority.sign(algorithm, body);
  const signed = signature instanceof Slow ? await signature.run() : await signature;
  return decodeCertificate(new Writer(body.length + signed.length + 4).raw(body).string(signed).bytes());
}

/** Everything that the signature covers. */
function encodeBody(contents: CertificateContents, authority: Uint8Array): Uint8Array {
  const { kind, key, serial, keyId, principals, validAfter, validBefore } = contents;
  const fields = new Reader(key.blob);
  fields.string(); // the type, which the certificate's stands in for
  const names = new Writer();
  for (const principal of principals) names.string(principal);
  const extensions = (contents.extensions ?? []).map((name): [string, string] => [name, ""]);
  return new Writer(1024)
    .string(certificateName(key.type))
    .string(randomBytes(nonceBytes))
    .raw(fields.rest())
    .u64(serial)
    .u32(kind === "user" ? 1 : 2)
    .string(keyId)
    .string(names.bytes())
    .u64(validAfter)
    .u64(validBefore)
    .string(encodeOptions([...(contents.criticalOptions ?? [])]))
    .string(encodeOptions(extensions))
    .string("") // reserved
    .string(authority)
    .bytes();
}

/** In the order of their names, as the format demands; text as a string within the data. */
function encodeOptions(options: readonly (readonly [name: string, text: string])[]): Uint8Array {
  const writer = new Writer();
  for (const [name, text] of options.toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    writer.string(name).string(text === "" ? "" : new Writer().string(text).bytes());
  }
  return writer.bytes();
}

function checkContents(contents: CertificateContents): void {
  const { kind, keyId, principals, validAfter, validBefore, criticalOptions, extensions = [] } = contents;
  const wrong = (why: string): never => {
    throw new keyErrors.BUG_CERTIFICATE_CONTENTS(why);
  };
  if (principals.length === 0) wrong("no principals");
  if (principals.length > maxPrincipals) wrong(`more than ${maxPrincipals} principals`);
  if (principals.includes("")) wrong("an empty principal");
  if (validAfter >= validBefore) wrong("it would never be valid");
  const options = [...(criticalOptions ?? [])];
  if (kind === "host" && options.length + extensions.length > 0) wrong("a host certificate with options");
  if (new Set(extensions).size < extensions.length) wrong("an extension twice");
  // What C programs on the other side would read as the end of a text.
  if ([keyId, ...principals, ...options.flat(), ...extensions].some((text) => text.includes("\0"))) {
    wrong("text with a NUL");
  }
}
