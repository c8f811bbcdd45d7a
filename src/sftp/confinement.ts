import type { FileAction, FileRight } from "#contract";
import { type Bytes, FX, type SftpRequest } from "#ssh/sftp";
import { checkPath, find, insideOf, leadsOut, type Place, refuseBackslash, type Tree } from "./find.ts";
import { below, componentsOf, joined, staysBelow, withoutDots } from "./paths.ts";
import { denied, failed, type Outcome, pathReply, type Plan, Refusal, type Way } from "./plan.ts";
import { actionOf, pathsIn } from "./actions.ts";
import type { OpenFiles } from "./open-files.ts";
import { Opening } from "./opening.ts";
import type { Recorder } from "./record.ts";
import { codeOf } from "./replies.ts";
import type { FileRules } from "./rules.ts";
import type { SymlinkOrder } from "./symlinks.ts";

type Of<Kind extends SftpRequest["kind"]> = Extract<SftpRequest, { readonly kind: Kind }>;

/** Whoever is confined: what becomes of each of their requests. */
export class Confinement {
  readonly #tree: Tree;
  readonly #rules: FileRules;
  readonly #recorder: Recorder;
  readonly #open: OpenFiles;
  readonly #symlinks: SymlinkOrder;
  readonly #opening: Opening;

  constructor(tree: Tree, rules: FileRules, recorder: Recorder, open: OpenFiles, symlinks: SymlinkOrder) {
    this.#symlinks = symlinks;
    this.#tree = tree;
    this.#rules = rules;
    this.#recorder = recorder;
    this.#open = open;
    this.#opening = new Opening(tree, rules, recorder, open);
  }

  /** To the audit. */
  tellRefusal(request: SftpRequest, { decided, text }: Refusal): void {
    if (!decided) return;
    const [path, to] = pathsIn(request);
    this.#recorder.refused(actionOf(request), path, text, to);
  }

  /** How a request that names a path is done. Undefined: it names none. */
  way(request: SftpRequest): Way | undefined {
    switch (request.kind) {
      case "open":
        return this.#opening.file(request);
      case "opendir":
        return this.#opening.folder(request);
      case "stat":
      case "lstat":
        return this.#stat(request);
      case "realpath":
        return this.#realpath(request, request.path);
      case "expand-path":
        return this.#expandPath(request);
      case "readlink":
        return this.#readlink(request);
      case "setstat":
      case "lsetstat":
        return this.#setstat(request);
      case "mkdir":
        return this.#one(request, "mkdir", false);
      case "remove":
      case "rmdir":
        return this.#one(request, "delete", false);
      case "statvfs":
        return this.#one(request, undefined, true);
      case "rename":
      case "posix-rename":
        return this.#rename(request);
      case "hardlink":
        return this.#hardlink(request);
      case "symlink":
        return this.#symlink(request);
      case "home-directory":
        return this.#home(request);
      default:
        return undefined;
    }
  }

  /** Whoever's it is: there is one here. */
  *#home({ id }: SftpRequest): Way {
    // Nothing is asked; it only waits its turn.
    yield { ask: [] };
    return { answer: pathReply(id, joined(this.#tree.home)) };
  }

  *#stat(request: Of<"stat" | "lstat">): Way {
    const place = yield* find(this.#tree, request.path, request.kind === "stat");
    if (place instanceof Refusal) return place;
    if (place.found === undefined) return failed(FX.NO_SUCH_FILE);
    return { answer: { kind: "attrs", id: request.id, attrs: place.found.attrs } };
  }

  *#realpath(request: SftpRequest, path: Bytes): Way {
    const place = yield* find(this.#tree, path === "" ? "." : path, true);
    return place instanceof Refusal ? place : { answer: pathReply(request.id, place.path) };
  }

  *#expandPath(request: Of<"expand-path">): Way {
    const { path } = request;
    if (!path.startsWith("~")) return yield* this.#realpath(request, path);
    if (path !== "~" && !path.startsWith("~/")) return denied("There are no other people's folders here.");
    return yield* this.#realpath(request, `${joined(this.#tree.home)}/${path.slice(2)}`);
  }

  *#readlink(request: Of<"readlink">): Way {
    const place = yield* find(this.#tree, request.path, false);
    if (place instanceof Refusal) return place;
    if (place.found === undefined) return failed(FX.NO_SUCH_FILE);
    const [reply] = yield { ask: [{ kind: "readlink", path: place.upstream }] };
    if (reply?.kind === "status") return failed(reply.code);
    const target = reply?.kind === "name" ? reply.entries[0]?.name : undefined;
    if (target === undefined) return failed(FX.FAILURE);
    const told = this.#targetFor(target, place.names.length - 1);
    return told === undefined ? denied(leadsOut) : { answer: pathReply(request.id, told) };
  }

  /** What a link in a folder so deep says, as the client may see it; undefined: it leads out. */
  #targetFor(target: Bytes, depth: number): Bytes | undefined {
    if (!target.startsWith("/")) return staysBelow(componentsOf(target), depth) ? target : undefined;
    const inside = insideOf(this.#tree, componentsOf(target));
    if (inside === undefined || !staysBelow(inside, 0)) return undefined;
    return this.#tree.root === "/" ? target : joined(inside);
  }

  *#setstat(request: Of<"setstat" | "lsetstat">): Way {
    const place = yield* find(this.#tree, request.path, request.kind === "setstat");
    if (place instanceof Refusal) return place;
    const refusal = this.#open.mayChange(request.attrs, place.path, false);
    if (refusal !== undefined) return refusal;
    return this.#send(request, place, "attributes");
  }

  /** Requests about one path that pass as they are, if the right is there. */
  *#one(
    request: Of<"mkdir" | "remove" | "rmdir" | "statvfs">,
    right: FileRight | undefined,
    follow: boolean,
  ): Way {
    const place = yield* find(this.#tree, request.path, follow);
    if (place instanceof Refusal) return place;
    const { path, names, found } = place;
    if (right === undefined || request.kind === "statvfs")
      return { send: { ...request, path: place.upstream } };
    if (names.length === 0) return denied("This is your whole folder.");
    if (found === undefined && right === "delete") return failed(FX.NO_SUCH_FILE);
    if (!this.#rules.rights(path).has(right) || (right === "mkdir" && this.#rules.hidden(path)))
      return denied(
        right === "mkdir" ? "Making folders is not allowed here." : "Deleting is not allowed here.",
      );
    return this.#send(request, place, actionOf(request));
  }

  #send(
    request: Of<"mkdir" | "remove" | "rmdir" | "setstat" | "lsetstat">,
    { path, upstream }: Place,
    action: FileAction,
  ): Outcome {
    return {
      send: { ...request, path: upstream },
      finish: (reply) => {
        this.#recorder.changed(action, { path, upstream }, codeOf(reply));
        return undefined;
      },
    };
  }

  *#rename(request: Of<"rename" | "posix-rename">): Way {
    const pair = yield* this.#pair(request, "rename", "Renaming is not allowed here.");
    if (pair instanceof Refusal) return pair;
    const { from, to } = pair;
    if (to.found !== undefined && !this.#rules.rights(to.path).has("write"))
      return denied("There is such a file, and changing files is not allowed here.");
    if (
      from.found?.kind === "directory" &&
      (this.#rules.bindsPlace(from.path) || this.#rules.bindsPlace(to.path))
    )
      return denied("This folder has rules of its own, and stays where it is.");
    return this.#sendPair(request, pair);
  }

  *#hardlink(request: Of<"hardlink">): Way {
    const pair = yield* this.#pair(request, "link", "Links are not allowed here.");
    return pair instanceof Refusal ? pair : this.#sendPair(request, pair);
  }

  /** What is common to both: the two places, and that nothing comes to where more may be done with it. */
  *#pair(
    request: Of<"rename" | "posix-rename" | "hardlink">,
    right: FileRight,
    text: string,
  ): Plan<{ readonly from: Place; readonly to: Place } | Refusal> {
    const from = yield* find(this.#tree, request.from, false);
    if (from instanceof Refusal) return from;
    const to = yield* find(this.#tree, request.to, false);
    if (to instanceof Refusal) return to;
    if (from.found === undefined) return failed(FX.NO_SUCH_FILE);
    if (from.names.length === 0 || to.names.length === 0) return denied("This is your whole folder.");
    const before = this.#rules.rights(from.path);
    const after = this.#rules.rights(to.path);
    if (!before.has(right) || !after.has(right) || this.#rules.hidden(to.path)) return denied(text);
    if ([...after].some((each) => !before.has(each)))
      return denied("More may be done with files there than here.");
    if (from.found.kind === "file" && !this.#rules.fitsExtensions(to.path))
      return denied("Files of this kind are not allowed here.");
    if (from.found.kind === "link") {
      const [reply] = yield { ask: [{ kind: "readlink", path: from.upstream }] };
      const target = reply?.kind === "name" ? reply.entries[0]?.name : undefined;
      if (target === undefined || this.#targetFor(target, to.names.length - 1) === undefined)
        return denied(leadsOut);
    }
    return { from, to };
  }

  #sendPair(
    request: Of<"rename" | "posix-rename" | "hardlink">,
    { from, to }: { readonly from: Place; readonly to: Place },
  ): Outcome {
    return {
      send: { ...request, from: from.upstream, to: to.upstream },
      finish: (reply) => {
        this.#recorder.changed(actionOf(request), from, codeOf(reply), to);
        return undefined;
      },
    };
  }

  *#symlink(request: Of<"symlink">): Way {
    const wrong = checkPath(request.target) ?? (request.target === "" ? failed(FX.NO_SUCH_FILE) : undefined);
    if (wrong !== undefined) return wrong;
    const wrongName = yield* refuseBackslash(this.#tree, request.target);
    if (wrongName !== undefined) return wrongName;
    const place = yield* find(this.#tree, request.link, false);
    if (place instanceof Refusal) return place;
    if (!this.#rules.rights(place.path).has("link") || this.#rules.hidden(place.path))
      return denied("Links are not allowed here.");
    if (place.names.length === 0) return denied("This is your whole folder.");
    const target = this.#targetBelow(request.target, place.names.length - 1);
    if (target === undefined) return denied(leadsOut);
    if (this.#symlinks === "unknown") return denied("Links cannot be made safely at this host.");
    const swapped = this.#symlinks === "draft";
    return {
      send: {
        ...request,
        target: swapped ? place.upstream : target,
        link: swapped ? target : place.upstream,
      },
      finish: (reply) => {
        this.#recorder.changed("symlink", place, codeOf(reply), { path: request.target, upstream: target });
        return undefined;
      },
    };
  }

  /** What a link is to say upstream; undefined: it would lead out. */
  #targetBelow(target: Bytes, depth: number): Bytes | undefined {
    if (!target.startsWith("/")) return staysBelow(componentsOf(target), depth) ? target : undefined;
    return this.#tree.root === "/" ? target : below(this.#tree.root, withoutDots(componentsOf(target)));
  }
}
