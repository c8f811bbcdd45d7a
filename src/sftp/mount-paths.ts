import type { Bytes } from "#ssh/sftp";
import { componentsOf, joined } from "./paths.ts";

/** What a client's path means in a tree of several mounts. */
export type Where =
  /** A folder that is on no host: above the mounts. */
  | { readonly kind: "virtual"; readonly folder: VirtualFolder }
  /** In a mount; `path` is absolute there, `..` and links in it still to be looked at. */
  | { readonly kind: "mount"; readonly mount: number; readonly path: Bytes; readonly whole: boolean }
  /** No such name in a virtual folder; `inFolder`: there is the folder that it would be in. */
  | { readonly kind: "absent"; readonly path: Bytes; readonly inFolder: boolean }
  /** It leaves a mount again: where `before` leads must be asked there first; `after` begins with `..`. */
  | {
      readonly kind: "climbs";
      readonly mount: number;
      readonly before: Bytes;
      readonly after: readonly string[];
    };

/** A folder above mounts, or the place of a mount itself. */
export interface VirtualFolder {
  readonly path: Bytes;
  readonly parent: VirtualFolder | undefined;
  readonly children: ReadonlyMap<string, VirtualFolder>;
  /** Here begins this mount: what lies below is its host's. */
  readonly mount: number | undefined;
}

/** Why places of mounts cannot stand beside each other; undefined if they can. Each is absolute. */
export function mountClash(places: readonly Bytes[]): string | undefined {
  for (const [at, place] of places.entries()) {
    const names = componentsOf(place);
    if (names.length === 0) return "a mount cannot be at /: give its folder as root, without mounts";
    for (const other of places.slice(0, at)) {
      const others = componentsOf(other);
      const shorter = Math.min(names.length, others.length);
      if (names.slice(0, shorter).join("/") !== others.slice(0, shorter).join("/")) continue;
      if (names.length === others.length) return `two mounts are at ${place}`;
      const [inner, outer] = names.length > others.length ? [place, other] : [other, place];
      return `the mount ${inner} lies within the mount ${outer}`;
    }
  }
  return undefined;
}

interface Growing extends VirtualFolder {
  readonly children: Map<string, Growing>;
  mount: number | undefined;
}

function folderAt(path: Bytes, parent: Growing | undefined): Growing {
  return { path, parent, children: new Map(), mount: undefined };
}

/** The folders above the mounts; which host a path is for. */
export class MountPaths {
  readonly root: VirtualFolder;
  readonly #hidden: (path: Bytes) => boolean;

  /** `places`: absolute, and none within another. */
  constructor(places: readonly Bytes[], hidden: (path: Bytes) => boolean) {
    const root = folderAt("/", undefined);
    for (const [mount, place] of places.entries()) {
      let at = root;
      for (const name of componentsOf(place)) {
        const path = `${at.path === "/" ? "" : at.path}/${name}`;
        const next = at.children.get(name) ?? folderAt(path, at);
        at.children.set(name, next);
        at = next;
      }
      at.mount = mount;
    }
    this.root = root;
    this.#hidden = hidden;
  }

  /** What is shown of a virtual folder. */
  childrenOf(folder: VirtualFolder): VirtualFolder[] {
    return [...folder.children.values()].filter(({ path }) => !this.#hidden(path));
  }

  /** A path as the client says it; relative ones begin at the top. */
  where(path: Bytes): Where {
    return this.#walk(componentsOf(path), /\/\.?$/.test(path));
  }

  /** The place where a mount begins. */
  placeOf(at: Bytes): VirtualFolder | undefined {
    let folder: VirtualFolder | undefined = this.root;
    for (const name of componentsOf(at)) folder = folder?.children.get(name);
    return folder;
  }

  /**
   * Where it goes on from a `climbs` out of the mount at `at`, whose `before` turned out to be `found`: absolute there, and without
   * links.
   */
  goOn(at: Bytes, found: Bytes, after: readonly string[]): Where {
    const names = componentsOf(found);
    const rest = [...after];
    while (rest[0] === ".." && names.length > 0) {
      rest.shift();
      names.pop();
    }
    return this.#walk([...componentsOf(at), ...names, ...rest], false);
  }

  #walk(names: readonly string[], slash: boolean): Where {
    let at = this.root;
    for (let next = 0; next < names.length; next++) {
      const name = names[next] ?? "";
      const child = name === ".." ? (at.parent ?? at) : at.children.get(name);
      if (child === undefined || this.#hidden(child.path)) {
        const path = `${at.path === "/" ? "" : at.path}/${name}`;
        return { kind: "absent", path, inFolder: next + 1 === names.length };
      }
      if (child.mount === undefined) {
        at = child;
        continue;
      }
      const rest = names.slice(next + 1);
      const climb = climbAt(rest);
      if (climb !== 0) return inMount(child.mount, rest, climb, slash);
      // Straight out again: nothing in it has been named, so nothing need be asked.
      at = child.parent ?? this.root;
      next++;
    }
    return { kind: "virtual", folder: at };
  }
}

function inMount(mount: number, rest: readonly string[], climb: number | undefined, slash: boolean): Where {
  if (climb !== undefined)
    return { kind: "climbs", mount, before: joined(rest.slice(0, climb)), after: rest.slice(climb) };
  const path = joined(rest);
  return {
    kind: "mount",
    mount,
    path: slash && rest.length > 0 ? `${path}/` : path,
    whole: rest.length === 0,
  };
}

/** Where a path, followed name by name, first leaves the folder that it begins in; undefined: it stays. */
function climbAt(names: readonly string[]): number | undefined {
  let depth = 0;
  for (const [at, name] of names.entries()) {
    depth += name === ".." ? -1 : 1;
    if (depth < 0) return at;
  }
  return undefined;
}
