/** What a client speaks, by its first bytes. */
export type Spoken = "ssh" | "tls" | "http" | "other";

/** The longest beginning that is needed: a method of HTTP and the space behind it. */
export const maxFirstBytes: number = 24;

const ssh = Buffer.from("SSH-");

/** Undefined: more bytes are needed. */
export function spokenBy(bytes: Uint8Array): Spoken | undefined {
  const [first] = bytes;
  if (first === undefined) return undefined;
  // A handshake record of TLS 1.0 to 1.3 (RFC 8446, section 5.1).
  if (first === 0x16) {
    if (bytes.length < 2) return undefined;
    return bytes[1] === 0x03 ? "tls" : "other";
  }
  if (ssh.subarray(0, bytes.length).equals(bytes.subarray(0, ssh.length)))
    return bytes.length < ssh.length ? undefined : "ssh";
  for (const [at, byte] of bytes.entries()) {
    if (byte === 0x20) return at > 0 ? "http" : "other";
    if (byte < 0x41 || byte > 0x5a || at + 1 >= maxFirstBytes) return "other";
  }
  return undefined;
}
