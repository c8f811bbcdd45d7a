import { clientErrors } from "../errors.ts";
import { quotable } from "../printable.ts";

/** Bytes of a proxy's answer up to its empty line. */
export const maxProxyAnswerBytes: number = 64 * 1024;

/** The head of a proxy's answer to CONNECT, once it is whole. */
export interface ProxyAnswer {
  readonly status: number;
  readonly reason: string;
  /** What came after the head. */
  readonly rest: Uint8Array;
}

/** Reads the head out of chunks that may break anywhere. */
export class ProxyAnswerReader {
  #bytes: Buffer = Buffer.alloc(0);

  /** Undefined: more is needed. Throws UPSTREAM_CLIENT_GATE. */
  receive(chunk: Uint8Array): ProxyAnswer | undefined {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    const start = this.#bytes.toString("latin1", 0, 5);
    if (!"HTTP/".startsWith(start)) {
      throw gateError(
        start.startsWith("SSH-") ? "it speaks SSH, not HTTP" : "it answered with something that is not HTTP",
      );
    }
    const end = endOfHead(this.#bytes);
    if (end === undefined) {
      if (this.#bytes.length > maxProxyAnswerBytes) throw gateError("its answer has no end");
      return undefined;
    }
    const line = this.#bytes.toString("latin1", 0, this.#bytes.indexOf(0x0a)).replace(/\r$/, "");
    const [, status, reason = ""] = /^HTTP\/1\.[01] (\d{3})(?: (.*))?$/.exec(line) ?? [];
    if (status === undefined) throw gateError(`it answered "${quotable(line).slice(0, 100)}"`);
    return {
      status: Number(status),
      reason: quotable(reason).slice(0, 200),
      rest: Uint8Array.from(this.#bytes.subarray(end)),
    };
  }
}

/** Offset after the empty line. */
function endOfHead(bytes: Buffer): number | undefined {
  const ends = [
    ["\r\n\r\n", 4],
    ["\n\n", 2],
  ] as const;
  const found = ends.flatMap(([text, length]) => {
    const at = bytes.indexOf(text);
    return at < 0 || at > maxProxyAnswerBytes ? [] : [at + length];
  });
  return found.length === 0 ? undefined : Math.min(...found);
}

export function gateError(reason: string, cause?: unknown): Error {
  return new clientErrors.UPSTREAM_CLIENT_GATE(`The gate did not open the way: ${reason}.`, { cause });
}

/** What a status other than 200 means for the person. */
export function refusalWords(status: number, reason: string): string {
  const said = `${status}${reason === "" ? "" : ` ${reason}`}`;
  switch (status) {
    case 401:
    case 407:
      return `it wants a user and a password (${said}): give --proxy-user, and the password in --proxy-password-file`;
    case 403:
      return `it does not allow that host and port, or knows none of that name (${said})`;
    case 404:
      return `it knows no such name, or does not do this here (${said})`;
    case 502:
    case 503:
    case 504:
      return `it cannot reach the host (${said})`;
    default:
      return `it answered ${said}`;
  }
}
