import type { Duplex } from "node:stream";
import { Socket } from "node:net";
import { type ByteStream, byteStreamOf } from "#link";

export interface SpliceEnd {
  /** Whose end was the first, or whose error. */
  readonly by: "downstream" | "upstream" | "gateway";
  readonly error?: Error;
}

/** Silence after which the kernel asks whether a peer is still there: nothing else would ever tell. */
const keepaliveMs = 60_000;

/** Buffers of one read each that are kept for the next. */
const maxSpare = 4;
const spareBytes = 1024 * 1024;
const spare: Uint8Array[] = [];

/** Bytes that a read lent, kept until the other side has taken them. */
class Piece {
  readonly bytes: Uint8Array;
  readonly #whole: Uint8Array | undefined;

  constructor(lent: Uint8Array) {
    // Small ones are cheaper made anew; a large one in a buffer of its own would be cleared and collected each time.
    const large = lent.length > 16 * 1024 && lent.length <= spareBytes;
    this.#whole = large ? (spare.pop() ?? new Uint8Array(spareBytes)) : undefined;
    this.bytes = this.#whole?.subarray(0, lent.length) ?? new Uint8Array(lent.length);
    this.bytes.set(lent);
  }

  release(): void {
    if (this.#whole !== undefined && spare.length < maxSpare) spare.push(this.#whole);
  }
}

/** A client and its target, joined until both directions have ended. It owns both streams. */
export class Splice {
  readonly ended: Promise<SpliceEnd>;
  bytesToUpstream = 0;
  bytesToDownstream = 0;
  readonly #end: PromiseWithResolvers<SpliceEnd>;
  readonly #downstream: ByteStream;
  readonly #upstream: ByteStream;
  #first: SpliceEnd | undefined;
  #open = 2;

  constructor(downstream: Duplex, upstream: Duplex) {
    this.#end = Promise.withResolvers();
    this.ended = this.#end.promise;
    for (const stream of [downstream, upstream])
      if (stream instanceof Socket) stream.setKeepAlive(true, keepaliveMs);
    this.#downstream = byteStreamOf(downstream, undefined, true);
    this.#upstream = byteStreamOf(upstream, undefined, true);
    this.#downstream.whenClosed(() => this.#finish({ by: "downstream" }));
    this.#upstream.whenClosed(() => this.#finish({ by: "upstream" }));
    this.#flow("downstream", this.#downstream, this.#upstream, (bytes) => (this.bytesToUpstream += bytes));
    this.#flow("upstream", this.#upstream, this.#downstream, (bytes) => (this.bytesToDownstream += bytes));
  }

  /** Ends both at once. */
  close(): void {
    this.#finish({ by: "gateway" });
  }

  #flow(
    by: "downstream" | "upstream",
    from: ByteStream,
    to: ByteStream,
    count: (bytes: number) => void,
  ): void {
    from.start(
      (bytes, start, end, steady) => {
        count(end - start);
        const lent = bytes.subarray(start, end);
        if (steady) {
          if (!to.write([lent], () => from.resume())) from.pause();
          return;
        }
        const piece = new Piece(lent);
        const taken = to.write([piece.bytes], () => {
          piece.release();
          from.resume();
        });
        if (taken) piece.release();
        else from.pause();
      },
      (error) => {
        this.#first ??= error === undefined ? { by } : { by, error };
        if (error !== undefined) this.#finish(this.#first);
        // The other direction may go on as long as it likes.
        else
          to.finish(() => {
            if (--this.#open === 0) this.#finish({ by });
          });
      },
    );
  }

  #finish(end: SpliceEnd): void {
    this.#downstream.destroy();
    this.#upstream.destroy();
    this.#end.resolve(this.#first ?? end);
  }
}
