import { entryErrors } from "../errors.ts";

/** What a client says before anything is encrypted (RFC 8446, section 4.1.2). */
export interface ClientHello {
  /** Server Name Indication (RFC 6066, section 3). */
  readonly serverName?: string;
  /** Application-Layer Protocol Negotiation (RFC 7301). */
  readonly alpn: readonly string[];
}

/** Far above what clients send, post-quantum key shares included; a hello may be spread over several records. */
export const maxClientHelloBytes: number = 16 * 1024;

/** Clients send one record, or two: with more, looking again after each byte would cost more than it is worth. */
export const maxHelloRecords: number = 16;

const handshakeRecord = 22;
const clientHello = 1;
const serverNameExtension = 0;
const alpnExtension = 16;

/** Reads lengths and what they announce; whatever goes beyond the end is the client's fault. */
class Cursor {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length;
  }

  uint(width: 1 | 2 | 3): number {
    let value = 0;
    for (const byte of this.take(width)) value = value * 256 + byte;
    return value;
  }

  take(length: number): Uint8Array {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new entryErrors.PEER_CLIENT_HELLO("a length leads beyond the end");
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  vector(width: 1 | 2 | 3): Cursor {
    return new Cursor(this.take(this.uint(width)));
  }

  text(width: 1 | 2): string {
    return Buffer.from(this.take(this.uint(width))).toString("latin1");
  }
}

/** Undefined: more bytes are needed. Throws PEER_CLIENT_HELLO. */
export function decodeClientHello(bytes: Uint8Array): ClientHello | undefined {
  const message = handshakeMessage(bytes);
  if (message === undefined) return undefined;
  const hello = new Cursor(message);
  hello.take(2 + 32); // version and random
  hello.vector(1); // session
  hello.vector(2); // cipher suites
  hello.vector(1); // compression
  let serverName: string | undefined;
  const alpn: string[] = [];
  const extensions = hello.done ? hello : hello.vector(2);
  while (!extensions.done) {
    const type = extensions.uint(2);
    const body = extensions.vector(2);
    if (type === serverNameExtension) {
      const names = body.vector(2);
      while (!names.done) {
        const kind = names.uint(1);
        const name = names.text(2);
        if (kind === 0) serverName ??= name;
      }
    } else if (type === alpnExtension) {
      const names = body.vector(2);
      while (!names.done) alpn.push(names.text(1));
    }
  }
  return serverName === undefined ? { alpn } : { serverName, alpn };
}

/** The body of the first handshake message, put together from its records. */
function handshakeMessage(bytes: Uint8Array): Uint8Array | undefined {
  const parts: Uint8Array[] = [];
  let held = 0;
  let at = 0;
  while (parts.length < maxHelloRecords) {
    if (bytes.length > at && bytes[at] !== handshakeRecord)
      throw new entryErrors.PEER_CLIENT_HELLO("a record of another type");
    if (bytes.length < at + 5) return undefined;
    const length = ((bytes[at + 3] ?? 0) << 8) | (bytes[at + 4] ?? 0);
    if (length === 0) throw new entryErrors.PEER_CLIENT_HELLO("an empty record");
    const part = bytes.subarray(at + 5, at + 5 + length);
    parts.push(part);
    held += part.length;
    at += 5 + length;
    const wanted = held < 4 ? undefined : messageBytes(parts);
    if (wanted !== undefined && held >= 4 + wanted) return Buffer.concat(parts).subarray(4, 4 + wanted);
    if (part.length < length) return undefined;
  }
  throw new entryErrors.PEER_CLIENT_HELLO("it comes in too many pieces");
}

/** The length that the first four bytes announce. */
function messageBytes(parts: readonly Uint8Array[]): number {
  const first: number[] = [];
  for (const part of parts) for (const byte of part.subarray(0, 4 - first.length)) first.push(byte);
  const [type, high = 0, middle = 0, low = 0] = first;
  const length = (high << 16) | (middle << 8) | low;
  if (type !== clientHello || length > maxClientHelloBytes)
    throw new entryErrors.PEER_CLIENT_HELLO("the first message is no hello, or too long");
  return length;
}
