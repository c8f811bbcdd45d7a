import { clientErrors } from "../errors.ts";
import type { X11Cookie } from "./cookie.ts";

/** Byte order, nothing, version, lengths of the protocol's name and of the cookie, nothing (X Window System Protocol, appendix B). */
const headBytes = 12;
const bigEndian = 0x42;
const littleEndian = 0x6c;

/**
 * The first words of an X client, which show a cookie: the one we have given out must be in them, and the X server's own takes its
 * place. Knows nothing of the rest.
 */
export class FirstWords {
  readonly #expected: X11Cookie;
  readonly #real: X11Cookie | undefined;
  #seen: Buffer = Buffer.alloc(0);

  constructor(expected: X11Cookie, real: X11Cookie | undefined) {
    this.#expected = expected;
    this.#real = real;
  }

  /** Undefined while more is to come; then all that came, for the X server. Throws PEER_X11_REFUSED. */
  receive(chunk: Uint8Array): Buffer | undefined {
    this.#seen = Buffer.concat([this.#seen, chunk]);
    const seen = this.#seen;
    const [order] = seen;
    if (order !== undefined && order !== bigEndian && order !== littleEndian) refuse("it speaks no X11");
    if (seen.length < headBytes) return undefined;
    const length = (at: number): number =>
      order === bigEndian ? seen.readUInt16BE(at) : seen.readUInt16LE(at);
    const [nameBytes, dataBytes] = [length(6), length(8)];
    const { protocol, data: fake } = this.#expected;
    // Before anything is kept on the word of a length.
    if (nameBytes !== protocol.length || dataBytes !== fake.byteLength) refuse("it shows no cookie of ours");
    const dataAt = headBytes + padded(nameBytes);
    const end = dataAt + padded(dataBytes);
    if (seen.length < end) return undefined;
    const name = seen.subarray(headBytes, headBytes + nameBytes).toString("latin1");
    const data = seen.subarray(dataAt, dataAt + dataBytes);
    if (name !== protocol || !fake.equals(data)) refuse("its cookie is not ours");
    if (this.#real !== undefined) data.set(this.#real.data.reveal());
    return seen;
  }
}

function padded(bytes: number): number {
  return (bytes + 3) & ~3;
}

function refuse(reason: string): never {
  throw new clientErrors.PEER_X11_REFUSED(reason);
}
