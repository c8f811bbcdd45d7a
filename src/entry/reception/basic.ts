import type { ShownLogin } from "#contract";

/** `Basic` credentials of HTTP (RFC 7617). Undefined: there are none, or they cannot be read. */
export function basicLogin(header: string | undefined): ShownLogin | undefined {
  const [, text] = /^basic +([A-Za-z0-9+/]+={0,2}) *$/i.exec(header ?? "") ?? [];
  if (text === undefined) return undefined;
  const bytes = Buffer.from(text, "base64");
  const colon = bytes.indexOf(0x3a);
  if (colon < 0) return undefined;
  try {
    const user = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes.subarray(0, colon));
    return { user, password: bytes.subarray(colon + 1) };
  } catch {
    return undefined;
  }
}
