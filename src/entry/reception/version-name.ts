import type { Pattern } from "#base";

/** As OpenSSH takes it: longer lines are refused by the engine as well. */
export const maxNamedLineBytes: number = 8192;

/**
 * The target that a client names in the comment of its version line (RFC 4253, section 4.2): what the pattern's group `name`
 * catches. Undefined for a line without such a comment, or without an end.
 */
export function nameInVersion(bytes: Uint8Array, comment: Pattern): string | undefined {
  const end = bytes.indexOf(0x0a);
  if (end < 0 || end > maxNamedLineBytes) return undefined;
  const line = Buffer.from(bytes.buffer, bytes.byteOffset, end).toString("latin1").replace(/\r$/, "");
  const text = /^SSH-(?:2\.0|1\.99)-[^ ]* (.+)$/s.exec(line)?.[1];
  return text === undefined ? undefined : comment.match(text)?.["name"];
}
