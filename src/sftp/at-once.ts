import { type Bytes, FXF, type SftpReply } from "#ssh/sftp";
import { checkPath, type Found, foundIn, type Place, type Tree } from "./find.ts";
import { componentsOf, joined, maxPathComponents } from "./paths.ts";
import { type Plan, type Question, Refusal } from "./plan.ts";

/** Something that is open upstream, and where it lies. */
export interface Opened {
  readonly place: Place;
  readonly handle: Bytes;
}

/**
 * Opens, and looks at every name of the path in the same burst, behind it: one round trip instead of two. Only where all folders
 * on the way were seen a moment ago. If one of them is none any more, or the last name is not of the kind that was awaited, what is
 * open is closed again, and nobody had it. Undefined: it must be done the slow way, which also knows what to say.
 */
export function* openAtOnce(
  tree: Tree,
  names: readonly string[],
  question: (upstream: Bytes) => Question,
  fits: (found: Found) => boolean,
): Plan<Opened | undefined> {
  const paths = prefixesOf(names);
  const root = tree.root === "/" ? "" : tree.root;
  const path = paths.at(-1) ?? "/";
  const upstream = root + path;
  const ask: Question[] = [question(upstream)];
  for (const each of paths) ask.push({ kind: "lstat", path: root + each });
  const replies = yield { ask };
  const [opened] = replies;
  if (opened?.kind !== "handle") return undefined;
  const { handle } = opened;
  const found = lastOf(tree, paths, replies);
  if (found !== undefined && fits(found)) return { handle, place: { path, names, upstream, found } };
  yield { ask: [{ kind: "close", handle }] };
  return undefined;
}

/** What the last path is, if all before it are folders; the looks at them stand behind the first reply. */
function lastOf(tree: Tree, paths: readonly Bytes[], replies: readonly SftpReply[]): Found | undefined {
  for (const [at, path] of paths.entries()) {
    const found = foundIn(replies[at + 1]);
    if (found instanceof Refusal || found === undefined) return undefined;
    const last = at + 1 === paths.length;
    // Of files that are done with there are many, and nobody asks for them again.
    if (!last || found.kind !== "file") tree.known.saw(path, found.kind);
    if (last) return found;
    if (found.kind !== "directory") return undefined;
  }
  return undefined;
}

/** Of `a`, `b`, `c`: `/a`, `/a/b`, `/a/b/c`. */
function prefixesOf(names: readonly string[]): Bytes[] {
  let path = "";
  return names.map((name) => (path += `/${name}`));
}

/** The names of a path in which each folder was seen a moment ago, and nothing is hidden. Undefined: it is none. */
export function knownNames(tree: Tree, path: Bytes): string[] | undefined {
  if (checkPath(path) !== undefined || path === "" || /\/\.?$|\\/.test(path)) return undefined;
  const names = componentsOf(path);
  if (!path.startsWith("/")) names.unshift(...tree.home);
  if (names.length === 0 || names.length > maxPathComponents || names.includes("..")) return undefined;
  const paths = prefixesOf(names);
  for (const [at, each] of paths.entries())
    if (tree.hidden(each) || (at + 1 < names.length && !tree.known.isFolder(each))) return undefined;
  return names;
}

/** Flags with which a file is opened at once, and nothing happens that the look behind it could come too late for. */
export function flagsAtOnce(tree: Tree, names: readonly string[], flags: number): number | undefined {
  const folder = joined(names.slice(0, -1));
  const changes = FXF.WRITE | FXF.APPEND | FXF.CREAT | FXF.TRUNC;
  if ((flags & changes) === 0)
    return tree.known.isFile(joined(names), folder, names.at(-1) ?? "") ? flags : undefined;
  // Made where there is nothing, or not at all: no link is followed, and nothing that is there is cut.
  if ((flags & FXF.CREAT) === 0 || !tree.known.likelyNew(folder)) return undefined;
  return (flags | FXF.EXCL) & ~FXF.TRUNC;
}
