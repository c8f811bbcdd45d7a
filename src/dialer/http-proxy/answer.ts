import type { Decoded } from "../conversation.ts";
import { dialerErrors } from "../errors.ts";

/** The head of a proxy's answer, with all its lines. */
export const maxAnswerBytes: number = 16 * 1024;

export interface ConnectAnswer {
  readonly status: number;
  /** For people; may be empty. */
  readonly reason: string;
}

/** The answer to CONNECT (RFC 9110, section 9.3.6; RFC 9112): after a 2xx the bytes are the upstream's. Throws UPSTREAM_PROXY_ANSWER. */
export function decodeConnectAnswer(bytes: Uint8Array): Decoded<ConnectAnswer> {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString(
    "latin1",
    0,
    maxAnswerBytes,
  );
  if (!text.startsWith("HTTP/1.".slice(0, text.length))) throw invalid("it does not speak HTTP");
  const found = /\r?\n\r?\n/.exec(text);
  if (found === null) {
    if (text.length >= maxAnswerBytes) throw invalid("the head of its answer is too long");
    return undefined;
  }
  const [line = ""] = text.split(/\r?\n/, 1);
  const [, status, reason = ""] = /^HTTP\/1\.[01] ([1-9][0-9]{2})(?: ([^\r\n]*))?$/.exec(line) ?? [];
  if (status === undefined) throw invalid("the first line of its answer is malformed");
  return {
    value: { status: Number(status), reason: reason.replace(/[^\x20-\x7e]/g, "?").slice(0, 200) },
    length: found.index + found[0].length,
  };
}

function invalid(detail: string): Error {
  return new dialerErrors.UPSTREAM_PROXY_ANSWER(detail);
}
