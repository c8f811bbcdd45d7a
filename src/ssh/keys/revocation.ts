import { hash } from "node:crypto";
import { PosternError } from "#base";
import { latin1, Reader } from "#ssh/wire";
import { keyErrors } from "./errors.ts";
import { isKeyTypeName, parsePublicKeyLine } from "./key-line.ts";
import { decodePublicKey } from "./public-key.ts";
import type { Certificate, PublicKey } from "./shapes.ts";
import { signatureAlgorithmOf } from "./signature.ts";

/** "SSHKRL\n\0" */
const magic = Buffer.from("SSHKRL\n\0", "latin1");

const formatVersion = 1;

/** Sections of a KRL and of its part about certificates (PROTOCOL.krl). */
const section = {
  certificates: 1,
  explicitKey: 2,
  sha1: 3,
  signature: 4,
  sha256: 5,
  extension: 255,
  serialList: 0x20,
  serialRange: 0x21,
  serialBitmap: 0x22,
  keyId: 0x23,
  certificateExtension: 0x39,
} as const;

/** Certificates of one authority, or of all, that are revoked. */
interface RevokedCertificates {
  readonly serials: BigUint64Array;
  readonly ranges: readonly { readonly low: bigint; readonly high: bigint }[];
  readonly bitmaps: readonly { readonly offset: bigint; readonly bits: Uint8Array }[];
  /** As bytes, one character each. */
  readonly keyIds: ReadonlySet<string>;
}

/** Sets hold bytes, one character each. */
interface Revoked {
  readonly keys: ReadonlySet<string>;
  readonly sha1: ReadonlySet<string>;
  readonly sha256: ReadonlySet<string>;
  /** By the authority's blob; "" is any authority. */
  readonly certificates: ReadonlyMap<string, readonly RevokedCertificates[]>;
}

/** What a file of revoked keys says. */
export class RevocationList {
  readonly #revoked: Revoked;

  constructor(revoked: Revoked) {
    this.#revoked = revoked;
  }

  /** Why a key or certificate may not be used any more, for the log; undefined if it may. Its authority is looked at as well. */
  reasonAgainst(key: PublicKey | Certificate): string | undefined {
    if (!("key" in key)) return this.#holds(key) ? "the key is revoked" : undefined;
    if (this.#holds(key.key)) return "the key of the certificate is revoked";
    if (this.#holds(key.authority)) return "the authority of the certificate is revoked";
    const { certificates } = this.#revoked;
    const sections = [
      ...(certificates.get(latin1(key.authority.blob)) ?? []),
      ...(certificates.get("") ?? []),
    ];
    return sections.some((each) => revokes(each, key)) ? "the certificate is revoked" : undefined;
  }

  #holds({ blob }: PublicKey): boolean {
    const { keys, sha1, sha256 } = this.#revoked;
    return (
      keys.has(latin1(blob)) ||
      (sha1.size > 0 && sha1.has(hash("sha1", blob, "latin1"))) ||
      (sha256.size > 0 && sha256.has(hash("sha256", blob, "latin1")))
    );
  }
}

function revokes(
  { serials, ranges, bitmaps, keyIds }: RevokedCertificates,
  { serial, keyId }: Certificate,
): boolean {
  if (keyIds.has(Buffer.from(keyId, "utf8").toString("latin1"))) return true;
  // Nobody gave it a number: as with OpenSSH, no number revokes it.
  if (serial === 0n) return false;
  return (
    holdsSerial(serials, serial) ||
    ranges.some(({ low, high }) => low <= serial && serial <= high) ||
    bitmaps.some(({ offset, bits }) => serial >= offset && isSet(bits, serial - offset))
  );
}

function holdsSerial(serials: BigUint64Array, serial: bigint): boolean {
  let low = 0;
  let high = serials.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const found = serials[middle] ?? 0n;
    if (found === serial) return true;
    if (found < serial) low = middle + 1;
    else high = middle;
  }
  return false;
}

/** Whether a bit is set in a big-endian number. */
function isSet(bits: Uint8Array, index: bigint): boolean {
  if (index >= BigInt(bits.length) * 8n) return false;
  const at = Number(index);
  return (((bits[bits.length - 1 - (at >>> 3)] ?? 0) >>> (at & 7)) & 1) === 1;
}

/**
 * Parses a file of revoked keys as sshd's RevokedKeys takes it: a KRL (PROTOCOL.krl) or a list of public keys, one in each line. In
 * a list a line may also be a fingerprint, `SHA256:…`. Signatures in a KRL are passed over, as the file itself is trusted.
 *
 * Throws OPERATOR_REVOCATION_LIST_INVALID for whatever is not understood whole: a list that is half read would let in who is out.
 */
export function parseRevocationList(bytes: Uint8Array): RevocationList {
  const isKrl = Buffer.compare(bytes.subarray(0, magic.length), magic) === 0;
  try {
    return new RevocationList(isKrl ? readKrl(bytes) : readLines(bytes));
  } catch (cause) {
    if (!(cause instanceof PosternError) || cause.code === "OPERATOR_REVOCATION_LIST_INVALID") throw cause;
    throw new keyErrors.OPERATOR_REVOCATION_LIST_INVALID(cause.message, { cause });
  }
}

function invalid(detail: string): Error {
  return new keyErrors.OPERATOR_REVOCATION_LIST_INVALID(detail);
}

function readKrl(bytes: Uint8Array): Revoked {
  const reader = new Reader(bytes, magic.length);
  const format = reader.u32();
  if (format !== formatVersion) throw invalid(`KRL format ${format} is not known`);
  reader.u64(); // version of the list
  reader.u64(); // when it was made
  reader.u64(); // flags, none of which exist
  reader.string(); // reserved
  reader.string(); // comment
  const keys = new Set<string>();
  const sha1 = new Set<string>();
  const sha256 = new Set<string>();
  const certificates = new Map<string, RevokedCertificates[]>();
  let signed = false;
  while (reader.left > 0) {
    const type = reader.u8();
    const data = reader.string();
    if (signed && type !== section.signature) throw invalid("something stands behind the signature");
    switch (type) {
      case section.certificates:
        readCertificates(data, certificates);
        break;
      case section.explicitKey:
        addAll(keys, data);
        break;
      case section.sha1:
        addAll(sha1, data, 20);
        break;
      case section.sha256:
        addAll(sha256, data, 32);
        break;
      case section.signature:
        // The section's data are the key; what it signed with it stands behind.
        reader.string();
        signed = true;
        break;
      case section.extension:
        passOver(data);
        break;
      default:
        throw invalid(`section ${type} is not known`);
    }
  }
  return { keys, sha1, sha256, certificates };
}

/** An extension that may be passed over. */
function passOver(data: Uint8Array): void {
  const reader = new Reader(data);
  const name = latin1(reader.string());
  const critical = reader.bool();
  reader.string();
  reader.expectEnd();
  if (critical) throw invalid(`critical extension ${JSON.stringify(name.slice(0, 80))} is not known`);
}

function addAll(found: Set<string>, data: Uint8Array, length?: number): void {
  const reader = new Reader(data);
  while (reader.left > 0) {
    const entry = reader.string();
    if (entry.length === 0 || (length !== undefined && entry.length !== length))
      throw invalid(`an entry of ${entry.length} bytes`);
    found.add(latin1(entry));
  }
}

function readCertificates(data: Uint8Array, found: Map<string, RevokedCertificates[]>): void {
  const reader = new Reader(data);
  const authority = reader.string();
  // It is compared byte by byte: in any other form it would match nothing.
  if (authority.length > 0) decodePublicKey(authority);
  reader.string(); // reserved
  const serials: bigint[] = [];
  const ranges: { low: bigint; high: bigint }[] = [];
  const bitmaps: { offset: bigint; bits: Uint8Array }[] = [];
  const keyIds = new Set<string>();
  while (reader.left > 0) {
    const type = reader.u8();
    const part = reader.string();
    const inner = new Reader(part);
    switch (type) {
      case section.serialList:
        while (inner.left > 0) serials.push(inner.u64());
        break;
      case section.serialRange: {
        const range = { low: inner.u64(), high: inner.u64() };
        if (range.high < range.low) throw invalid("a range of serials ends before it begins");
        ranges.push(range);
        break;
      }
      case section.serialBitmap:
        bitmaps.push({ offset: inner.u64(), bits: Uint8Array.from(inner.mpint()) });
        break;
      case section.keyId:
        while (inner.left > 0) keyIds.add(latin1(inner.string()));
        break;
      case section.certificateExtension:
        passOver(inner.rest());
        break;
      default:
        throw invalid(`section ${type} about certificates is not known`);
    }
    inner.expectEnd();
  }
  const own = found.get(latin1(authority)) ?? [];
  own.push({ serials: BigUint64Array.from(serials).sort(), ranges: merged(ranges), bitmaps, keyIds });
  found.set(latin1(authority), own);
}

/** Ranges that touch become one. */
function merged(ranges: { low: bigint; high: bigint }[]): readonly { low: bigint; high: bigint }[] {
  const result: { low: bigint; high: bigint }[] = [];
  for (const range of ranges.sort((one, other) => (one.low < other.low ? -1 : 1))) {
    const last = result.at(-1);
    if (last !== undefined && range.low <= last.high + 1n) {
      if (range.high > last.high) last.high = range.high;
    } else result.push(range);
  }
  return result;
}

function readLines(bytes: Uint8Array): Revoked {
  const keys = new Set<string>();
  const sha256 = new Set<string>();
  for (const [index, content] of Buffer.from(bytes).toString("utf8").split("\n").entries()) {
    const line = content.trim();
    if (line === "" || line.startsWith("#")) continue;
    const [, base64] = /^SHA256:([A-Za-z0-9+/]{43})=?(?:\s.*)?$/.exec(line) ?? [];
    if (base64 !== undefined) {
      sha256.add(Buffer.from(base64, "base64").toString("latin1"));
      continue;
    }
    try {
      const { key } = parsePublicKeyLine(line);
      keys.add(latin1("key" in key ? key.key.blob : key.blob));
    } catch (cause) {
      if (isForeignKey(line)) continue;
      if (!(cause instanceof PosternError)) throw cause;
      throw new keyErrors.OPERATOR_REVOCATION_LIST_INVALID(`line ${index + 1}: ${cause.message}`, { cause });
    }
  }
  return { keys, sha1: new Set(), sha256, certificates: new Map() };
}

/** A key of a kind that is not known here, and so cannot log in either. */
function isForeignKey(line: string): boolean {
  const [type, base64 = ""] = line.split(/[ \t]+/, 2);
  return !isKeyTypeName(type ?? "") && signatureAlgorithmOf(Buffer.from(base64, "base64")) === type;
}
