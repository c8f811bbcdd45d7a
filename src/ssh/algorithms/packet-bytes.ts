import { algorithmErrors } from "./errors.ts";
import { maxPacketBytes, minBodyBytes, type PacketBatch } from "./packet-cipher.ts";

/** Bytes of the length field before every body. */
export const lengthBytes = 4;

export function readUint32(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] ?? 0) << 24) |
      ((bytes[at + 1] ?? 0) << 16) |
      ((bytes[at + 2] ?? 0) << 8) |
      (bytes[at + 3] ?? 0)) >>>
    0
  );
}

export function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** Copies a few bytes without making a view. */
export function copyFew(from: Uint8Array, at: number, to: Uint8Array, count: number): void {
  for (let i = 0; i < count; i++) to[i] = from[at + i] ?? 0;
}

/** The number after `sequence`, modulo 2³² (RFC 4253, section 6.4). */
export function nextSequence(sequence: number): number {
  return (sequence + 1) >>> 0;
}

/**
 * Throws PEER_PACKET_LENGTH unless a body of `length` bytes may be. `besides` is what else the padding covers: the 4 bytes of
 * the length itself where they are encrypted like the rest, else 0.
 */
export function checkBodyLength(length: number, blockBytes: number, besides: 0 | 4): number {
  if (length < minBodyBytes || length > maxPacketBytes || (length + besides) % blockBytes !== 0) {
    throw new algorithmErrors.PEER_PACKET_LENGTH(`${length} bytes`);
  }
  return length;
}

/** Below this, what the collector does costs less than giving back. */
const discardedBytes = 2048;

/**
 * Gives the memory under a Buffer that node:crypto has made back at once. Left to the collector, a Buffer for each packet makes it
 * mark the whole heap every few milliseconds, which costs more than the cipher.
 */
export function discard(made: Uint8Array): void {
  const { buffer, length } = made;
  if (length >= discardedBytes && buffer.byteLength === length && buffer instanceof ArrayBuffer)
    buffer.transfer(0);
}

/** Adds a body to the batch. */
export function append(batch: PacketBatch, bytes: Uint8Array, start: number, end: number): void {
  const n = batch.count++;
  batch.bytes[n] = bytes;
  batch.start[n] = start;
  batch.end[n] = end;
}
