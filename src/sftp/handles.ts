import type { Bytes } from "#ssh/sftp";
import type { OpenFile } from "./record.ts";

/** So many are found by looking at one after the other. */
const nearHandles = 8;

/**
 * What is open, by handle, in the order in which it was opened. Most clients have a few files open at once, and a map is dear for
 * those: V8 looks up each text that it is asked for in its table of all texts first, and the map makes itself anew when it gets empty.
 */
export class Handles {
  readonly #handles: Bytes[] = [];
  readonly #files: (OpenFile | undefined)[] = [];
  #near = 0;
  /** Those that came when there were many. */
  readonly #far = new Map<Bytes, OpenFile>();

  get size(): number {
    return this.#near + this.#far.size;
  }

  get(handle: Bytes): OpenFile | undefined {
    const at = this.#find(handle);
    if (at >= 0) return this.#files[at];
    return this.#far.size === 0 ? undefined : this.#far.get(handle);
  }

  /** In the place of what had this handle before, if anything had. */
  set(handle: Bytes, file: OpenFile): void {
    const at = this.#find(handle);
    if (at >= 0) this.#files[at] = file;
    else if (this.#far.size > 0 || this.#near === nearHandles) this.#far.set(handle, file);
    else {
      this.#handles[this.#near] = handle;
      this.#files[this.#near] = file;
      this.#near++;
    }
  }

  delete(handle: Bytes): void {
    const at = this.#find(handle);
    if (at < 0) {
      if (this.#far.size > 0) this.#far.delete(handle);
      return;
    }
    // By hand: arrays that get shorter give their room back, and would have to get it again.
    this.#near--;
    for (let to = at; to < this.#near; to++) {
      this.#handles[to] = this.#handles[to + 1] ?? "";
      this.#files[to] = this.#files[to + 1];
    }
    this.#files[this.#near] = undefined;
  }

  /** Takes all of them out. */
  clear(): OpenFile[] {
    const near = this.#files.slice(0, this.#near);
    const files = [...near.filter((file) => file !== undefined), ...this.#far.values()];
    this.#files.fill(undefined);
    this.#near = 0;
    this.#far.clear();
    return files;
  }

  #find(handle: Bytes): number {
    for (let at = 0; at < this.#near; at++) if (this.#handles[at] === handle) return at;
    return -1;
  }
}
