import { latin1 } from "#ssh/wire";
import { transportErrors } from "./errors.ts";

/**
 * Bytes of one line before or at the version exchange. RFC 4253, section 4.2 says 255 for the version line; OpenSSH takes 8,192
 * and some clients put comments there.
 */
export const maxVersionLineBytes: number = 8192;

/** Lines that a server may send before its version line; OpenSSH's bound is 1,024 of them. */
export const maxLinesBeforeVersion: number = 1024;

/** Reads the version exchange (RFC 4253, section 4.2) out of chunks that may break anywhere. */
export class VersionReader {
  readonly #mayChat: boolean;
  #line: number[] = [];
  #lines = 0;

  /** `mayChat`: the peer is a server and may send other lines first. */
  constructor(mayChat: boolean) {
    this.#mayChat = mayChat;
  }

  /**
   * Takes bytes up to the end of the version line. Returns the offset after what was taken and, once it is whole, the line
   * without its line end. Throws PEER_NOT_SSH, PEER_VERSION_LINE_TOO_LONG or MISMATCH_VERSION.
   */
  read(bytes: Uint8Array, start: number, end: number): { offset: number; line?: string } {
    for (let at = start; at < end; at++) {
      const byte = bytes[at] ?? 0;
      if (byte !== 0x0a) {
        if (this.#line.length >= maxVersionLineBytes) throw new transportErrors.PEER_VERSION_LINE_TOO_LONG();
        this.#line.push(byte);
        if (!this.#mayChat && this.#line.length <= 4) this.#expectPrefix();
        continue;
      }
      const line = latin1(Uint8Array.from(this.#line)).replace(/\r$/, "");
      this.#line = [];
      if (line.startsWith("SSH-")) return { offset: at + 1, line: checked(line) };
      this.#lines++;
      if (!this.#mayChat || this.#lines > maxLinesBeforeVersion) throw new transportErrors.PEER_NOT_SSH();
    }
    return { offset: end };
  }

  /** Garbage is known by its first bytes: nothing is gained by waiting for a line end that may never come. */
  #expectPrefix(): void {
    const at = this.#line.length - 1;
    if (this.#line[at] !== "SSH-".charCodeAt(at)) throw new transportErrors.PEER_NOT_SSH();
  }
}

function checked(line: string): string {
  const version = /^SSH-([^-]*)-/.exec(line)?.[1];
  if (version === undefined) throw new transportErrors.PEER_NOT_SSH();
  // RFC 4253, section 5.1: 1.99 is a server that speaks 2.0 and older versions too.
  if (version !== "2.0" && version !== "1.99")
    throw new transportErrors.MISMATCH_VERSION(`version ${version}`);
  return line;
}
