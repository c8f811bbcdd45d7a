import { Buffer } from "node:buffer";
import { FX, FXF, type Bytes } from "#ssh/sftp";
import { OpenFile, type Recorder } from "./record.ts";

/** A line of scp's old protocol: a mode, a size and a name. */
const maxLineBytes = 8192;

/** Folders in folders. */
const maxFolders = 256;

/**
 * Reads along in scp's old protocol, for the record alone: lines `C`, `D`, `E` and `T` of the side that has the files, the bytes of
 * each file, and a byte after them that says whether they could be read. What makes no sense ends the reading, not the copying.
 */
export class ScpWatch {
  readonly #recorder: Recorder;
  readonly #upload: boolean;
  readonly #folders: Bytes[];
  #line: Bytes = "";
  #file: OpenFile | undefined;
  #left = 0;
  /** The byte after a file's data is due. */
  #status = false;
  #lost = false;

  /** `path`: what the command names. `upload`: the client sends the files. */
  constructor(recorder: Recorder, path: Bytes, upload: boolean) {
    this.#recorder = recorder;
    this.#upload = upload;
    this.#folders = [path];
  }

  fromClient(bytes: Uint8Array): void {
    if (this.#upload) this.#read(bytes);
  }

  fromUpstream(bytes: Uint8Array): void {
    if (!this.#upload) this.#read(bytes);
  }

  /** The channel is over. */
  close(): void {
    if (this.#file !== undefined) this.#recorder.closed(this.#file);
    this.#file = undefined;
    this.#lost = true;
    this.#recorder.tell();
  }

  #read(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length && !this.#lost) {
      if (this.#file !== undefined && this.#left > 0) {
        const data = bytes.subarray(at, at + this.#left);
        this.#left -= data.length;
        at += data.length;
        (this.#upload ? this.#file.written : this.#file.read).take(data);
        this.#status = this.#left === 0;
      } else at = this.#status ? this.#ended(bytes[at], at) : this.#lineFrom(bytes, at);
    }
  }

  #ended(status: number | undefined, at: number): number {
    this.#status = false;
    if (this.#file !== undefined) this.#recorder.closed(this.#file, status === 0 ? FX.OK : FX.FAILURE);
    this.#file = undefined;
    // An error has its text behind it.
    if (status !== 0) this.#line = "\x01";
    return at + 1;
  }

  #lineFrom(bytes: Uint8Array, at: number): number {
    const end = bytes.indexOf(0x0a, at);
    const piece = bytes.subarray(at, end < 0 ? undefined : end);
    if (this.#line.length + piece.length > maxLineBytes) {
      this.#lost = true;
      return bytes.length;
    }
    this.#line += Buffer.from(piece).toString("latin1");
    if (end < 0) return bytes.length;
    const line = this.#line;
    this.#line = "";
    this.#take(line);
    return end + 1;
  }

  #take(line: Bytes): void {
    const [, kind, size = "", name = ""] = /^([CD])[0-7]{4} ([0-9]{1,15}) ([^/]+)$/s.exec(line) ?? [];
    if (kind === "D") {
      if (this.#folders.length > maxFolders) this.#lost = true;
      this.#folders.push(name);
    } else if (line === "E") {
      if (this.#folders.length > 1) this.#folders.pop();
    } else if (kind === "C") this.#begin(Number(size), name);
    else if (!["T", "\x01", "\x02"].includes(line[0] ?? "")) this.#lost = true;
  }

  #begin(size: number, name: Bytes): void {
    const flags = this.#upload ? FXF.WRITE | FXF.CREAT | FXF.TRUNC : FXF.READ;
    const path = this.#upload
      ? [...this.#folders, name].join("/")
      : [...this.#folders.slice(1), name].join("/");
    const named = { path: this.#upload ? path : `${this.#folders[0] ?? ""}: ${path}` };
    this.#file = new OpenFile(named, { flags, size: BigInt(size), hashing: this.#recorder.hashing });
    this.#recorder.opened(named, flags);
    (this.#upload ? this.#file.written : this.#file.read).begin(0n, size);
    this.#left = size;
    this.#status = size === 0;
  }
}
