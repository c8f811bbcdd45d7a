import { sourceAllowed } from "./addresses.ts";
import { checkCertificate } from "./certificate-check.ts";
import { keyErrors } from "./errors.ts";
import { isKeyTypeName, parsePlainKeyLine } from "./key-line.ts";
import { defaultKeyOptions, endOfOptions, type KeyOptions, parseKeyOptions } from "./key-options.ts";
import type { Certificate, LineWarning, PublicKey } from "./shapes.ts";

/** A line of an authorized_keys file. */
export interface AuthorizedKey {
  readonly key: PublicKey;
  readonly options: KeyOptions;
  readonly comment: string;
  readonly fileName: string;
  /** Counted from 1. */
  readonly line: number;
}

/**
 * Parses an authorized_keys file (sshd(8)). It never throws: a line that sshd would not honour is passed over, above all one with
 * an option that is not known, and `warn` is told why.
 */
export function parseAuthorizedKeys(
  text: string,
  fileName: string,
  warn?: (warning: LineWarning) => void,
): AuthorizedKey[] {
  const keys: AuthorizedKey[] = [];
  for (const [index, content] of text.split("\n").entries()) {
    const line = content.trim();
    if (line === "" || line.startsWith("#")) continue;
    const place = { fileName, line: index + 1 };
    const parsed = parseLine(line);
    if (typeof parsed === "string") warn?.({ ...place, reason: parsed });
    else keys.push({ ...parsed, ...place });
  }
  return keys;
}

/** The line's content, or why it has none. */
function parseLine(line: string): Pick<AuthorizedKey, "key" | "options" | "comment"> | string {
  let options = defaultKeyOptions;
  let keyText = line;
  if (!isKeyTypeName(firstWord(line))) {
    const end = endOfOptions(line);
    if (end === undefined) return "the quotes in the options do not end";
    keyText = line.slice(end).trimStart();
    const type = firstWord(keyText);
    if (!isKeyTypeName(type)) return `there is no type of key that is known here`;
    const result = parseKeyOptions(line.slice(0, end));
    if (result.options === undefined) return result.reason;
    ({ options } = result);
  }
  try {
    return { ...parsePlainKeyLine(keyText), options };
  } catch (error) {
    if (error instanceof keyErrors.OPERATOR_KEY_INVALID) return error.message;
    throw error;
  }
}

function firstWord(text: string): string {
  return text.split(/[ \t]/, 1)[0] ?? "";
}

/** Who comes with a key. */
export interface KeyBearer {
  /** The name to log in as. */
  readonly user: string;
  readonly address: string;
  /** If it has been looked up. */
  readonly hostName?: string;
  readonly nowSeconds: number;
}

/**
 * Whether a line lets a key in: undefined if it does, else the reason. It compares the key (or the certificate's authority), then
 * looks at `from`, `expiry-time`, and for certificates at `checkCertificate` with the line's principals or else the user's name.
 * `isForKey` tells the lines that are about a key at all. The demands on FIDO signatures are left to `missingPresence`.
 */
export function checkAuthorizedKey(
  line: AuthorizedKey,
  key: PublicKey | Certificate,
  bearer: KeyBearer,
): string | undefined {
  const { options } = line;
  if (!isForKey(line, key)) return "the line is about another key";
  // As sshd: this second still counts.
  if (options.expiresAtSeconds !== undefined && options.expiresAtSeconds < bearer.nowSeconds)
    return "the key has expired";
  if (options.principals !== undefined && !options.certAuthority) return "principals without cert-authority";
  if (options.from !== undefined && !sourceAllowed(options.from, bearer.address, bearer.hostName)) {
    return "the key may not be used from this address";
  }
  if (!("key" in key)) return undefined;
  return checkCertificate(key, {
    kind: "user",
    principal: options.principals ?? bearer.user,
    nowSeconds: bearer.nowSeconds,
    authorities: [line.key.blob],
    sourceAddress: bearer.address,
  });
}

/** Whether the line is about this key: the key itself, or for a certificate its authority, marked cert-authority. */
export function isForKey(line: AuthorizedKey, key: PublicKey | Certificate): boolean {
  const certificate = "key" in key;
  const blob = certificate ? key.authority.blob : key.blob;
  return line.options.certAuthority === certificate && Buffer.compare(line.key.blob, blob) === 0;
}
