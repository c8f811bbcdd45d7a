import { randomBytes } from "node:crypto";

/** Without i, l, o and u: nothing to misread, no word by chance (Crockford's base 32). */
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";

/** A random name of `length` characters, five bits each, easy to read aloud and to grep for. */
export function randomId(length: number = 10): string {
  let id = "";
  for (const byte of randomBytes(length)) id += alphabet[byte & 31];
  return id;
}

/** The name of one session through all log lines: 50 random bits, so that two rarely meet in one log. */
export function newSessionId(): string {
  return randomId(10);
}
