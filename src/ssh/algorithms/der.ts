/**
 * As much DER (X.690) as it takes to hand node:crypto the keys for which it has no raw format. Reads only what node:crypto
 * itself wrote.
 */
const tags = { integer: 0x02, bitString: 0x03, octetString: 0x04, sequence: 0x30 } as const;

export const derVersion0: Uint8Array = derInteger(Uint8Array.of(0));

export function der(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = Buffer.concat(parts);
  const { length } = content;
  const header =
    length < 0x80
      ? [tag, length]
      : length < 0x100
        ? [tag, 0x81, length]
        : [tag, 0x82, length >>> 8, length & 0xff];
  return Buffer.concat([Uint8Array.from(header), content]);
}

export function derSequence(...parts: readonly Uint8Array[]): Uint8Array {
  return der(tags.sequence, ...parts);
}

export function derOctetString(content: Uint8Array): Uint8Array {
  return der(tags.octetString, content);
}

export function derBitString(content: Uint8Array): Uint8Array {
  return der(tags.bitString, Uint8Array.of(0), content);
}

/** A non-negative INTEGER from a big-endian magnitude. */
export function derInteger(magnitude: Uint8Array): Uint8Array {
  let start = 0;
  while (start < magnitude.length - 1 && magnitude[start] === 0) start++;
  const rest = magnitude.subarray(start);
  return (rest[0] ?? 0) & 0x80 ? der(tags.integer, Uint8Array.of(0), rest) : der(tags.integer, rest);
}

/** The content of the value at `at`, and where the next one begins. */
function value(bytes: Uint8Array, at: number): { content: Uint8Array; next: number } {
  let length = bytes[at + 1] ?? 0;
  let start = at + 2;
  if (length >= 0x80) {
    const count = length & 0x7f;
    length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + (bytes[start++] ?? 0);
  }
  return { content: bytes.subarray(start, start + length), next: start + length };
}

/** The bits of a SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7): what follows the algorithm and the count of unused bits. */
export function spkiBits(spki: Uint8Array): Uint8Array {
  const fields = value(spki, 0).content;
  return value(fields, value(fields, 0).next).content.subarray(1);
}

/** Magnitude of an INTEGER, which may keep one leading zero. */
export function integerContent(integer: Uint8Array): Uint8Array {
  return value(integer, 0).content;
}
