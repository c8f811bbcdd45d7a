import type { FileAttrs, Bytes, SftpReply, SftpRequest } from "#ssh/sftp";
import { FX, FXF } from "#ssh/sftp";
import { actionOf } from "./actions.ts";
import type { Handles } from "./handles.ts";
import { maxOpenHandles, type OpenFiles } from "./open-files.ts";
import { type Named, OpenFile, type Recorder } from "./record.ts";
import { codeOf } from "./replies.ts";

type Finish = (reply: SftpReply) => SftpReply | undefined;

/** Keeps the record of requests as they pass, from what they ask and what is answered. */
export class Watching {
  readonly #recorder: Recorder;
  readonly #files: Handles;
  /** The last file that was looked at, and its size: clients ask before they open. */
  #looked: { readonly path: Bytes; readonly size: bigint } | undefined;

  constructor(recorder: Recorder, files: Handles) {
    this.#recorder = recorder;
    this.#files = files;
  }

  /** What is to be done with the answer; undefined: nothing. */
  finish(request: SftpRequest, file: OpenFile | undefined, confined?: OpenFiles): Finish | undefined {
    switch (request.kind) {
      case "close":
        return file === undefined ? undefined : this.#close(request.handle, file);
      case "readdir":
        return file === undefined ? undefined : (reply) => listed(request.id, reply, file, confined);
      case "read":
        return file === undefined ? undefined : (reply) => ended(reply, file, request.offset);
      case "write":
        return file === undefined ? undefined : (reply) => written(reply, file);
      case "fstat":
        return file === undefined ? undefined : (reply) => sized(reply, file);
      case "fsetstat":
        return file === undefined ? undefined : this.#attributes(file.named, request.attrs, file);
      default:
        return confined === undefined && this.#recorder.on ? this.#byName(request) : undefined;
    }
  }

  #byName(request: SftpRequest): Finish | undefined {
    switch (request.kind) {
      case "stat":
      case "lstat":
        return (reply) => {
          const size = reply.kind === "attrs" ? reply.attrs.size : undefined;
          this.#looked = size === undefined ? undefined : { path: request.path, size };
          return undefined;
        };
      case "open":
        return this.#open(request.path, request.flags);
      case "opendir":
        return (reply) => {
          if (reply.kind === "handle")
            this.#keep(
              reply.handle,
              new OpenFile({ path: request.path }, { directory: true, hashing: false }),
            );
          return undefined;
        };
      case "setstat":
      case "lsetstat":
        return this.#attributes({ path: request.path }, request.attrs, undefined);
      case "mkdir":
      case "remove":
      case "rmdir":
        return this.#changed(request, { path: request.path });
      case "rename":
      case "posix-rename":
      case "hardlink":
        return this.#changed(request, { path: request.from }, { path: request.to });
      case "symlink":
        return this.#changed(request, { path: request.link }, { path: request.target });
      case "copy-data":
        return this.#copied(request);
      default:
        return undefined;
    }
  }

  #open(path: Bytes, flags: number): Finish {
    const size = this.#looked?.path === path ? this.#looked.size : undefined;
    return (reply) => {
      this.#recorder.opened({ path }, flags, codeOf(reply));
      if (reply.kind !== "handle") return undefined;
      const created = (flags & FXF.CREAT) !== 0 && (flags & FXF.EXCL) !== 0;
      const { hashing } = this.#recorder;
      this.#keep(reply.handle, new OpenFile({ path }, { flags, created, size, hashing }));
      return undefined;
    };
  }

  /** A server that gives a handle twice has closed the first. */
  #keep(handle: Bytes, file: OpenFile): void {
    const before = this.#files.get(handle);
    if (before !== undefined) this.#recorder.closed(before);
    else if (this.#files.size >= maxOpenHandles) return;
    this.#files.set(handle, file);
  }

  #close(handle: Bytes, file: OpenFile): Finish {
    this.#files.delete(handle);
    return (reply) => {
      this.#recorder.closed(file, codeOf(reply));
      return undefined;
    };
  }

  #changed(request: SftpRequest, named: Named, to?: Named): Finish {
    return (reply) => {
      this.#recorder.changed(actionOf(request), named, codeOf(reply), to);
      return undefined;
    };
  }

  #copied({ from, to }: Extract<SftpRequest, { kind: "copy-data" }>): Finish | undefined {
    const source = this.#files.get(from);
    const target = this.#files.get(to);
    if (source === undefined || target === undefined) return undefined;
    target.written.spoil();
    return (reply) => {
      this.#recorder.changed("copy", source.named, codeOf(reply), target.named);
      return undefined;
    };
  }

  #attributes(named: Named, attrs: FileAttrs, file: OpenFile | undefined): Finish {
    const { size } = attrs;
    // `scp` cuts what it has written to its length at the end, in place of TRUNC at the beginning.
    const cutsWhole = size !== undefined && file?.written.isUpTo(size) === true;
    if (size !== undefined && !cutsWhole) file?.written.spoil();
    return (reply) => {
      if (cutsWhole && file !== undefined && codeOf(reply) === FX.OK) file.cut = true;
      this.#recorder.changed("attributes", named, codeOf(reply));
      return undefined;
    };
  }
}

function listed(
  id: number,
  reply: SftpReply,
  file: OpenFile,
  confined: OpenFiles | undefined,
): SftpReply | undefined {
  if (codeOf(reply) === FX.EOF) file.listing?.end();
  if (reply.kind !== "name") return undefined;
  file.listing?.take(reply.entries);
  if (confined === undefined) {
    file.entries += reply.entries.length;
    return undefined;
  }
  const entries = confined.listed(file, reply.entries);
  return entries === undefined ? undefined : { kind: "name", id, entries };
}

function ended(reply: SftpReply, file: OpenFile, offset: bigint): undefined {
  if (codeOf(reply) === FX.EOF && file.read.isUpTo(offset)) file.sawEnd = true;
}

function written(reply: SftpReply, file: OpenFile): undefined {
  if (codeOf(reply) !== FX.OK) file.written.spoil();
}

function sized(reply: SftpReply, file: OpenFile): undefined {
  if (reply.kind === "attrs") file.size = reply.attrs.size;
}
