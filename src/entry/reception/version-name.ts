import type { Pattern } from "#base";

/** As OpenSSH takes it: longer lines are refused by the engine as well. */
export const maxNamedLineBytes: number = 8192;

/** The first line, without its end; `length` is the bytes that it takes with it. Undefined: it has no end. */
export function versionLine(
  bytes: Uint8Array,
): { readonly text: string; readonly length: number } | undefined {
  const end = bytes.indexOf(0x0a);
  if (end < 0 || end > maxNamedLineBytes) return undefined;
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, end).toString("latin1").replace(/\r$/, "");
  return { text, length: end + 1 };
}

/**
 * The target that a client names in the comment of its version line (RFC 4253, section 4.2): what the pattern's group `name`
 * catches. Undefined for a line without such a comment, or without an end.
 */
export function nameInVersion(bytes: Uint8Array, comment: Pattern): string | undefined {
  const text = /^SSH-(?:2\.0|1\.99)-[^ ]* (.+)$/s.exec(versionLine(bytes)?.text ?? "")?.[1];
  return text === undefined ? undefined : comment.match(text)?.["name"];
}
