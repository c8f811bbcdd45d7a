import { Buffer } from "node:buffer";
import type { Clock } from "#base";
import type { Auditor } from "#contract";
import {
  type Bytes,
  decodeSftpReply,
  FX,
  FXF,
  type NameEntry,
  type SftpReply,
  type SftpRequest,
  shownPath,
} from "#ssh/sftp";
import { actionOf, pathsIn } from "./actions.ts";
import { checkPath } from "./find.ts";
import type { MountLeg } from "./mount-leg.ts";
import { MountPaths, type VirtualFolder, type Where } from "./mount-paths.ts";
import { inTree } from "./mount-rules.ts";
import { maxOpenHandles } from "./open-files.ts";
import { maxLinks } from "./paths.ts";
import { denied, failed, pathReply, type Question, Refusal, statusReply } from "./plan.ts";
import { Recorder } from "./record.ts";
import type { FileRules } from "./rules.ts";
import { leastLimits, virtualAttrs, virtualEntries, virtualStatvfs } from "./virtual-folder.ts";

export interface MountRequestsOptions {
  readonly mounts: readonly { readonly at: Bytes }[];
  readonly rules: FileRules;
  readonly audit: Auditor | undefined;
  readonly channel: number;
  /** Since 1970: the time of folders that are on no host. */
  readonly seconds: number;
  readonly clock: Pick<Clock, "now" | "after">;
  /** The way to a mount's host, or why there is none now. */
  readonly leg: (mount: number) => MountLeg | { readonly why: string };
  readonly answer: (reply: SftpReply) => void;
  /** A host's answer, to go on as it is under the client's number. */
  readonly pass: (id: number, packet: Buffer) => void;
}

type Of<Kind extends SftpRequest["kind"]> = Extract<SftpRequest, { readonly kind: Kind }>;
type ByPath = Extract<SftpRequest, { readonly path: Bytes }>;
type ByHandle = Extract<SftpRequest, { readonly handle: Bytes }>;
type ByTwo = Of<"rename" | "posix-rename" | "hardlink">;

/** A path whose meaning is known. */
type Found = Exclude<Where, { readonly kind: "climbs" }>;

/** What stands behind a handle of ours. */
type Held =
  | { readonly folder: VirtualFolder; listed: boolean }
  | { readonly leg: MountLeg; readonly mount: number; readonly handle: Bytes };

const gatewaysOwn = "This folder is on no host: nothing in it can be made or changed.";
const begins = "Here begins a folder of its own: it stays as it is.";

/** Which host each request is for, and the answers to those that are for none. */
export class MountRequests {
  readonly #options: MountRequestsOptions;
  readonly #paths: MountPaths;
  readonly #recorder: Recorder;
  readonly #handles = new Map<Bytes, Held>();
  #opening = 0;
  #lastHandle = 0;

  constructor(options: MountRequestsOptions) {
    const { mounts, rules, audit, channel, clock } = options;
    this.#options = options;
    this.#paths = new MountPaths(
      mounts.map(({ at }) => at),
      (path) => rules.hidden(path),
    );
    this.#recorder = new Recorder({ audit, channel, record: rules.record, clock });
  }

  /** The channel is over. */
  close(): void {
    this.#recorder.tell();
  }

  /** Answers it, now or later. Returns where the data of a WRITE go; `bodyBytes`: how many. */
  take(request: SftpRequest, bodyBytes: number): MountLeg | undefined {
    switch (request.kind) {
      case "limits":
        this.#options.answer({ kind: "extended", id: request.id, data: leastLimits(maxOpenHandles) });
        return undefined;
      case "home-directory":
        this.#options.answer(pathReply(request.id, "/"));
        return undefined;
      case "users-groups-by-id":
      case "other":
        this.refuse(request.id, FX.OP_UNSUPPORTED);
        return undefined;
      case "rename":
      case "posix-rename":
      case "hardlink":
        this.#find(request, request.from, (from) =>
          this.#find(request, request.to, (to) => this.#two(request, from, to)),
        );
        return undefined;
      case "symlink":
        this.#find(request, request.link, (where) => this.#symlink(request, where));
        return undefined;
      case "copy-data":
        this.#copy(request);
        return undefined;
      default:
        if ("handle" in request) return this.#byHandle(request, bodyBytes);
        this.#find(request, pathOf(request), (where) => this.#byPath(request, where));
        return undefined;
    }
  }

  /** In the protocol's own words. */
  refuse(id: number, code: number, text?: string): void {
    this.#options.answer(statusReply(id, code, text));
  }

  #refuse(request: SftpRequest, { code, text, decided }: Refusal): void {
    if (decided) {
      const [path, to] = pathsIn(request);
      this.#recorder.refused(actionOf(request), path, text, to);
    }
    this.refuse(request.id, code, text);
  }

  /** Finds what a path means; a path that cannot be is answered here. */
  #find(request: SftpRequest, path: Bytes | Refusal, then: (where: Found) => void): void {
    const wrong = path instanceof Refusal ? path : checkPath(path);
    if (wrong !== undefined || path instanceof Refusal) {
      if (wrong !== undefined) this.#refuse(request, wrong);
      return;
    }
    if (path === "") this.refuse(request.id, FX.NO_SUCH_FILE);
    else this.#follow(request, this.#paths.where(path), then, 0);
  }

  /** A path that leads out of a mount by `..` behind names: what those are, only the host knows. */
  #follow(request: SftpRequest, where: Where, then: (where: Found) => void, climbs: number): void {
    if (where.kind !== "climbs") {
      then(where);
      return;
    }
    if (climbs === maxLinks) {
      this.#refuse(request, denied("This path leads to and fro too often."));
      return;
    }
    const { mount, before, after } = where;
    this.#ask(request.id, mount, { kind: "realpath", path: before }, (packet) => {
      const reply = decodeSftpReply(packet.subarray(4));
      const found = reply.kind === "name" ? reply.entries[0]?.name : undefined;
      if (found === undefined)
        this.#refuse(request, failed(reply.kind === "status" ? reply.code : FX.FAILURE));
      else this.#follow(request, this.#paths.goOn(this.#at(mount), found, after), then, climbs + 1);
    });
  }

  #at(mount: number): Bytes {
    return this.#options.mounts[mount]?.at ?? "/";
  }

  #ask(id: number, mount: number, question: Question, take: (packet: Buffer) => void): void {
    const leg = this.#options.leg(mount);
    if ("why" in leg) this.refuse(id, FX.FAILURE, leg.why);
    else leg.ask(question, take);
  }

  #byPath(request: ByPath, where: Found): void {
    switch (where.kind) {
      case "virtual":
        this.#virtual(request, where.folder);
        return;
      case "absent":
        this.#absent(request, where);
        return;
      case "mount":
        if (where.whole && this.#place(request, where.mount)) return;
        this.#inMount(request, where.mount, where.path);
    }
  }

  /** The place where a mount begins is told of here, so that who looks about waits for no host. */
  #place(request: ByPath, mount: number): boolean {
    const at = this.#at(mount);
    const where = this.#paths.placeOf(at);
    switch (request.kind) {
      case "stat":
      case "lstat":
      case "realpath":
      case "expand-path":
        if (where !== undefined) this.#virtual(request, where);
        return where !== undefined;
      case "mkdir":
      case "remove":
      case "rmdir":
        this.#refuse(request, denied(begins));
        return true;
      default:
        return false;
    }
  }

  #virtual(request: ByPath, folder: VirtualFolder): void {
    const { id } = request;
    const { answer, rules, seconds } = this.#options;
    switch (request.kind) {
      case "stat":
      case "lstat":
        answer({ kind: "attrs", id, attrs: virtualAttrs(folder, seconds) });
        return;
      case "realpath":
      case "expand-path":
        answer(pathReply(id, folder.path));
        return;
      case "opendir": {
        if (!rules.rights(folder.path).has("list")) {
          this.#refuse(request, denied("Listing folders is not allowed here."));
          return;
        }
        const full = this.#room();
        if (full === undefined) answer({ kind: "handle", id, handle: this.#keep({ folder, listed: false }) });
        else this.#refuse(request, full);
        return;
      }
      case "statvfs":
        answer({ kind: "extended", id, data: virtualStatvfs() });
        return;
      case "readlink":
        this.refuse(id, FX.FAILURE);
        return;
      default:
        this.#refuse(request, denied(gatewaysOwn));
    }
  }

  #absent(request: ByPath, { path, inFolder }: Extract<Where, { readonly kind: "absent" }>): void {
    const makes = request.kind === "mkdir" || (request.kind === "open" && (request.flags & FXF.CREAT) !== 0);
    if (!inFolder) this.refuse(request.id, FX.NO_SUCH_FILE);
    else if (makes) this.#refuse(request, denied(gatewaysOwn));
    else if (request.kind === "realpath" || request.kind === "expand-path")
      this.#options.answer(pathReply(request.id, path));
    else this.refuse(request.id, FX.NO_SUCH_FILE);
  }

  #inMount(request: ByPath, mount: number, path: Bytes): void {
    const { id } = request;
    const pass = (packet: Buffer): void => this.#options.pass(id, packet);
    switch (request.kind) {
      case "open":
      case "opendir": {
        const full = this.#room();
        if (full === undefined) this.#open({ ...request, path }, mount);
        else this.#refuse(request, full);
        return;
      }
      case "realpath":
      case "expand-path":
        // What `~` stands for is known by now.
        this.#ask(id, mount, { kind: "realpath", path }, this.#toldPath(id, mount));
        return;
      case "readlink":
        this.#ask(id, mount, { ...request, path }, this.#toldPath(id, mount));
        return;
      default:
        this.#ask(id, mount, { ...request, path }, pass);
    }
  }

  /** An answer that names a path in the mount, as it is in the whole tree. */
  #toldPath(id: number, mount: number): (packet: Buffer) => void {
    return (packet) => {
      const reply = decodeSftpReply(packet.subarray(4));
      const told = reply.kind === "name" ? reply.entries[0]?.name : undefined;
      if (told?.startsWith("/") === true) this.#options.answer(pathReply(id, inTree(this.#at(mount), told)));
      else this.#options.pass(id, packet);
    };
  }

  #open(request: Of<"open" | "opendir">, mount: number): void {
    const { leg: legOf, answer, pass } = this.#options;
    const leg = legOf(mount);
    if ("why" in leg) {
      this.refuse(request.id, FX.FAILURE, leg.why);
      return;
    }
    this.#opening++;
    leg.ask(request, (packet) => {
      this.#opening--;
      const reply = decodeSftpReply(packet.subarray(4));
      if (reply.kind !== "handle") pass(request.id, packet);
      else
        answer({
          kind: "handle",
          id: request.id,
          handle: this.#keep({ leg, mount, handle: reply.handle }),
        });
    });
  }

  #room(): Refusal | undefined {
    if (this.#handles.size + this.#opening < maxOpenHandles) return undefined;
    return new Refusal(FX.FAILURE, `No more than ${maxOpenHandles} files can be open at once.`, true);
  }

  /** Ours are numbers that never come again, so what one host calls a file means nothing at another. */
  #keep(held: Held): Bytes {
    const handle = `m${++this.#lastHandle}`;
    this.#handles.set(handle, held);
    return handle;
  }

  #byHandle(request: ByHandle, bodyBytes: number): MountLeg | undefined {
    const { id } = request;
    const held = this.#handles.get(request.handle);
    if (held === undefined) {
      this.refuse(id, FX.FAILURE);
      return undefined;
    }
    if (request.kind === "close") this.#handles.delete(request.handle);
    if ("folder" in held) {
      this.#onFolder(request, held);
      return undefined;
    }
    const { leg, handle } = held;
    if (leg.over) {
      this.refuse(id, FX.FAILURE, this.#lost(held.mount));
      return undefined;
    }
    leg.ask({ ...request, handle }, (packet) => this.#options.pass(id, packet), bodyBytes);
    return request.kind === "write" ? leg : undefined;
  }

  #lost(mount: number): string {
    return `${this.#shown(mount)}: the connection to its host was lost while the file was open.`;
  }

  #onFolder(request: ByHandle, held: Extract<Held, { readonly folder: VirtualFolder }>): void {
    const { id } = request;
    const { answer, seconds } = this.#options;
    const { folder } = held;
    switch (request.kind) {
      case "close":
        this.refuse(id, FX.OK);
        return;
      case "fstat":
        answer({ kind: "attrs", id, attrs: virtualAttrs(folder, seconds) });
        return;
      case "fstatvfs":
        answer({ kind: "extended", id, data: virtualStatvfs() });
        return;
      case "readdir":
        if (held.listed) this.refuse(id, FX.EOF);
        else answer({ kind: "name", id, entries: this.#list(folder) });
        held.listed = true;
        return;
      case "fsetstat":
        this.#refuse(request, denied(gatewaysOwn));
        return;
      default:
        this.refuse(id, FX.FAILURE);
    }
  }

  #list(folder: VirtualFolder): NameEntry[] {
    return virtualEntries(folder, this.#paths.childrenOf(folder), this.#options.seconds);
  }

  #two(request: ByTwo, from: Found, to: Found): void {
    if (from.kind === "absent" || (to.kind === "absent" && !to.inFolder)) {
      this.refuse(request.id, FX.NO_SUCH_FILE);
      return;
    }
    if (from.kind !== "mount" || to.kind !== "mount" || from.whole || to.whole) {
      const place = (from.kind === "mount" && from.whole) || (to.kind === "mount" && to.whole);
      this.#refuse(request, denied(place ? begins : gatewaysOwn));
      return;
    }
    if (from.mount !== to.mount) {
      const places = `from ${this.#shown(from.mount)} to ${this.#shown(to.mount)}`;
      const moved = `A file cannot be moved ${places}, which is another place: copy it, and delete it then.`;
      const linked = `A link cannot be made ${places}, which is another place: copy the file.`;
      this.#refuse(request, denied(request.kind === "hardlink" ? linked : moved));
      return;
    }
    const asked = { ...request, from: from.path, to: to.path };
    this.#ask(request.id, from.mount, asked, (packet) => this.#options.pass(request.id, packet));
  }

  #shown(mount: number): string {
    return shownPath(this.#at(mount));
  }

  #symlink(request: Of<"symlink">, where: Found): void {
    if (where.kind === "absent" && !where.inFolder) {
      this.refuse(request.id, FX.NO_SUCH_FILE);
      return;
    }
    if (where.kind !== "mount" || where.whole) {
      this.#refuse(request, denied(where.kind === "mount" ? begins : gatewaysOwn));
      return;
    }
    const { mount, path: link } = where;
    const target = this.#targetIn(mount, request.target);
    if (target instanceof Refusal) this.#refuse(request, target);
    else
      this.#ask(request.id, mount, { ...request, link, target }, (packet) =>
        this.#options.pass(request.id, packet),
      );
  }

  /** What a link in a mount is to say, as it is there. */
  #targetIn(mount: number, target: Bytes): Bytes | Refusal {
    const wrong = checkPath(target);
    if (wrong !== undefined || !target.startsWith("/")) return wrong ?? target;
    const to = this.#paths.where(target);
    if (to.kind === "mount" && to.mount === mount) return to.path;
    return denied(`A link in ${this.#shown(mount)} cannot lead to another place.`);
  }

  #copy(request: Of<"copy-data">): void {
    const from = this.#handles.get(request.from);
    const to = this.#handles.get(request.to);
    if (from === undefined || to === undefined || "folder" in from || "folder" in to)
      this.refuse(request.id, FX.FAILURE);
    else if (from.mount !== to.mount)
      this.#refuse(
        request,
        denied(
          `A file cannot be copied at the host from ${this.#shown(from.mount)} to ${this.#shown(to.mount)}, which is another place: fetch it, and bring it there.`,
        ),
      );
    else if (from.leg.over || to.leg.over || from.leg !== to.leg)
      this.refuse(request.id, FX.FAILURE, this.#lost(from.mount));
    else
      from.leg.ask({ ...request, from: from.handle, to: to.handle }, (packet) =>
        this.#options.pass(request.id, packet),
      );
  }
}

/** `~` is the top of the tree, whoever asks. */
function pathOf(request: ByPath): Bytes | Refusal {
  const { kind, path } = request;
  if (kind === "realpath" && path === "") return ".";
  if (kind !== "expand-path" || !path.startsWith("~")) return path;
  if (path !== "~" && !path.startsWith("~/")) return denied("There are no other people's folders here.");
  return `/${path.slice(2)}`;
}
