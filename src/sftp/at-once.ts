import { type Bytes, FXF } from "#ssh/sftp";
import { checkPath, type Found, foundIn, type Tree } from "./find.ts";
import type { Parent } from "./known.ts";
import { componentsOf, maxPathBytes, maxPathComponents } from "./paths.ts";
import { type Asking, type Question, realpathIn, Refusal, type Replies } from "./plan.ts";

/** A path in which each folder was seen a moment ago. */
export interface SeenPath {
  /** As the client sees it. */
  readonly path: Bytes;
  /** Its last name. */
  readonly name: string;
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
  /** The number of the client's request, if the client may be told before the looks are in. */
  readonly as?: number | undefined;
}

/** What is asked so that something is opened at once. */
export interface Attempt {
  readonly seen: SeenPath;
  readonly door: Door;
  readonly upstream: Bytes;
  readonly asking: Asking;
  /** Whether one question tells that there is no link among the folders. */
  readonly short: boolean;
  /** The client is told the handle before the looks are in. */
  readonly told: boolean;
}

/** Something that is open upstream, and what the looks behind it said. */
export interface Opened {
  readonly handle: Bytes;
  /** It is what it should be; else nobody may have it. */
  readonly right: boolean;
  /** Absent if that it could be opened tells all. */
  readonly found?: Found | undefined;
}

/**
 * Opens, and looks at every name of the path in the same burst, behind it: one round trip instead of two. Only where all folders
 * on the way were seen a moment ago.
 *
 * Where the one before in the same folder went well, the client is told the handle while the looks are on their way: nothing that it
 * does with it is read before they are in.
 */
export function attempt(tree: Tree, seen: SeenPath, door: Door): Attempt {
  const { known } = tree;
  const { folders } = seen;
  const { telling } = door;
  const upstream = upstreamOf(tree, seen.path);
  const short = known.resolving && (telling || folders.length > 1);
  const looks = short ? shortLooks(tree, upstream, folders, telling) : allLooks(tree, seen);
  const as = known.heldLast(folders.at(-1) ?? "/") ? door.as : undefined;
  const asking = { ask: [door.open(upstream), ...looks], as };
  return { seen, door, upstream, asking, short, told: as !== undefined };
}

/**
 * What came of it. Undefined: it could not be opened, and must be done the slow way, which also knows what to say. What is not right
 * must be closed again before anybody has it; if the client was told the handle, it must stay open, so that no other file gets that
 * handle, and be of no use.
 */
export function judge(tree: Tree, attempt: Attempt, replies: Replies): Opened | undefined {
  const [opened] = replies;
  if (opened?.kind !== "handle") return undefined;
  const { handle } = opened;
  const { seen, door, short } = attempt;
  const found = short ? foundShortly(tree, attempt, replies) : lastOf(tree, seen, replies);
  const right = found === "made" || (found !== undefined && door.fits(found));
  if (right) tree.known.held(seen.folders.at(-1) ?? "/");
  else tree.known.forget();
  return { handle, right, found: found === "made" ? undefined : found };
}

function upstreamOf({ root }: Tree, path: Bytes): Bytes {
  return root === "/" ? path : root + path;
}

function allLooks(tree: Tree, { path, folders }: SeenPath): Question[] {
  return [...folders, path].map((each) => ({ kind: "lstat", path: upstreamOf(tree, each) }));
}

/** One question whether there is a link in the path; and what is last, unless that is known. */
function shortLooks(tree: Tree, upstream: Bytes, folders: readonly Bytes[], telling: boolean): Question[] {
  if (telling) return [{ kind: "realpath", path: upstream }];
  return [
    { kind: "realpath", path: upstreamOf(tree, folders.at(-1) ?? "") },
    { kind: "lstat", path: upstream },
  ];
}

/** What the last path is, if there is no link in it; the looks stand behind the first reply. */
function foundShortly(
  tree: Tree,
  { seen: { folders }, door: { telling }, upstream }: Attempt,
  replies: Replies,
): Found | "made" | undefined {
  const awaited = telling ? upstream : upstreamOf(tree, folders.at(-1) ?? "");
  if (realpathIn(replies[1]) !== awaited) {
    // It is no more than a shorter way: a host may have other names for its files.
    tree.known.resolving = false;
    return undefined;
  }
  const found = telling ? "made" : foundIn(replies[2]);
  if (found instanceof Refusal || found === undefined) return undefined;
  tree.known.sawFolders(folders);
  return found;
}

/** What the last path is, if all before it are folders; the looks stand behind the first reply. */
function lastOf(tree: Tree, { path, folders }: SeenPath, replies: Replies): Found | undefined {
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
  const behind = path.lastIndexOf("/") + 1;
  const name = path.slice(behind);
  if (path.length > maxPathBytes || name === "" || name === "." || name === "..") return undefined;
  if (name.includes("\\") || name.includes("\0")) return undefined;
  const parent = parentOf(tree, path.slice(0, behind));
  if (parent === undefined || !tree.known.areFolders(parent.folders)) return undefined;
  const seen = parent.prefix === parent.text ? path : parent.prefix + name;
  return tree.hidden(seen) ? undefined : { path: seen, name, folders: parent.folders };
}

/** Undefined: something in it is hidden, or leads up, or cannot be told. */
function parentOf(tree: Tree, text: Bytes): Parent | undefined {
  const { known, home } = tree;
  if (known.parent?.text === text) return known.parent;
  if (checkPath(text) !== undefined || text.includes("\\")) return undefined;
  const names = componentsOf(text);
  if (!text.startsWith("/")) names.unshift(...home);
  if (names.length >= maxPathComponents || names.includes("..")) return undefined;
  const folders: Bytes[] = [];
  let at = "";
  for (const name of names) {
    at += `/${name}`;
    if (tree.hidden(at)) return undefined;
    folders.push(at);
  }
  known.parent = { text, prefix: `${at}/`, folders };
  return known.parent;
}

/** Flags with which a file is opened at once, and nothing happens that the look behind it could come too late for. */
export function flagsAtOnce(
  { known }: Tree,
  { name, path, folders }: SeenPath,
  flags: number,
): number | undefined {
  const folder = folders.at(-1) ?? "/";
  const changes = FXF.WRITE | FXF.APPEND | FXF.CREAT | FXF.TRUNC;
  if ((flags & changes) === 0) return known.isFile(path, folder, name) ? flags : undefined;
  // Made where there is nothing, or not at all: no link is followed, and nothing that is there is cut.
  if ((flags & FXF.CREAT) === 0 || !known.likelyNew(folder)) return undefined;
  return (flags | FXF.EXCL) & ~FXF.TRUNC;
}
