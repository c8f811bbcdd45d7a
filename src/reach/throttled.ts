import { Duplex } from "node:stream";
import type { ByteBucket, Pacer } from "./pacer.ts";

export interface ThrottledOptions {
  readonly pacer: Pacer;
  /** Of what is read, and of what is written. */
  readonly inbound: readonly ByteBucket[];
  readonly outbound: readonly ByteBucket[];
}

/**
 * A stream that passes no more bytes than its buckets hold. What waits is one chunk in each direction: the stream within is not read
 * meanwhile, and whoever writes is told to wait.
 */
export class Throttled extends Duplex {
  readonly #inner: Duplex;
  readonly #options: ThrottledOptions;
  readonly #waiting = new Set<Disposable>();
  /** A chunk that was read is not passed on as a whole yet. */
  #passing = false;
  #ended = false;

  constructor(inner: Duplex, options: ThrottledOptions) {
    super({ allowHalfOpen: true });
    this.#inner = inner;
    this.#options = options;
    inner.pause();
    inner.on("data", (chunk: Buffer) => this.#read(chunk));
    inner.on("end", () => {
      this.#ended = true;
      if (!this.#passing) this.push(null);
    });
    inner.on("error", (error) => this.destroy(error));
    inner.on("close", () => {
      if (!this.#ended) this.destroy();
    });
    inner.pause();
  }

  override _read(): void {
    if (!this.#passing) this.#inner.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const { outbound } = this.#options;
    const pass = (from: number): void => {
      this.#ask(outbound, chunk.length - from, (bytes) => {
        const to = from + bytes;
        this.#inner.write(chunk.subarray(from, to), (error) => {
          if (error !== null && error !== undefined) done(error);
          else if (to < chunk.length) pass(to);
          else done();
        });
      });
    };
    if (chunk.length === 0) done();
    else pass(0);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#inner.end(() => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    for (const each of this.#waiting) each[Symbol.dispose]();
    this.#waiting.clear();
    this.#inner.destroy();
    done(error);
  }

  #read(chunk: Buffer): void {
    this.#inner.pause();
    this.#passing = true;
    const pass = (from: number): void => {
      this.#ask(this.#options.inbound, chunk.length - from, (bytes) => {
        const to = from + bytes;
        // Before the last push, which may ask for more at once.
        this.#passing = to < chunk.length;
        this.push(chunk.subarray(from, to));
        if (this.#passing) pass(to);
        else if (this.#ended) this.push(null);
      });
    };
    pass(0);
  }

  #ask(buckets: readonly ByteBucket[], bytes: number, go: (bytes: number) => void): void {
    let asked: Disposable | undefined;
    let gone = false;
    asked = this.#options.pacer.ask(buckets, bytes, (granted) => {
      gone = true;
      if (asked !== undefined) this.#waiting.delete(asked);
      if (!this.destroyed) go(granted);
    });
    if (!gone) this.#waiting.add(asked);
  }
}
