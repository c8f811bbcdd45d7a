import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { cookiesOf, type Fields } from "../fields.ts";

/** Tells one browser from another, at one host, for as long as somebody signs in. */
export const browserCookie = "__Host-postern-browser";

/** What is kept of it: nobody can make the cookie of that. */
export type Binding = Uint8Array;

const lifeSeconds = 3600;

/** The browser's own, or a new one for it: what belongs to it, and what is to be set. */
export function bindingFor(fields: Fields): { readonly binding: Binding; readonly fields: Fields } {
  const value = valueIn(fields) ?? randomBytes(32).toString("base64url");
  const cookie = `${browserCookie}=${value}; Path=/; Max-Age=${lifeSeconds}; Secure; HttpOnly; SameSite=Lax`;
  return { binding: digestOf(value), fields: [["Set-Cookie", cookie]] };
}

/** Whether it is the same browser. */
export function isBound(fields: Fields, binding: Binding): boolean {
  const value = valueIn(fields);
  return value !== undefined && timingSafeEqual(digestOf(value), binding);
}

function valueIn(fields: Fields): string | undefined {
  const values = cookiesOf(fields, browserCookie);
  const [value] = values;
  return values.length === 1 && value !== undefined && /^[\w-]{43}$/.test(value) ? value : undefined;
}

function digestOf(value: string): Uint8Array {
  return createHash("sha256").update(value).digest();
}
