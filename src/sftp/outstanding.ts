/** Places that nobody needs any more are left in front until there are so many. */
const spentPlaces = 64;

/**
 * What is not answered yet, by number, in the order in which it came. There are few at a time, and mostly the first is answered next:
 * a map, which makes itself anew each time the last one goes, would take several times as long, and so would `shift`.
 */
export class Outstanding<Entry> {
  readonly #ids: number[] = [];
  readonly #entries: (Entry | undefined)[] = [];
  /** Those from here on, and before there, are waiting. */
  #from = 0;
  #to = 0;

  get size(): number {
    return this.#to - this.#from;
  }

  /** The one that came before all others. */
  get first(): Entry | undefined {
    return this.size === 0 ? undefined : this.#entries[this.#from];
  }

  has(id: number): boolean {
    return this.#find(id) >= 0;
  }

  /** `id` must not be among them. */
  add(id: number, entry: Entry): void {
    this.#ids[this.#to] = id;
    this.#entries[this.#to] = entry;
    this.#to++;
  }

  get(id: number): Entry | undefined {
    const at = this.#find(id);
    return at < 0 ? undefined : this.#entries[at];
  }

  delete(id: number): void {
    const at = this.#find(id);
    if (at < 0) return;
    // Those before it move up.
    this.#ids.copyWithin(this.#from + 1, this.#from, at);
    this.#entries.copyWithin(this.#from + 1, this.#from, at);
    this.shift();
  }

  /** Takes the first out. */
  shift(): void {
    if (this.size === 0) return;
    this.#entries[this.#from] = undefined;
    this.#from++;
    if (this.#from === this.#to) this.#from = this.#to = 0;
    else if (this.#from === spentPlaces) this.#close();
  }

  /** Takes all of them out. */
  clear(): Entry[] {
    const entries = this.#entries.slice(this.#from, this.#to);
    this.#entries.fill(undefined);
    this.#from = this.#to = 0;
    return entries as Entry[];
  }

  #find(id: number): number {
    for (let at = this.#from; at < this.#to; at++) if (this.#ids[at] === id) return at;
    return -1;
  }

  /** Moves what waits to the front. */
  #close(): void {
    this.#ids.copyWithin(0, this.#from, this.#to);
    this.#entries.copyWithin(0, this.#from, this.#to);
    this.#entries.fill(undefined, this.size, this.#to);
    this.#to = this.size;
    this.#from = 0;
  }
}
