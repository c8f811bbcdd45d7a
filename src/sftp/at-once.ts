import { type Bytes, FXF, type SftpReply } from "#ssh/sftp";
import { checkPath, type Found, foundIn, type Place, type Tree } from "./find.ts";
import { componentsOf, maxPathComponents } from "./paths.ts";
import { type Plan, type Question, realpathIn, Refusal } from "./plan.ts";

/** Something that is open upstream, and where it lies; `found` is absent if that it could be opened tells all. */
export interface Opened {
  readonly place: Place;
  readonly handle: Bytes;
  /** The client was told the handle before the looks were in. */
  readonly told: boolean;
  /** And they said that it must not have it. */
  readonly denied: boolean;
}

/** A path in which each folder was seen a moment ago. */
export interface SeenPath {
  readonly names: readonly string[];
  /** As the client sees it. */
  readonly path: Bytes;
  /** Those on the way, outermost first, as the client sees them. */
  readonly folders: readonly Bytes[];
}

/** How something is opened at once. */
export interface Door {
  readonly open: (upstream: Bytes) => Question;
  /** That it could be opened tells what it is: made by this, or a folder. */
  readonly telling: boolean;
  /** Else it must be this. */
  readonly fits: (found: Found) => boolean;
  /** What tells the client that it is open. */
  readonly tell?: (handle: Bytes) => SftpReply;
}

/**
 * Opens, and looks at every name of the path in the same burst, behind it: one round trip instead of two. Only where all folders
 * on the way were seen a moment ago. If one of them is none any more, or the last name is not of the kind that was awaited, what is
 * open is closed again, and nobody had it. Undefined: it must be done the slow way, which also knows what to say.
 *
 * Where the one before in the same folder went well, the client is told the handle while the looks are on their way: nothing that it
 * does with it is read before they are in. What must not be had then stays open, so that no other file gets its handle, and is of no use.
 */
export function* openAtOnce(tree: Tree, seen: SeenPath, door: Door): Plan<Opened | undefined> {
  const { names, path } = seen;
  const upstream = upstreamOf(tree, path);
  const short = tree.known.resolving && (door.telling || names.length > 2);
  const looks = short ? shortLooks(tree, seen, door.telling) : allLooks(tree, seen);
  const { tell } = door;
  const folder = seen.folders.at(-1) ?? "/";
  const told = tell !== undefined && tree.known.heldLast(folder);
  const early = (first: SftpReply): SftpReply | undefined =>
    told && first.kind === "handle" ? tell(first.handle) : undefined;
  const replies = yield { ask: [door.open(upstream), ...looks], early };
  const opened = replies[0];
  if (opened?.kind !== "handle") return undefined;
  const { handle } = opened;
  const found = short ? foundShortly(tree, seen, door.telling, replies) : lastOf(tree, seen, replies);
  const place = { path, names, upstream, found: found === "made" ? undefined : found };
  if (found === "made" || (found !== undefined && door.fits(found))) {
    tree.known.held(folder);
    return { handle, place, told, denied: false };
  }
  tree.known.forget();
  if (told) return { handle, place, told, denied: true };
  yield { ask: [{ kind: "close", handle }] };
  return undefined;
}

function upstreamOf({ root }: Tree, path: Bytes): Bytes {
  return root === "/" ? path : root + path;
}

function allLooks(tree: Tree, { path, folders }: SeenPath): Question[] {
  return [...folders, path].map((each) => ({ kind: "lstat", path: upstreamOf(tree, each) }));
}

/** One question whether there is a link in the path; and what is last, unless that is known. */
function shortLooks(tree: Tree, { path, folders }: SeenPath, telling: boolean): Question[] {
  const upstream = upstreamOf(tree, path);
  if (telling) return [{ kind: "realpath", path: upstream }];
  return [
    { kind: "realpath", path: upstreamOf(tree, folders.at(-1) ?? "") },
    { kind: "lstat", path: upstream },
  ];
}

/** What the last path is, if there is no link in it; the looks stand behind the first reply. */
function foundShortly(
  tree: Tree,
  { path, folders }: SeenPath,
  telling: boolean,
  replies: readonly SftpReply[],
): Found | "made" | undefined {
  if (realpathIn(replies[1]) !== upstreamOf(tree, telling ? path : (folders.at(-1) ?? ""))) {
    // It is no more than a shorter way: a host may have other names for its files.
    tree.known.resolving = false;
    return undefined;
  }
  const found = telling ? "made" : foundIn(replies[2]);
  if (found instanceof Refusal || found === undefined) return undefined;
  for (const each of folders) tree.known.saw(each, "directory");
  return found;
}

/** What the last path is, if all before it are folders; the looks stand behind the first reply. */
function lastOf(tree: Tree, { path, folders }: SeenPath, replies: readonly SftpReply[]): Found | undefined {
  for (const [at, folder] of folders.entries()) {
    const found = foundIn(replies[at + 1]);
    if (found instanceof Refusal || found === undefined) return undefined;
    tree.known.saw(folder, found.kind);
    if (found.kind !== "directory") return undefined;
  }
  const last = foundIn(replies[folders.length + 1]);
  if (last instanceof Refusal || last === undefined) return undefined;
  // Of files that are done with there are many, and nobody asks for them again.
  if (last.kind !== "file") tree.known.saw(path, last.kind);
  return last;
}

/** A path in which each folder was seen a moment ago, and nothing is hidden. Undefined: it is none. */
export function seenPath(tree: Tree, path: Bytes): SeenPath | undefined {
  if (checkPath(path) !== undefined || path === "" || /\/\.?$|\\/.test(path)) return undefined;
  const names = componentsOf(path);
  if (!path.startsWith("/")) names.unshift(...tree.home);
  if (names.length === 0 || names.length > maxPathComponents || names.includes("..")) return undefined;
  const folders: Bytes[] = [];
  let at = "";
  for (const name of names) {
    if (at !== "") {
      if (!tree.known.isFolder(at)) return undefined;
      folders.push(at);
    }
    at += `/${name}`;
    if (tree.hidden(at)) return undefined;
  }
  return { names, path: at, folders };
}

/** Flags with which a file is opened at once, and nothing happens that the look behind it could come too late for. */
export function flagsAtOnce(
  { known }: Tree,
  { names, path, folders }: SeenPath,
  flags: number,
): number | undefined {
  const folder = folders.at(-1) ?? "/";
  const changes = FXF.WRITE | FXF.APPEND | FXF.CREAT | FXF.TRUNC;
  if ((flags & changes) === 0) return known.isFile(path, folder, names.at(-1) ?? "") ? flags : undefined;
  // Made where there is nothing, or not at all: no link is followed, and nothing that is there is cut.
  if ((flags & FXF.CREAT) === 0 || !known.likelyNew(folder)) return undefined;
  return (flags | FXF.EXCL) & ~FXF.TRUNC;
}
