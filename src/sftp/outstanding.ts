/**
 * What is not answered yet, by number, in the order in which it came. There are few at a time, and mostly the first is answered next:
 * a map, which makes itself anew for each that goes when few are left, would take several times as long.
 */
export class Outstanding<Entry> {
  readonly #ids: number[] = [];
  readonly #entries: Entry[] = [];

  get size(): number {
    return this.#ids.length;
  }

  /** The one that came before all others. */
  get first(): Entry | undefined {
    return this.#entries[0];
  }

  has(id: number): boolean {
    return this.#ids.includes(id);
  }

  /** `id` must not be among them. */
  add(id: number, entry: Entry): void {
    this.#ids.push(id);
    this.#entries.push(entry);
  }

  get(id: number): Entry | undefined {
    return this.#entries[this.#ids.indexOf(id)];
  }

  delete(id: number): void {
    const at = this.#ids.indexOf(id);
    if (at === 0) this.shift();
    else if (at > 0) {
      this.#ids.splice(at, 1);
      this.#entries.splice(at, 1);
    }
  }

  shift(): Entry | undefined {
    this.#ids.shift();
    return this.#entries.shift();
  }

  /** Takes all of them out. */
  clear(): Entry[] {
    this.#ids.length = 0;
    return this.#entries.splice(0);
  }
}
