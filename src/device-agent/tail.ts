/** The last bytes of a stream, in bounded memory. */
export class Tail {
  readonly #maxBytes: number;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #truncated = false;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  add(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    let first = this.#chunks[0];
    while (first !== undefined && this.#bytes - first.length >= this.#maxBytes) {
      this.#chunks.shift();
      this.#bytes -= first.length;
      this.#truncated = true;
      first = this.#chunks[0];
    }
  }

  get truncated(): boolean {
    return this.#truncated || this.#bytes > this.#maxBytes;
  }

  get text(): string {
    const all = Buffer.concat(this.#chunks);
    return all.subarray(Math.max(0, all.length - this.#maxBytes)).toString("utf8");
  }
}
