/** What was worked out lately, by key; the one that was not asked for the longest is forgotten first. */
export class Recent<Key, Value> {
  readonly #max: number;
  readonly #values = new Map<Key, Value>();

  constructor(max: number) {
    this.#max = max;
  }

  /** The value of a key, if it is there. */
  peek(key: Key): Value | undefined {
    return this.#values.get(key);
  }

  /** The value of a key, made if it is not there. What `make` throws is not kept. */
  of(key: Key, make: () => Value): Value {
    if (this.#values.has(key)) {
      const found = this.#values.get(key) as Value;
      // A Map keeps the order in which keys came: this one is now the last to go.
      this.#values.delete(key);
      this.#values.set(key, found);
      return found;
    }
    const made = make();
    this.#values.set(key, made);
    if (this.#values.size > this.#max) {
      for (const oldest of this.#values.keys()) {
        this.#values.delete(oldest);
        break;
      }
    }
    return made;
  }
}
