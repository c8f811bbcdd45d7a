import {
  append,
  checkBodyLength,
  lengthBytes,
  nextSequence,
  readUint32,
  writeUint32,
} from "./packet-bytes.ts";
import type { PacketBatch, PacketOpener, PacketSealer } from "./packet-cipher.ts";

const blockBytes = 8;

/** No cipher and no MAC, before the first NEWKEYS (RFC 4253, section 6). */
class PlainOpener implements PacketOpener {
  sequence = 0;

  open(bytes: Uint8Array, start: number, end: number, batch: PacketBatch, max: number): number {
    batch.count = 0;
    let at = start;
    while (batch.count < max && end - at >= lengthBytes) {
      const length = checkBodyLength(readUint32(bytes, at), blockBytes, 4);
      const after = at + lengthBytes + length;
      if (after > end) break;
      append(batch, bytes, at + lengthBytes, after);
      this.sequence = nextSequence(this.sequence);
      at = after;
    }
    return at;
  }

  wipe(): void {}
}

class PlainSealer implements PacketSealer {
  sequence = 0;
  readonly blockBytes: number = blockBytes;
  readonly lengthIsPadded: boolean = true;
  readonly tagBytes: number = 0;

  seal(input: Uint8Array, start: number, end: number, out: Uint8Array, at: number): number {
    // The body goes first: it may lie under the place of the length.
    out.set(input.subarray(start, end), at + lengthBytes);
    writeUint32(out, at, end - start);
    this.sequence = nextSequence(this.sequence);
    return at + lengthBytes + end - start;
  }

  finish(): void {}

  wipe(): void {}
}

export function plainOpener(): PacketOpener {
  return new PlainOpener();
}

export function plainSealer(): PacketSealer {
  return new PlainSealer();
}
