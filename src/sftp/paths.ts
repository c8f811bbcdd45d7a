import type { Bytes } from "#ssh/sftp";

/** The longest path that is taken: Linux's PATH_MAX. */
export const maxPathBytes = 4096;

/** Folders below each other in one path, links resolved. */
export const maxPathComponents = 128;

/** Links in one path: as Linux has it. */
export const maxLinks = 40;

/** The names in a path; `.` and empty ones say nothing and are left out. */
export function componentsOf(path: Bytes): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}

export function joined(components: readonly string[]): Bytes {
  return `/${components.join("/")}`;
}

/** A path below a root that is absolute and has no slash at its end, but for `/` itself. */
export function below(root: Bytes, components: readonly string[]): Bytes {
  if (components.length === 0) return root;
  return `${root === "/" ? "" : root}/${components.join("/")}`;
}

/** What is left of `path` below `root`; undefined if it does not lie there. Both absolute; nothing is resolved. */
export function withoutRoot(path: readonly string[], root: readonly string[]): string[] | undefined {
  if (path.length < root.length || root.some((name, at) => path[at] !== name)) return undefined;
  return path.slice(root.length);
}

/** Whether a relative path, followed name by name from a folder so deep below the root, stays below it. */
export function staysBelow(components: readonly string[], depth: number): boolean {
  let at = depth;
  for (const name of components) {
    at += name === ".." ? -1 : 1;
    if (at < 0) return false;
  }
  return true;
}

/** `..` taken away together with the name before it; at the root it says nothing. */
export function withoutDots(components: readonly string[]): string[] {
  const done: string[] = [];
  for (const name of components) {
    if (name === "..") done.pop();
    else done.push(name);
  }
  return done;
}
