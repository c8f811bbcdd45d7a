import { PosternError } from "#base";
import { decodeAnyKey } from "./certificate.ts";
import { keyErrors } from "./errors.ts";
import { publicKeyTypes } from "./public-key.ts";
import type { Certificate, PublicKey } from "./shapes.ts";
import { certificateName } from "./signature.ts";

const knownNames: ReadonlySet<string> = new Set(
  publicKeyTypes.flatMap((type) => [type, certificateName(type)]),
);

/** A key as text: `type base64 comment`. */
export interface PublicKeyLine {
  readonly key: PublicKey | Certificate;
  readonly comment: string;
}

/**
 * Reads a public key or certificate as a `.pub` file holds it: type, base64, comment. Blanks around it are passed over.
 * Throws OPERATOR_KEY_UNSUPPORTED for a type that is not known, else OPERATOR_KEY_INVALID.
 */
export function parsePublicKeyLine(line: string): PublicKeyLine {
  const [, type, base64, comment] = /^\s*(\S+)[ \t]+(\S+)(?:[ \t]+([^\r\n]*))?\s*$/.exec(line) ?? [];
  if (type === undefined || base64 === undefined) {
    throw new keyErrors.OPERATOR_KEY_INVALID("not of the form: type base64 comment");
  }
  if (!isKeyTypeName(type)) throw new keyErrors.OPERATOR_KEY_UNSUPPORTED(`type ${type.slice(0, 80)}`);
  const key = decodeText(base64);
  if (key.type !== type) throw new keyErrors.OPERATOR_KEY_INVALID(`called ${type}, but it is ${key.type}`);
  return { key, comment: (comment ?? "").trimEnd() };
}

/** Whether a word is the name of a type of key or certificate that can be read here. */
export function isKeyTypeName(word: string): boolean {
  return knownNames.has(word);
}

/** The same for plain keys only, as known_hosts and authorized_keys hold them. Throws as `parsePublicKeyLine`. */
export function parsePlainKeyLine(line: string): { readonly key: PublicKey; readonly comment: string } {
  const { key, comment } = parsePublicKeyLine(line);
  if ("key" in key) throw new keyErrors.OPERATOR_KEY_INVALID("a certificate where a key is due");
  return { key, comment };
}

/** The line of a `.pub` file, without line end. A comment's line ends become blanks. */
export function formatPublicKey(blob: Uint8Array, comment = ""): string {
  const { type } = decodeAnyKey(blob);
  const line = `${type} ${Buffer.from(blob).toString("base64")}`;
  const oneLine = comment.replace(/[\r\n]+/g, " ");
  return oneLine === "" ? line : `${line} ${oneLine}`;
}

function decodeText(base64: string): PublicKey | Certificate {
  if (base64.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) {
    throw new keyErrors.OPERATOR_KEY_INVALID("its base64 is damaged");
  }
  try {
    return decodeAnyKey(Buffer.from(base64, "base64"));
  } catch (cause) {
    if (!(cause instanceof PosternError) || cause.blame !== "PEER") throw cause;
    throw new keyErrors.OPERATOR_KEY_INVALID(cause.message, { cause });
  }
}
