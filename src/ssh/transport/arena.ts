/**
 * Large buffers, page aligned and reused. A copy whose source and destination differ by a few bytes modulo the page size is many
 * times slower on some processors, and large Buffers begin 16 bytes after a page; a WebAssembly memory begins on one.
 */

const pageBytes = 65_536;

/** The only part of WebAssembly used: its types come with the browser's library, which this program has no other use for. */
declare const WebAssembly: {
  readonly Memory: new (size: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
};

/** Buffers of one size, at most `keep` of them kept while unused; more are made when needed and left to the collector. */
export class ArenaPool {
  readonly bytes: number;
  readonly #keep: number;
  readonly #free: Uint8Array[] = [];
  #aligned = 0;

  constructor(bytes: number, keep: number) {
    this.bytes = bytes;
    this.#keep = keep;
  }

  /** The first `keep` are page aligned; each such memory takes gigabytes of address space, so those made under pressure are not. */
  take(): Uint8Array {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#aligned >= this.#keep) return Buffer.allocUnsafeSlow(this.bytes);
    this.#aligned++;
    return alignedBytes(this.bytes);
  }

  give(arena: Uint8Array): void {
    if (arena.length === this.bytes && this.#free.length < this.#keep) this.#free.push(arena);
  }
}

/** Zeroed bytes that begin on a page; small ones come from Node's own allocator. */
export function alignedBytes(bytes: number): Uint8Array {
  if (bytes < pageBytes) return Buffer.allocUnsafeSlow(bytes);
  const initial = Math.ceil(bytes / pageBytes);
  return Buffer.from(new WebAssembly.Memory({ initial, maximum: initial }).buffer, 0, bytes);
}

/** For output while a connection is interactive. */
export const smallArenas: ArenaPool = new ArenaPool(32 * 1024, 64);

/** For output in bulk: one receive batch of 1 MiB, what was held before it, and the overhead of another cipher. */
export const largeArenas: ArenaPool = new ArenaPool(1_572_864, 8);

/** For what a read left of a packet that was not whole: the largest that peers commonly send is a little over 32 KiB. */
export const heldArenas: ArenaPool = new ArenaPool(64 * 1024, 16);
