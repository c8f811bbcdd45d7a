import { type Bytes, FXF, type SftpReply } from "#ssh/sftp";
import { checkPath, type Found, foundIn, type Place, type Tree } from "./find.ts";
import { below, componentsOf, joined, maxPathComponents } from "./paths.ts";
import { type Plan, type Question, realpathIn, Refusal } from "./plan.ts";

/** Something that is open upstream, and where it lies; `found` is absent if that it could be opened tells all. */
export interface Opened {
  readonly place: Place;
  readonly handle: Bytes;
}

/** How something is opened at once. */
export interface Door {
  readonly open: (upstream: Bytes) => Question;
  /** That it could be opened tells what it is: made by this, or a folder. */
  readonly telling: boolean;
  /** Else it must be this. */
  readonly fits: (found: Found) => boolean;
}

/**
 * Opens, and looks at every name of the path in the same burst, behind it: one round trip instead of two. Only where all folders
 * on the way were seen a moment ago. If one of them is none any more, or the last name is not of the kind that was awaited, what is
 * open is closed again, and nobody had it. Undefined: it must be done the slow way, which also knows what to say.
 */
export function* openAtOnce(tree: Tree, names: readonly string[], door: Door): Plan<Opened | undefined> {
  const path = joined(names);
  const upstream = below(tree.root, names);
  const short = tree.known.resolving && (door.telling || names.length > 2);
  const looks = short ? shortLooks(tree, names, door.telling) : namesOf(tree, names);
  const [opened, ...replies] = yield { ask: [door.open(upstream), ...looks] };
  if (opened?.kind !== "handle") return undefined;
  const { handle } = opened;
  const found = short
    ? foundShortly(tree, names, door.telling, replies)
    : lastOf(tree, prefixesOf(names), replies);
  if (found === "made" || (found !== undefined && door.fits(found)))
    return { handle, place: { path, names, upstream, found: found === "made" ? undefined : found } };
  yield { ask: [{ kind: "close", handle }] };
  return undefined;
}

function namesOf(tree: Tree, names: readonly string[]): Question[] {
  const root = tree.root === "/" ? "" : tree.root;
  return prefixesOf(names).map((each) => ({ kind: "lstat", path: root + each }));
}

/** One question whether there is a link in the path; and what is last, unless that is known. */
function shortLooks(tree: Tree, names: readonly string[], telling: boolean): Question[] {
  const upstream = below(tree.root, names);
  if (telling) return [{ kind: "realpath", path: upstream }];
  return [
    { kind: "realpath", path: below(tree.root, names.slice(0, -1)) },
    { kind: "lstat", path: upstream },
  ];
}

/** What the last path is, if there is no link in it. */
function foundShortly(
  tree: Tree,
  names: readonly string[],
  telling: boolean,
  [resolved, last]: readonly SftpReply[],
): Found | "made" | undefined {
  const folders = names.slice(0, -1);
  if (realpathIn(resolved) !== below(tree.root, telling ? names : folders)) {
    // It is no more than a shorter way: a host may have other names for its files.
    tree.known.resolving = false;
    return undefined;
  }
  const found = telling ? "made" : foundIn(last);
  if (found instanceof Refusal || found === undefined) return undefined;
  for (const each of prefixesOf(folders)) tree.known.saw(each, "directory");
  return found;
}

/** What the last path is, if all before it are folders. */
function lastOf(tree: Tree, paths: readonly Bytes[], replies: readonly SftpReply[]): Found | undefined {
  for (const [at, path] of paths.entries()) {
    const found = foundIn(replies[at]);
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
