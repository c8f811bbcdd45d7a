/** Lines that may wait for whoever reads them; whoever puts more in waits first. */
export const maxWaitingLines = 100;

/** What comes out of a LineQueue: a line with its end, as typed; the end of input; or an interrupt (Ctrl-C). */
export type Item = { readonly line: string } | "end" | "interrupt";

/** Lines from a terminal or a stream, for the shell and for the command that runs in it, one after the other. */
export class LineQueue {
  readonly #items: Item[] = [];
  readonly #takers: ((item: Item) => void)[] = [];
  #closed = false;
  #room: (() => void) | undefined;

  put(line: string): void {
    this.#add({ line });
  }

  /** One end of input, as Ctrl-D: reading can go on after it. */
  end(): void {
    this.#add("end");
  }

  /** Drops what waits and tells one taker, if there is one. */
  interrupt(): void {
    this.#items.length = 0;
    this.#takers.shift()?.("interrupt");
    this.#room?.();
  }

  /** The end for good. */
  close(): void {
    this.#closed = true;
    for (const taker of this.#takers.splice(0)) taker("end");
  }

  take(): Promise<Item> {
    const item = this.#items.shift();
    if (item !== undefined) {
      this.#room?.();
      return Promise.resolve(item);
    }
    if (this.#closed) return Promise.resolve("end");
    return new Promise((resolve) => this.#takers.push(resolve));
  }

  /** Resolves as soon as there is room for more. */
  async whenRoom(): Promise<void> {
    while (this.#items.length >= maxWaitingLines) {
      const room = Promise.withResolvers<void>();
      this.#room = room.resolve;
      await room.promise;
    }
  }

  #add(item: Item): void {
    const taker = this.#takers.shift();
    if (taker === undefined) this.#items.push(item);
    else taker(item);
  }
}
