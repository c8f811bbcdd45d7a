import { type Bytes, type FileAttrs, type FileKind, FX, kindOf, type SftpReply } from "#ssh/sftp";
import {
  below,
  componentsOf,
  joined,
  maxLinks,
  maxPathBytes,
  maxPathComponents,
  withoutRoot,
} from "./paths.ts";
import type { Known } from "./known.ts";
import { denied, failed, type Plan, Refusal, type Replies } from "./plan.ts";

/** The part of the upstream's tree that a client sees. */
export interface Tree {
  /** Absolute, without links, no slash at the end but for `/` itself. */
  readonly root: Bytes;
  /** What links may call the root: as the upstream knows it, and as configured. */
  readonly rootNames: readonly (readonly string[])[];
  /** Where relative paths begin, as the client sees it. */
  readonly home: readonly string[];
  readonly known: Known;
  hidden(path: Bytes): boolean;
}

export interface Found {
  readonly attrs: FileAttrs;
  readonly kind: FileKind;
}

/** A path that was looked at: no name in it but maybe the last is a link, and that one only if it was not to be followed. */
export interface Place {
  /** As the client sees it. */
  readonly path: Bytes;
  /** Its names. */
  readonly names: readonly string[];
  readonly upstream: Bytes;
  /** Absent: there is nothing by this name, but there is the folder it would be in. */
  readonly found: Found | undefined;
}

interface Todo {
  readonly name: string;
  /** Out of a link, rather than the client's own word: at the root, `..` leads out then. */
  readonly linked: boolean;
}

export const leadsOut = "This link leads out of your folder.";

/** Checked before anything is asked: what no server should have to answer. */
export function checkPath(path: Bytes): Refusal | undefined {
  if (path.includes("\0")) return denied("A path cannot hold a NUL.");
  if (path.length > maxPathBytes) return denied(`A path cannot be longer than ${maxPathBytes} bytes.`);
  return undefined;
}

/** There if a backslash stands between folders, as on Windows; a name like this is nobody's. */
const backslashProbe: Bytes = ".\\.";

/**
 * Asked once, when a name first has one: a host that takes it for a slash would be led by it past all that is looked at here.
 * Undefined: it may pass.
 */
export function* refuseBackslash(tree: Tree, path: Bytes): Plan<Refusal | undefined> {
  if (!path.includes("\\")) return undefined;
  if (tree.known.backslashes === undefined) {
    const [reply] = yield { ask: [{ kind: "lstat", path: backslashProbe }] };
    tree.known.backslashes = reply?.kind === "status" && reply.code === FX.NO_SUCH_FILE;
  }
  return tree.known.backslashes ? undefined : denied("A name cannot have a backslash at this host.");
}

/**
 * Finds what a client's path means, name by name, as the upstream's kernel would if the root were its root. Every name is looked at
 * with LSTAT; a link is read and followed here, so that what is used afterwards has none. What lies outside is refused; so is what
 * cannot be told.
 */
export function* find(tree: Tree, path: Bytes, followLast: boolean): Plan<Place | Refusal> {
  const refusal = checkPath(path) ?? (path === "" ? failed(FX.NO_SUCH_FILE) : undefined);
  if (refusal !== undefined) return refusal;
  const wrongName = yield* refuseBackslash(tree, path);
  if (wrongName !== undefined) return wrongName;
  const walk = new Walk(tree, path, followLast);
  for (;;) {
    const run = walk.next();
    if (run instanceof Refusal) return run;
    if (run.length === 0) return yield* atFolder(tree, walk.done);
    const replies = yield { ask: run.map((names) => ({ kind: "lstat", path: below(tree.root, names) })) };
    const looked = walk.look(run, replies);
    if (looked === "on") continue;
    if (!("link" in looked)) return looked;
    const [reply] = yield { ask: [{ kind: "readlink", path: below(tree.root, looked.link) }] };
    const target = reply?.kind === "name" ? (reply.entries[0]?.name ?? "") : "";
    const wrong = (yield* refuseBackslash(tree, target)) ?? walk.follow(looked.link, reply);
    if (wrong !== undefined) return wrong;
  }
}

/** The path ended at a folder that was passed before, or at the root. */
function* atFolder(tree: Tree, names: readonly string[]): Plan<Place | Refusal> {
  const upstream = below(tree.root, names);
  const [reply] = yield { ask: [{ kind: "lstat", path: upstream }] };
  const seen = foundIn(reply);
  if (seen instanceof Refusal) return seen;
  if (seen === undefined) return failed(FX.NO_SUCH_FILE);
  return { path: joined(names), names, upstream, found: seen };
}

/** What LSTAT said; undefined: there is no such file. */
export function foundIn(reply: SftpReply | undefined): Found | undefined | Refusal {
  if (reply?.kind === "status") return reply.code === FX.NO_SUCH_FILE ? undefined : failed(reply.code);
  const kind = reply?.kind === "attrs" ? kindOf(reply.attrs) : undefined;
  if (reply?.kind !== "attrs" || kind === undefined)
    return denied("The host does not say what this is, so it cannot be checked.");
  if (reply.attrs.extended === undefined) return { attrs: reply.attrs, kind };
  const { extended, ...attrs } = reply.attrs;
  void extended;
  return { attrs, kind };
}

class Walk {
  /** Names passed: folders, none of them a link. */
  done: string[] = [];
  readonly #tree: Tree;
  readonly #followLast: boolean;
  #todo: Todo[];
  #links = 0;

  constructor(tree: Tree, path: Bytes, followLast: boolean) {
    this.#tree = tree;
    // With a slash at its end a path means what a link leads to.
    this.#followLast = followLast || /\/\.?$/.test(path);
    const before = path.startsWith("/") ? [] : tree.home;
    this.#todo = [...before, ...componentsOf(path)].map((name) => ({ name, linked: false }));
  }

  /** The paths to look at next, each one name longer; none: the path ends here. */
  next(): string[][] | Refusal {
    for (let first = this.#todo[0]; first?.name === ".."; first = this.#todo[0]) {
      if (this.done.length === 0 && first.linked) return denied(leadsOut);
      this.done.pop();
      this.#todo.shift();
    }
    if (this.done.length + this.#todo.length > maxPathComponents)
      return denied(`A path cannot have more than ${maxPathComponents} names.`);
    const end = this.#todo.findIndex(({ name }) => name === "..");
    const names = this.#todo.slice(0, end < 0 ? undefined : end).map(({ name }) => name);
    return names.map((_, at) => [...this.done, ...names.slice(0, at + 1)]);
  }

  /** `on`: all of them are folders, and there is more to do. */
  look(run: readonly string[][], replies: Replies): Place | Refusal | { readonly link: string[] } | "on" {
    for (const [at, names] of run.entries()) {
      const path = joined(names);
      const seen = this.#tree.hidden(path) ? undefined : foundIn(replies[at]);
      if (seen instanceof Refusal) return seen;
      this.#tree.known.saw(path, seen?.kind);
      const last = at + 1 === this.#todo.length;
      if (seen?.kind === "link" && (!last || this.#followLast)) return { link: names };
      if (last) return { path, names, upstream: below(this.#tree.root, names), found: seen };
      if (seen === undefined) return failed(FX.NO_SUCH_FILE);
      if (seen.kind !== "directory") return failed(FX.NO_SUCH_FILE);
    }
    this.done = [...(run.at(-1) ?? this.done)];
    this.#todo.splice(0, run.length);
    return "on";
  }

  /** The link's own name goes, and what it says comes in its place. */
  follow(link: readonly string[], reply: SftpReply | undefined): Refusal | undefined {
    if (++this.#links > maxLinks) return failed(FX.NO_SUCH_FILE);
    if (reply?.kind === "status") return failed(reply.code);
    const target = reply?.kind === "name" ? reply.entries[0]?.name : undefined;
    if (target === undefined || target === "") return denied("The host does not say where this link leads.");
    const wrong = checkPath(target);
    if (wrong !== undefined) return wrong;
    const rest = this.#todo.slice(link.length - this.done.length);
    let names: string[] | undefined = componentsOf(target);
    if (target.startsWith("/")) {
      names = insideOf(this.#tree, names);
      if (names === undefined) return denied(leadsOut);
      this.done = [];
    } else this.done = link.slice(0, -1);
    this.#todo = [...names.map((name) => ({ name, linked: true })), ...rest];
    return undefined;
  }
}

/** What is left of an absolute path below the root; undefined: it leads elsewhere. */
export function insideOf(tree: Tree, names: readonly string[]): string[] | undefined {
  for (const root of tree.rootNames) {
    const rest = withoutRoot(names, root);
    if (rest !== undefined) return rest;
  }
  return undefined;
}
