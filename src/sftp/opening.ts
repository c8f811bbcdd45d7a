import { type Bytes, FX, FXF, type SftpRequest } from "#ssh/sftp";
import { type Attempt, attempt, type Door, flagsAtOnce, judge, type Opened, seenPath } from "./at-once.ts";
import { find, type Tree } from "./find.ts";
import { Listing } from "./known.ts";
import type { OpenFiles } from "./open-files.ts";
import { joined } from "./paths.ts";
import { type Asking, denied, failed, type Outcome, Refusal, type Way } from "./plan.ts";
import { type Named, OpenFile, type Recorder } from "./record.ts";
import { codeOf } from "./replies.ts";
import type { FileRules } from "./rules.ts";

type Of<Kind extends SftpRequest["kind"]> = Extract<SftpRequest, { readonly kind: Kind }>;

/** A file that can be opened before it is looked at. */
interface Quick {
  readonly attempt: Attempt;
  readonly flags: number;
  readonly creating: boolean;
}

const answered: Outcome = { answered: true };

/** What nobody had. */
function closing({ handle }: Opened): Asking {
  return { ask: [{ kind: "close", handle }] };
}

const exchanged = "The path was made to lead elsewhere while this was opened.";

/** How files and folders are opened for whoever is confined. */
export class Opening {
  readonly #tree: Tree;
  readonly #rules: FileRules;
  readonly #recorder: Recorder;
  readonly #open: OpenFiles;
  /** Opens that the upstream has not answered. */
  #opening = 0;

  constructor(tree: Tree, rules: FileRules, recorder: Recorder, open: OpenFiles) {
    this.#tree = tree;
    this.#rules = rules;
    this.#recorder = recorder;
    this.#open = open;
  }

  *file(request: Of<"open">): Way {
    const quick = this.#quick(request);
    if (quick !== undefined) {
      const opened = judge(this.#tree, quick.attempt, yield quick.attempt.asking);
      if (opened !== undefined && (opened.right || quick.attempt.told))
        return this.#openedQuick(request, quick, opened);
      if (opened !== undefined) yield closing(opened);
    }
    const exclusive = (request.flags & FXF.CREAT) !== 0 && (request.flags & FXF.EXCL) !== 0;
    const place = yield* find(this.#tree, request.path, !exclusive);
    if (place instanceof Refusal) return place;
    const { found, path } = place;
    if ((request.flags & FXF.CREAT) !== 0) {
      if (found === undefined && quick?.creating === true) this.#tree.known.exclusive = false;
      this.#tree.known.wrote(joined(place.names.slice(0, -1)), found === undefined);
    } else if (found === undefined) return failed(FX.NO_SUCH_FILE);
    if (found?.kind === "other") return denied("This is neither a file nor a folder.");
    const flags = this.#flagsFor(request.flags, path, found !== undefined);
    if (flags instanceof Refusal) return flags;
    const refusal = this.#open.room(this.#opening);
    if (refusal !== undefined) return refusal;
    const named = { path, upstream: place.upstream };
    const created = found === undefined;
    this.#opening++;
    return {
      send: { ...request, path: place.upstream, flags },
      finish: (reply) => {
        this.#opening--;
        this.#recorder.opened(named, request.flags, codeOf(reply));
        if (reply.kind === "handle") this.#keep(reply.handle, named, flags, created, found?.attrs.size);
        return undefined;
      },
    };
  }

  #keep(handle: Bytes, named: Named, flags: number, created: boolean, size: bigint | undefined): void {
    const { hashing } = this.#recorder;
    const told = (flags & FXF.TRUNC) === 0 && size !== undefined ? size : 0n;
    this.#open.files.set(handle, new OpenFile(named, { flags, created, size: told, hashing }));
  }

  /** How a file may be opened at once. Undefined: not; what is to be refused is refused the slow way. */
  #quick({ id, path, attrs, flags: asked }: Of<"open">): Quick | undefined {
    const tree = this.#tree;
    const seen = seenPath(tree, path);
    const flags = seen === undefined ? undefined : flagsAtOnce(tree, seen, asked);
    if (seen === undefined || flags === undefined || this.#open.room(this.#opening) !== undefined)
      return undefined;
    const creating = (flags & FXF.CREAT) !== 0;
    // A server could take no heed of EXCL: then what is there is opened.
    if (this.#flagsFor(flags, seen.path, true) !== flags) return undefined;
    if (creating && this.#flagsFor(flags, seen.path, false) !== flags) return undefined;
    const telling = creating && tree.known.surelyExclusive;
    const door: Door = {
      open: (upstream) => ({ kind: "open", path: upstream, flags, attrs }),
      telling,
      fits: ({ kind, attrs: { size } }) => kind === "file" && (!creating || size === 0n),
      // Elsewhere it could be a file of old that a server without EXCL has opened, and no harm.
      as: creating && !telling ? undefined : id,
    };
    return { attempt: attempt(tree, seen, door), flags, creating };
  }

  #openedQuick(
    { id, flags: asked }: Of<"open">,
    { attempt: { seen, upstream, told }, flags, creating }: Quick,
    { handle, right, found }: Opened,
  ): Outcome {
    const { path } = seen;
    if (!right) {
      this.#recorder.refused("open", path, exchanged);
      this.#open.files.set(handle, new OpenFile({ path }, { flags, hashing: false, denied: exchanged }));
      return answered;
    }
    const named = { path, upstream };
    this.#recorder.opened(named, asked, FX.OK);
    this.#keep(handle, named, flags, creating, found?.attrs.size);
    return told ? answered : { answer: { kind: "handle", id, handle } };
  }

  /** The flags with which a file may be opened: fewer than asked for where that keeps what must not happen from happening. */
  #flagsFor(asked: number, path: Bytes, exists: boolean): number | Refusal {
    const rights = this.#rules.rights(path);
    if ((asked & FXF.READ) !== 0 && !rights.has("read")) return denied("Reading files is not allowed here.");
    const changes = FXF.WRITE | FXF.APPEND | FXF.CREAT | FXF.TRUNC;
    if ((asked & changes) === 0) return asked;
    if (!this.#rules.fitsExtensions(path)) return denied("Files of this kind are not allowed here.");
    if (exists) {
      if (!rights.has("write"))
        return denied(
          rights.has("create")
            ? "There is such a file, and changing files is not allowed here."
            : "Writing files is not allowed here.",
        );
      // Should it be gone by now, nothing is made in its place.
      return rights.has("create") ? asked : asked & ~FXF.CREAT;
    }
    if (this.#rules.hidden(path) || !rights.has("create")) return denied("Making files is not allowed here.");
    // Should it be there by now, it is not touched.
    return rights.has("write") ? asked : (asked | FXF.EXCL) & ~FXF.TRUNC;
  }

  *folder(request: Of<"opendir">): Way {
    const quick = this.#quickFolder(request);
    const opened = quick === undefined ? undefined : judge(this.#tree, quick, yield quick.asking);
    if (quick !== undefined && opened !== undefined) {
      const { handle, right } = opened;
      if (right) {
        this.#keepFolder(handle, { path: quick.seen.path, upstream: quick.upstream });
        return { answer: { kind: "handle", id: request.id, handle } };
      }
      yield closing(opened);
    }
    const place = yield* find(this.#tree, request.path, true);
    if (place instanceof Refusal) return place;
    if (place.found === undefined) return failed(FX.NO_SUCH_FILE);
    if (!this.#rules.rights(place.path).has("list")) return denied("Listing folders is not allowed here.");
    const refusal = this.#open.room(this.#opening);
    if (refusal !== undefined) return refusal;
    const named = { path: place.path, upstream: place.upstream };
    this.#opening++;
    return {
      send: { ...request, path: place.upstream },
      finish: (reply) => {
        this.#opening--;
        if (reply.kind === "handle") this.#keepFolder(reply.handle, named);
        return undefined;
      },
    };
  }

  #keepFolder(handle: Bytes, named: Named): void {
    const listing = new Listing(this.#tree.known, named.path);
    this.#open.files.set(handle, new OpenFile(named, { directory: true, hashing: false, listing }));
  }

  /** Undefined: it must be done the slow way. */
  #quickFolder({ path }: Of<"opendir">): Attempt | undefined {
    const seen = seenPath(this.#tree, path);
    if (seen === undefined || !this.#rules.rights(seen.path).has("list")) return undefined;
    if (this.#open.room(this.#opening) !== undefined) return undefined;
    return attempt(this.#tree, seen, {
      open: (upstream) => ({ kind: "opendir", path: upstream }),
      telling: true,
      fits: ({ kind }) => kind === "directory",
    });
  }
}
