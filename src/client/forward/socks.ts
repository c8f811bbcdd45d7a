import type { HostPort } from "#base";
import { clientErrors } from "../errors.ts";

/** User name of SOCKS 4, and name of 4a: bytes before their NUL. */
const maxTextBytes = 255;

/** What a client of a SOCKS port has said so far leads to. */
export type SocksStep =
  /** More bytes are needed. */
  | { readonly kind: "more" }
  /** Send this, and go on. */
  | { readonly kind: "send"; readonly bytes: Uint8Array }
  /** It wants to be connected; `rest` is what it sent after that already. */
  | { readonly kind: "connect"; readonly to: HostPort; readonly rest: Uint8Array }
  /** It wants something else than a connection: send this, and end. */
  | { readonly kind: "refuse"; readonly bytes: Uint8Array };

export type SocksOutcome = "granted" | "refused" | "unreachable";

const version5 = 5;
const connectCommand = 1;
const noMethod = 0xff;

/**
 * The server's side of SOCKS 4, 4a and 5 (RFC 1928), for CONNECT without authentication, as an engine without I/O: bytes in by
 * `receive`, the answer by `answer` once it is known whether the place can be reached.
 */
export class SocksConversation {
  #bytes: Buffer = Buffer.alloc(0);
  #greeted = false;
  #version = 0;

  /** Takes bytes of any size. Throws PEER_SOCKS_INVALID. Call it again with nothing after a `send`. */
  receive(chunk: Uint8Array): SocksStep {
    this.#bytes = this.#bytes.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#bytes, chunk]);
    const [version] = this.#bytes;
    if (version === undefined) return { kind: "more" };
    this.#version = version;
    if (version === 4) return this.#four();
    if (version !== version5) {
      throw new clientErrors.PEER_SOCKS_INVALID(
        /^[A-Z]{3}/.test(this.#bytes.toString("latin1", 0, 3))
          ? "it speaks HTTP; set it to SOCKS5"
          : `version ${version}`,
      );
    }
    return this.#greeted ? this.#five() : this.#greeting();
  }

  /** What to send before the bytes of the connection, or before ending it. */
  answer(outcome: SocksOutcome): Uint8Array {
    if (this.#version === 4) return Uint8Array.of(0, outcome === "granted" ? 90 : 91, 0, 0, 0, 0, 0, 0);
    const code = { granted: 0, refused: 2, unreachable: 4 }[outcome];
    return Uint8Array.of(version5, code, 0, 1, 0, 0, 0, 0, 0, 0);
  }

  /** Version, command, port, address, user name, NUL; for 4a the address is 0.0.0.x and the name follows, NUL. */
  #four(): SocksStep {
    const bytes = this.#bytes;
    if (bytes.length < 9) return this.#unlessTooLong(8 + maxTextBytes);
    const userEnd = bytes.indexOf(0, 8);
    if (userEnd < 0) return this.#unlessTooLong(8 + maxTextBytes);
    const named = bytes.readUInt32BE(4) >>> 8 === 0 && bytes[7] !== 0;
    const end = named ? bytes.indexOf(0, userEnd + 1) : userEnd;
    if (end < 0) return this.#unlessTooLong(9 + 2 * maxTextBytes);
    const host = named
      ? bytes.toString("utf8", userEnd + 1, end)
      : [bytes[4], bytes[5], bytes[6], bytes[7]].join(".");
    return this.#request(bytes[1], { host, port: bytes.readUInt16BE(2) }, end + 1);
  }

  #greeting(): SocksStep {
    const count = this.#bytes[1];
    if (count === undefined || this.#bytes.length < 2 + count) return { kind: "more" };
    const methods = this.#bytes.subarray(2, 2 + count);
    this.#bytes = this.#bytes.subarray(2 + count);
    if (!methods.includes(0)) return { kind: "refuse", bytes: Uint8Array.of(version5, noMethod) };
    this.#greeted = true;
    return { kind: "send", bytes: Uint8Array.of(version5, 0) };
  }

  #five(): SocksStep {
    const bytes = this.#bytes;
    if (bytes.length < 5) return { kind: "more" };
    const [, command, , type, first = 0] = bytes;
    const length = type === 1 ? 4 : type === 4 ? 16 : type === 3 ? first + 1 : 0;
    if (length === 0) return { kind: "refuse", bytes: Uint8Array.of(version5, 8, 0, 1, 0, 0, 0, 0, 0, 0) };
    const end = 4 + length;
    if (bytes.length < end + 2) return { kind: "more" };
    const place = bytes.subarray(4, end);
    const host = type === 1 ? place.join(".") : type === 3 ? place.toString("utf8", 1) : addressOf(place);
    return this.#request(command, { host, port: bytes.readUInt16BE(end) }, end + 2);
  }

  #request(command: number | undefined, to: HostPort, end: number): SocksStep {
    const rest = Uint8Array.from(this.#bytes.subarray(end));
    this.#bytes = Buffer.alloc(0);
    if (command !== connectCommand) {
      const four = Uint8Array.of(0, 91, 0, 0, 0, 0, 0, 0);
      return {
        kind: "refuse",
        bytes: this.#version === 4 ? four : Uint8Array.of(version5, 7, 0, 1, 0, 0, 0, 0, 0, 0),
      };
    }
    // What is no name goes no further: it would stand in logs and in the server's.
    if (to.port === 0 || !/^[\p{L}\p{N}._:%-]{1,255}$/u.test(to.host))
      throw new clientErrors.PEER_SOCKS_INVALID("it names no host and port");
    return { kind: "connect", to, rest };
  }

  #unlessTooLong(maxBytes: number): SocksStep {
    if (this.#bytes.length <= maxBytes) return { kind: "more" };
    throw new clientErrors.PEER_SOCKS_INVALID("a name without an end");
  }
}

function addressOf(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, at) => bytes.readUInt16BE(at * 2).toString(16));
  return groups.join(":");
}
