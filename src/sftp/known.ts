import type { Clock } from "#base";
import { type Bytes, type FileKind, kindOf, type NameEntry } from "#ssh/sftp";

/** Milliseconds for which a folder that was seen is taken for one when something in it is opened. */
export const maxSeenAgeMs = 100;

/** Milliseconds for which a listing tells what kinds of files there are, since it was last found to be right. */
export const maxListedAgeMs = 10_000;

/** Paths of each kind that one channel remembers. */
export const maxKnownPaths = 1024;

/** Names in one listing that are neither files nor folders. */
const maxOddNames = 256;

interface Seen {
  at: number;
  kind: FileKind;
}

interface Listed {
  at: number;
  readonly odd: ReadonlySet<Bytes>;
}

/** What a path has before its last name, taken apart. */
export interface Parent {
  /** As the client says it, with the slash behind it. */
  readonly text: Bytes;
  /** The folder, as the client sees it, with a slash behind it. */
  readonly prefix: Bytes;
  /** Those on the way, outermost first, itself among them, as the client sees them. */
  readonly folders: readonly Bytes[];
}

/**
 * What was seen of a tree a moment ago. It lets something be opened before it is looked at, never instead: whatever is opened so is
 * looked at all the same before anybody has it. Paths are as the client sees them, links resolved.
 */
export class Known {
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #seen = new Map<Bytes, Seen>();
  readonly #listed = new Map<Bytes, Listed>();
  /** Folders in which the last file that was written was there before. */
  readonly #taken = new Set<Bytes>();
  /** The folder in which something was last opened first, and the looks behind it found nothing wrong. */
  #held: Bytes | undefined;
  /** The upstream makes files only where there are none, if it is asked to. */
  exclusive = true;
  /** Whether a backslash is a sign like others to the upstream, once it was asked. */
  backslashes: boolean | undefined;
  /** The upstream's REALPATH follows links, and so tells of a whole path at once that there is none in it. */
  resolving = false;
  /** That is sure without looking at what was made. */
  surelyExclusive = false;
  /** Of the last path that was taken apart, and so of the next, mostly. Nothing in it can change: what a text says, what is hidden. */
  parent: Parent | undefined;

  constructor(clock: Pick<Clock, "monotonic">) {
    this.#clock = clock;
  }

  /** Somebody is about to change, or has changed, where paths lead. */
  forget(): void {
    this.#seen.clear();
    this.#listed.clear();
    this.#held = undefined;
  }

  /** What was opened in this folder before it was looked at was what it should be. */
  held(folder: Bytes): void {
    this.#held = folder;
  }

  heldLast(folder: Bytes): boolean {
    return this.#held === folder;
  }

  saw(path: Bytes, kind: FileKind | undefined): void {
    const seen = this.#seen.get(path);
    if (kind === undefined) {
      if (seen !== undefined) this.#seen.delete(path);
    } else if (seen === undefined) note(this.#seen, path, { at: this.#clock.monotonic(), kind });
    else {
      seen.at = this.#clock.monotonic();
      seen.kind = kind;
    }
  }

  /** What in a folder is neither file nor folder. Undefined: too much. */
  listed(folder: Bytes, odd: ReadonlySet<Bytes> | undefined): void {
    this.#listed.delete(folder);
    if (odd !== undefined) note(this.#listed, folder, { at: this.#clock.monotonic(), odd });
  }

  /** All of them were just seen to be folders. */
  sawFolders(folders: readonly Bytes[]): void {
    const at = this.#clock.monotonic();
    for (const folder of folders) {
      const seen = this.#seen.get(folder);
      if (seen === undefined) note(this.#seen, folder, { at, kind: "directory" });
      else {
        seen.at = at;
        seen.kind = "directory";
      }
    }
  }

  areFolders(folders: readonly Bytes[]): boolean {
    const now = this.#clock.monotonic();
    for (const folder of folders) {
      const seen = this.#seen.get(folder);
      if (seen?.kind !== "directory" || now - seen.at > maxSeenAgeMs) return false;
    }
    return true;
  }

  /** Nothing that would do more than be opened: a pipe, a device. */
  isFile(path: Bytes, folder: Bytes, name: Bytes): boolean {
    const listed = this.#listed.get(folder);
    // Of thousands of files in one folder each is asked for once: where nothing can be found nothing is looked for.
    if (listed === undefined || (listed.odd.size > 0 && listed.odd.has(name)))
      return this.#lately(path, "file");
    const now = this.#clock.monotonic();
    if (now - listed.at > maxListedAgeMs) return this.#lately(path, "file");
    listed.at = now;
    return true;
  }

  /** Whether files that are written in this folder are likely to be new. */
  likelyNew(folder: Bytes): boolean {
    return this.exclusive && !this.#taken.has(folder);
  }

  wrote(folder: Bytes, isNew: boolean): void {
    if (isNew) this.#taken.delete(folder);
    else if (this.#taken.size < maxKnownPaths) this.#taken.add(folder);
  }

  #lately(path: Bytes, kind: FileKind): boolean {
    const seen = this.#seen.get(path);
    return seen?.kind === kind && this.#clock.monotonic() - seen.at <= maxSeenAgeMs;
  }
}

/** Puts it at the end of the map, and drops the oldest where there are too many. */
function note<Value>(map: Map<Bytes, Value>, path: Bytes, value: Value): void {
  if (map.size >= maxKnownPaths) {
    const [oldest] = map.keys();
    if (oldest !== undefined) map.delete(oldest);
  }
  map.set(path, value);
}

/** A folder that is being listed: the names in it that are neither files nor folders. */
export class Listing {
  readonly #known: Known;
  readonly #folder: Bytes;
  #odd: Set<Bytes> | undefined = new Set();

  constructor(known: Known, folder: Bytes) {
    this.#known = known;
    this.#folder = folder;
  }

  take(entries: readonly NameEntry[]): void {
    for (const { name, attrs } of entries) {
      const kind = kindOf(attrs);
      if (kind !== "file" && kind !== "directory") this.#odd?.add(name);
    }
    if ((this.#odd?.size ?? 0) > maxOddNames) this.#odd = undefined;
  }

  /** All names have come. */
  end(): void {
    this.#known.listed(this.#folder, this.#odd);
  }
}
