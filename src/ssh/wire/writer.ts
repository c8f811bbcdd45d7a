import { Buffer } from "node:buffer";
import { wireErrors } from "./errors.ts";

/** Writes the data types of RFC 4251, section 5, into bytes that grow as needed. */
export class Writer {
  #bytes: Buffer;
  #length = 0;

  constructor(capacity = 256) {
    this.#bytes = Buffer.allocUnsafe(capacity);
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    this.#room(1);
    this.#bytes[this.#length++] = value;
    return this;
  }

  bool(value: boolean): this {
    return this.u8(value ? 1 : 0);
  }

  /** Throws BUG_FIELD_UNENCODABLE outside 0 … 2³²-1. */
  u32(value: number): this {
    if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
      throw new wireErrors.BUG_FIELD_UNENCODABLE(`uint32 ${value}`);
    }
    this.#room(4);
    this.#length = this.#bytes.writeUInt32BE(value, this.#length);
    return this;
  }

  /** Over four bytes that were written before. */
  u32At(at: number, value: number): this {
    this.#bytes.writeUInt32BE(value, at);
    return this;
  }

  u64(value: bigint): this {
    this.#room(8);
    this.#length = this.#bytes.writeBigUInt64BE(value, this.#length);
    return this;
  }

  raw(bytes: Uint8Array): this {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  /** A `string`; text is written as UTF-8. */
  string(value: Uint8Array | string): this {
    const bytes = typeof value === "string" ? Buffer.from(value, "utf8") : value;
    return this.u32(bytes.length).raw(bytes);
  }

  /** A `string` of bytes that are held as text, one character each. */
  latin1(text: string): this {
    this.u32(text.length).#room(text.length);
    this.#length += this.#bytes.write(text, this.#length, "latin1");
    return this;
  }

  /** A `name-list`. Throws BUG_FIELD_UNENCODABLE for an empty name or one with a comma. */
  nameList(names: readonly string[]): this {
    for (const name of names) {
      if (name === "" || name.includes(",")) throw new wireErrors.BUG_FIELD_UNENCODABLE(`name ${name}`);
    }
    return this.string(names.join(","));
  }

  /** A non-negative `mpint` from a big-endian magnitude, with or without leading zeros. */
  mpint(magnitude: Uint8Array): this {
    let start = 0;
    while (start < magnitude.length && magnitude[start] === 0) start++;
    const bytes = magnitude.subarray(start);
    const first = bytes[0];
    if (first === undefined) return this.u32(0);
    if ((first & 0x80) === 0) return this.string(bytes);
    return this.u32(bytes.length + 1)
      .u8(0)
      .raw(bytes);
  }

  /** What has been written, as a view: the writer must not be written to again. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #room(more: number): void {
    const wanted = this.#length + more;
    if (wanted <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(wanted, this.#bytes.length * 2));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }
}
