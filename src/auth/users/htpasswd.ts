import { parsePasswordHash } from "../password/hash.ts";

/** A line that lets nobody in. */
export interface HtpasswdWarning {
  readonly line: number;
  readonly name: string;
  readonly reason: string;
}

const makeNew = "make a new one with `htpasswd -B`, or `postern user password`";

/**
 * Reads Apache's htpasswd: NAME:HASH, one to a line. Of its hashes bcrypt alone is taken: the others are as good as plain text to
 * whoever finds the file. Lines that cannot be used are told to `warn`.
 */
export function parseHtpasswd(text: string, warn: (warning: HtpasswdWarning) => void): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const [at, raw] of text.split("\n").entries()) {
    const line = raw.replace(/\r$/, "");
    if (line.trim() === "" || line.startsWith("#")) continue;
    const colon = line.indexOf(":");
    const name = colon < 0 ? "" : line.slice(0, colon);
    // A third field, as in files of htdigest's kin, is not the hash's.
    const [hash = ""] = line.slice(colon + 1).split(":");
    const reason = name === "" ? "it has no name before a colon" : refuse(hash);
    if (reason === undefined) found.set(name, [...(found.get(name) ?? []), hash]);
    else warn({ line: at + 1, name, reason });
  }
  return found;
}

function refuse(hash: string): string | undefined {
  if (hash.startsWith("{SHA}")) return `{SHA} is SHA-1 without salt, found in no time: ${makeNew}`;
  if (hash.startsWith("$apr1$")) return `$apr1$ is MD5, too quick to try out: ${makeNew}`;
  if (!hash.startsWith("$2"))
    return `the hash is not bcrypt (crypt(3) and plain text are not taken): ${makeNew}`;
  try {
    parsePasswordHash(hash);
    return undefined;
  } catch {
    return `the bcrypt hash is malformed, or its cost is below 4 or above 16: ${makeNew}`;
  }
}
