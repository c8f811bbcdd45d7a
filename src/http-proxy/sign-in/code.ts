import { randomInt } from "node:crypto";

/** Consonants that are not taken for each other, and make no words (RFC 8628, section 6.1). */
const letters = "BCDFGHJKLMNPQRSTVWXZ";
const half = 4;

/** What a person reads in a terminal and types in a browser: one of 20^8, some 34 bits. */
export function newCode(): string {
  const part = (): string => Array.from({ length: half }, () => letters[randomInt(letters.length)]).join("");
  return `${part()}-${part()}`;
}

/** As it was shown, of what a person typed: in any case, with any dashes and blanks. Undefined: it is no code. */
export function readCode(typed: string): string | undefined {
  if (typed.length > 40) return undefined;
  const bare = typed.toUpperCase().replaceAll(/[\s\u2010-\u2015-]/g, "");
  return new RegExp(`^[${letters}]{${2 * half}}$`).test(bare)
    ? `${bare.slice(0, half)}-${bare.slice(half)}`
    : undefined;
}
