import type { ShownLogin } from "#contract";

/** `Basic` credentials (RFC 7617). Undefined: there are none, or they cannot be read. */
export function basicLogin(header: string | undefined): ShownLogin | undefined {
  const [, text] = /^basic +([A-Za-z0-9+/]+={0,2}) *$/i.exec(header ?? "") ?? [];
  const bytes = Buffer.from(text ?? "", "base64");
  const colon = bytes.indexOf(0x3a);
  if (colon < 0) return undefined;
  const user = bytes.subarray(0, colon).toString("utf8");
  // What is no UTF-8 is nobody's name.
  return Buffer.from(user).equals(bytes.subarray(0, colon))
    ? { user, password: bytes.subarray(colon + 1) }
    : undefined;
}
