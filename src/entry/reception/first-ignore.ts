/** The packet that may follow such a line: far above what a header needs. */
export const maxIgnorePacketBytes: number = 4096;

const messageIgnore = 2;

/** Whether a version line is that of an SSH stream that begins like a request of HTTP: `SSH-2.0-name / HTTP/1.1`. */
export function isHttpForm(line: string): boolean {
  return /^SSH-(?:2\.0|1\.99)-[^ ]+ \/ HTTP\/1\.[01]$/.test(line);
}

/**
 * The `Host` in the first packet behind such a line, an SSH_MSG_IGNORE (RFC 4253, sections 6 and 11.2) whose data holds
 * `\r\nHost: NAME\r\n`. `incomplete`: more bytes are needed. Undefined: it is another packet, or names nobody.
 */
export function hostInIgnore(bytes: Uint8Array): { readonly name: string } | "incomplete" | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 4) return "incomplete";
  const length = view.getUint32(0);
  if (length < 6 || length > maxIgnorePacketBytes - 4) return undefined;
  if (bytes.length >= 6 && bytes[5] !== messageIgnore) return undefined;
  if (bytes.length < 4 + length) return "incomplete";
  const payload = bytes.subarray(5, 4 + length - (bytes[4] ?? 0));
  if (payload.length < 5) return undefined;
  const size = view.getUint32(6);
  if (size > payload.length - 5) return undefined;
  const text = Buffer.from(payload.subarray(5, 5 + size)).toString("latin1");
  const names = [...text.matchAll(/\nHost:[ \t]*([^\s:]+)(?::[0-9]{1,5})?[ \t]*(?=\r?\n)/gi)];
  const name = names[0]?.[1];
  return names.length === 1 && name !== undefined ? { name } : undefined;
}
