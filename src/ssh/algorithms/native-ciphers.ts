import { algorithmErrors } from "./errors.ts";
import { NATIVE, type NativeDirection, nativeBatchPackets, type NativePackets } from "./native.ts";
import { append, lengthBytes, nextSequence } from "./packet-bytes.ts";
import type { CipherAlgorithm, PacketBatch, PacketOpener, PacketSealer } from "./packet-cipher.ts";

const tagBytes = 16;

/** The native part knows a cipher by its place here (native/packets.h). */
const nativeCiphers = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"];

/** Of one call at a time: every call has read it before it returns. */
const table = new Uint32Array(1 + 3 * nativeBatchPackets);

class NativeOpener implements PacketOpener {
  sequence = 0;
  readonly #native: NativePackets;
  #direction: NativeDirection | undefined;

  constructor(native: NativePackets, direction: NativeDirection) {
    this.#native = native;
    this.#direction = direction;
  }

  open(bytes: Uint8Array, start: number, end: number, batch: PacketBatch, max: number): number {
    if (this.#direction === undefined) throw new algorithmErrors.BUG_CIPHER_WIPED();
    const most = Math.min(max, nativeBatchPackets);
    const opened = this.#native.open(this.#direction, bytes, start, end, this.sequence, most, table);
    batch.count = 0;
    if (opened < 0) throw this.#error(opened);
    for (let n = 1; n <= 2 * opened; n += 2) append(batch, bytes, table[n] ?? 0, table[n + 1] ?? 0);
    this.sequence = (this.sequence + opened) >>> 0;
    return table[0] ?? end;
  }

  wipe(): void {
    if (this.#direction !== undefined) this.#native.free(this.#direction);
    this.#direction = undefined;
  }

  #error(code: number): Error {
    if (code === NATIVE.BAD_LENGTH) return new algorithmErrors.PEER_PACKET_LENGTH(`${table[0]} bytes`);
    if (code === NATIVE.BAD_TAG) return new algorithmErrors.PEER_MAC_INVALID(`after packet ${this.sequence}`);
    return new algorithmErrors.BUG_CIPHER_FAILED(`${code}`);
  }
}

/** Notes where packets lie in plain and where they go, and seals them many at a time. */
class NativeSealer implements PacketSealer {
  sequence = 0;
  readonly blockBytes: number;
  readonly lengthIsPadded: boolean = false;
  readonly tagBytes: number = tagBytes;
  readonly #native: NativePackets;
  #direction: NativeDirection | undefined;
  /** Where the packets put off lie, and where they go. */
  #input: Uint8Array | undefined;
  #out: Uint8Array | undefined;
  #count = 0;
  /** Of each packet put off: offset, bytes of body, and the body's offset in the input. */
  readonly #waiting: number[] = [];
  /** What went wrong: what was to be sealed then is still in plain, and nothing goes out any more. */
  #failed: Error | undefined;

  constructor(native: NativePackets, direction: NativeDirection, blockBytes: number) {
    this.#native = native;
    this.#direction = direction;
    this.blockBytes = blockBytes;
  }

  seal(input: Uint8Array, start: number, end: number, out: Uint8Array, at: number): number {
    if (this.#direction === undefined) throw new algorithmErrors.BUG_CIPHER_WIPED();
    const body = at + lengthBytes;
    let from = input;
    let place = start;
    if (input.buffer === out.buffer) {
      if (input !== out || start !== body) out.set(input.subarray(start, end), body);
      from = out;
      place = body;
    }
    if (this.#count === nativeBatchPackets || this.#input !== from || this.#out !== out) this.finish();
    this.#input = from;
    this.#out = out;
    const row = 3 * this.#count++;
    this.#waiting[row] = at;
    this.#waiting[row + 1] = end - start;
    this.#waiting[row + 2] = place;
    this.sequence = nextSequence(this.sequence);
    return body + end - start + tagBytes;
  }

  finish(): void {
    if (this.#failed !== undefined) throw this.#failed;
    const input = this.#input;
    const out = this.#out;
    const count = this.#count;
    if (input === undefined || out === undefined || this.#direction === undefined) return;
    this.#forget();
    for (let n = 0; n < 3 * count; n++) table[n] = this.#waiting[n] ?? 0;
    const first = (this.sequence - count) >>> 0;
    const result = this.#native.seal(this.#direction, input, out, table, count, first);
    if (result === 0) return;
    this.#failed = new algorithmErrors.BUG_CIPHER_FAILED(`${result}`);
    throw this.#failed;
  }

  wipe(): void {
    if (this.#direction !== undefined) this.#native.free(this.#direction);
    this.#direction = undefined;
    this.#forget();
  }

  #forget(): void {
    this.#input = undefined;
    this.#out = undefined;
    this.#count = 0;
  }
}

/** The same cipher, done by the native part where that can. */
export function withNative(pure: CipherAlgorithm, native: NativePackets | undefined): CipherAlgorithm {
  const cipher = nativeCiphers.indexOf(pure.name);
  if (native === undefined || cipher < 0) return pure;
  const blockBytes = pure.ivBytes === 0 ? 8 : 16;
  return {
    ...pure,
    opener(key, iv, mac) {
      const direction = native.create(cipher, false, key, iv);
      return direction === undefined ? pure.opener(key, iv, mac) : new NativeOpener(native, direction);
    },
    sealer(key, iv, mac) {
      const direction = native.create(cipher, true, key, iv);
      return direction === undefined
        ? pure.sealer(key, iv, mac)
        : new NativeSealer(native, direction, blockBytes);
    },
  };
}
