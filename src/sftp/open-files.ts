import { type Bytes, type FileAttrs, FX, FXF, type NameEntry, type SftpRequest } from "#ssh/sftp";
import { actionOf } from "./actions.ts";
import type { Handles } from "./handles.ts";
import { componentsOf, joined } from "./paths.ts";
import { denied, failed, Refusal } from "./plan.ts";
import type { OpenFile, Recorder } from "./record.ts";
import type { FileRules } from "./rules.ts";

/** Bytes that one session has read and written, on all its channels. */
export interface Usage {
  bytes: number;
}

/** Files and folders that one channel may have open. */
export const maxOpenHandles = 4096;

type Of<Kind extends SftpRequest["kind"]> = Extract<SftpRequest, { readonly kind: Kind }>;

/** What a confined client has open, and what it may do with that. */
export class OpenFiles {
  readonly files: Handles;
  readonly #rules: FileRules;
  readonly #recorder: Recorder;
  readonly #usage: Usage;

  constructor(files: Handles, rules: FileRules, recorder: Recorder, usage: Usage) {
    this.files = files;
    this.#rules = rules;
    this.#recorder = recorder;
    this.#usage = usage;
  }

  /** Whether one more may be opened. */
  room(opening: number): Refusal | undefined {
    if (this.files.size + opening < maxOpenHandles) return undefined;
    return new Refusal(FX.FAILURE, `No more than ${maxOpenHandles} files can be open at once.`, true);
  }

  mayChange({ size, owner, permissions, times }: FileAttrs, path: Bytes, own: boolean): Refusal | undefined {
    const rights = this.#rules.rights(path);
    if (size !== undefined && !own && !rights.has("write"))
      return denied("Changing files is not allowed here.");
    if (size !== undefined && this.#rules.maxFileBytes !== undefined && size > this.#rules.maxFileBytes)
      return denied("This file would be larger than is allowed here.");
    if ((owner !== undefined || permissions !== undefined) && !own && !rights.has("chmod"))
      return denied("Changing permissions and owners is not allowed here.");
    if (times !== undefined && !own && !rights.has("touch"))
      return denied("Changing times is not allowed here.");
    return undefined;
  }

  /** Requests about what is open, and about nothing at all. Undefined: it may go on. */
  refuse(request: SftpRequest): Refusal | undefined {
    switch (request.kind) {
      case "limits":
        return undefined;
      case "users-groups-by-id":
        // Names of people belong to what is above the root.
        return this.#rules.root === undefined ? undefined : failed(FX.OP_UNSUPPORTED);
      case "copy-data":
        return this.#copy(request);
      default: {
        const file = "handle" in request ? this.files.get(request.handle) : undefined;
        if (file === undefined) return failed("handle" in request ? FX.FAILURE : FX.OP_UNSUPPORTED);
        return this.#onFile(request, file);
      }
    }
  }

  /** For the audit, in the refusal of a request about something open. */
  tell(request: SftpRequest, refusal: Refusal): void {
    if (!refusal.decided) return;
    const handle =
      "handle" in request ? request.handle : request.kind === "copy-data" ? request.to : undefined;
    const file = handle === undefined ? undefined : this.files.get(handle);
    this.#recorder.refused(actionOf(request), file?.named.path ?? "", refusal.text);
  }

  #onFile(request: SftpRequest, file: OpenFile): Refusal | undefined {
    if (file.denied !== undefined && request.kind !== "close") return denied(file.denied);
    switch (request.kind) {
      case "fsetstat":
        return this.mayChange(request.attrs, file.named.path, file.created);
      case "write":
        return this.#write(file, request.offset, BigInt(request.length));
      case "read":
        return this.#overused(0);
      default:
        return undefined;
    }
  }

  #write(file: OpenFile, offset: bigint, length: bigint): Refusal | undefined {
    const { maxFileBytes } = this.#rules;
    const at = (file.flags & FXF.APPEND) === 0 ? offset : (file.size ?? 0n);
    if (maxFileBytes !== undefined && at + length > maxFileBytes)
      return denied("This file would be larger than is allowed here.");
    const refusal = this.#overused(Number(length));
    if (refusal !== undefined) return refusal;
    this.#usage.bytes += Number(length);
    if (file.size === undefined || at + length > file.size) file.size = at + length;
    return undefined;
  }

  #overused(more: number): Refusal | undefined {
    const { maxSessionBytes } = this.#rules;
    if (maxSessionBytes === undefined || this.#usage.bytes + more <= maxSessionBytes) return undefined;
    return denied("This session has read and written as much as is allowed.");
  }

  #copy({ from, to, length, toOffset }: Of<"copy-data">): Refusal | undefined {
    const [source, target] = [this.files.get(from), this.files.get(to)];
    if (target === undefined || source === undefined) return failed(FX.FAILURE);
    const why = source.denied ?? target.denied;
    if (why !== undefined) return denied(why);
    const bounded = this.#rules.maxFileBytes !== undefined || this.#rules.maxSessionBytes !== undefined;
    if (bounded && length === 0n) return denied("How much is to be copied must be said here.");
    target.written.spoil();
    return bounded ? this.#write(target, toOffset, length) : undefined;
  }

  /** Bytes that the upstream sent. */
  readBytes(length: number): void {
    this.#usage.bytes += length;
  }

  /** A folder's names, as the client may see them; undefined: as they came. */
  listed(file: OpenFile, entries: readonly NameEntry[]): NameEntry[] | undefined {
    const folder = componentsOf(file.named.path);
    let changed = false;
    const shown: NameEntry[] = [];
    for (const entry of entries) {
      const { name } = entry;
      const dots = name === "." || name === "..";
      if (!dots && this.#rules.hidden(joined([...folder, name]))) changed = true;
      else if (name === ".." && folder.length === 0 && this.#rules.root !== undefined) {
        changed = true;
        // At the root it is the folder itself, of whose parent nothing is told.
        const self = entries.find((other) => other.name === ".");
        const longname = self === undefined ? ".." : `${self.longname.replace(/\.$/, "")}..`;
        shown.push({ name, longname, attrs: self?.attrs ?? {} });
      } else if (entry.longname.includes(" -> ") || entry.attrs.extended !== undefined) {
        changed = true;
        const { extended, ...attrs } = entry.attrs;
        void extended;
        shown.push({ name, longname: entry.longname.replace(/ -> .*$/s, ""), attrs });
      } else shown.push(entry);
    }
    file.entries += shown.length;
    return changed ? shown : undefined;
  }
}
