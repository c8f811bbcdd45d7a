import { Buffer } from "node:buffer";
import { wireErrors } from "./errors.ts";

/** UTF-8, refusing malformed sequences (RFC 3629); the BOM is text like any other. */
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Reads the data types of RFC 4251, section 5, out of a window of bytes.
 *
 * Every method throws PEER_MESSAGE_TRUNCATED when the window ends first. Byte strings are views, never copies: they are valid as
 * long as the bytes below are.
 */
export class Reader {
  #at: number;
  readonly #end: number;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  /** Bytes left in the window. */
  get left(): number {
    return this.#end - this.#at;
  }

  /** Offset of the next byte in the underlying bytes. */
  get offset(): number {
    return this.#at;
  }

  u8(): number {
    return this.#bytes[this.#take(1)]!;
  }

  /** A boolean: any value but 0 is true (RFC 4251, section 5). */
  bool(): boolean {
    return this.u8() !== 0;
  }

  u32(): number {
    const at = this.#take(4);
    const b = this.#bytes;
    return ((b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!) >>> 0;
  }

  u64(): bigint {
    const high = this.u32();
    return (BigInt(high) << 32n) | BigInt(this.u32());
  }

  /** `length` raw bytes, as a view. */
  raw(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** A `string`: a length and that many bytes, as a view. */
  string(): Uint8Array {
    return this.raw(this.u32());
  }

  /** A `string` of bytes as text, one character each, without a view between. */
  latin1(): string {
    const length = this.u32();
    const at = this.#take(length);
    return latin1(this.#bytes, at, at + length);
  }

  /** A `string` that must be UTF-8 text. */
  text(): string {
    const bytes = this.string();
    try {
      return utf8.decode(bytes);
    } catch (cause) {
      throw new wireErrors.PEER_FIELD_INVALID("text is not UTF-8", { cause });
    }
  }

  /** A `string` that must be US-ASCII without control characters: the names of RFC 4250, section 4.6.1. */
  ascii(): string {
    const bytes = this.string();
    for (const byte of bytes) {
      if (byte < 0x20 || byte > 0x7e)
        throw new wireErrors.PEER_FIELD_INVALID("a name is not printable ASCII");
    }
    return latin1(bytes);
  }

  /** A `name-list`: comma-separated ASCII names, none of them empty. */
  nameList(): string[] {
    const text = this.ascii();
    if (text === "") return [];
    const names = text.split(",");
    if (names.includes("")) throw new wireErrors.PEER_FIELD_INVALID("a name-list holds an empty name");
    return names;
  }

  /**
   * An `mpint` that must not be negative, as big-endian magnitude without leading zeros (a view; zero is empty).
   * Needless leading zero bytes are refused, as RFC 4251 demands.
   */
  mpint(): Uint8Array {
    const bytes = this.string();
    const first = bytes[0];
    if (first === undefined) return bytes;
    if ((first & 0x80) !== 0) throw new wireErrors.PEER_FIELD_INVALID("an mpint is negative");
    if (first !== 0) return bytes;
    const second = bytes[1];
    if (second === undefined || (second & 0x80) === 0) {
      throw new wireErrors.PEER_FIELD_INVALID("an mpint has needless zeros");
    }
    return bytes.subarray(1);
  }

  /** All bytes left, as a view. */
  rest(): Uint8Array {
    return this.raw(this.left);
  }

  /** Throws PEER_MESSAGE_TRAILING unless everything has been read. */
  expectEnd(): void {
    if (this.left !== 0) throw new wireErrors.PEER_MESSAGE_TRAILING(`${this.left} bytes`);
  }

  #take(length: number): number {
    const at = this.#at;
    if (length > this.#end - at) {
      throw new wireErrors.PEER_MESSAGE_TRUNCATED(`${length} bytes wanted, ${this.#end - at} left`);
    }
    this.#at = at + length;
    return at;
  }
}

/** Bytes as text, one character a byte. */
export function latin1(bytes: Uint8Array, start = 0, end: number = bytes.length): string {
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return buffer.toString("latin1", start, end);
}
