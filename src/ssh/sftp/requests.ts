import { latin1, Reader, Writer } from "#ssh/wire";
import { type FileAttrs, readAttrs, writeAttrs } from "./attrs.ts";
import { FXP } from "./numbers.ts";

/**
 * A path or handle as it is on the wire: bytes, one character each, since neither need be UTF-8. Good as the key of a map, and for
 * splitting at slashes; for people it goes through `shownPath`.
 */
export type Bytes = string;

/** For people, and for logs: UTF-8 where it is. */
export function shownPath(path: Bytes): string {
  // Most are as they are.
  return /^[\x20-\x7e]*$/.test(path) ? path : Buffer.from(path, "latin1").toString("utf8");
}

/** The bytes of a text. */
export function bytesOf(text: string): Bytes {
  return Buffer.from(text, "utf8").toString("latin1");
}

type One<Kind extends string, More> = Kind extends string
  ? { readonly kind: Kind; readonly id: number } & Readonly<More>
  : never;

/** A client's request, but for INIT (draft-ietf-secsh-filexfer-02, section 6; extended: PROTOCOL of OpenSSH, section 4). */
export type SftpRequest =
  | One<"open", { path: Bytes; flags: number; attrs: FileAttrs }>
  | One<"close" | "fstat" | "readdir", { handle: Bytes }>
  | One<"read", { handle: Bytes; offset: bigint; length: number }>
  /** Without the data, which follow. */
  | One<"write", { handle: Bytes; offset: bigint; length: number }>
  | One<"lstat" | "stat" | "opendir" | "remove" | "rmdir" | "realpath" | "readlink", { path: Bytes }>
  | One<"setstat" | "mkdir" | "lsetstat", { path: Bytes; attrs: FileAttrs }>
  | One<"fsetstat", { handle: Bytes; attrs: FileAttrs }>
  | One<"rename" | "posix-rename" | "hardlink", { from: Bytes; to: Bytes }>
  /** In OpenSSH's order, which is not the draft's: what the link says comes first. */
  | One<"symlink", { target: Bytes; link: Bytes }>
  | One<"statvfs" | "expand-path", { path: Bytes }>
  | One<"fstatvfs" | "fsync", { handle: Bytes }>
  | One<"limits", object>
  | One<"copy-data", { from: Bytes; fromOffset: bigint; length: bigint; to: Bytes; toOffset: bigint }>
  | One<"home-directory", { user: Bytes }>
  | One<"users-groups-by-id", object>
  /** An extended request, or a type, that is not known here. */
  | One<"other", { type: number; name: Bytes }>;

/** Extended requests that are known here, with the name and version that a server announces. */
export const knownExtensions: ReadonlyMap<string, string> = new Map([
  ["posix-rename@openssh.com", "1"],
  ["hardlink@openssh.com", "1"],
  ["statvfs@openssh.com", "2"],
  ["fstatvfs@openssh.com", "2"],
  ["fsync@openssh.com", "1"],
  ["lsetstat@openssh.com", "1"],
  ["limits@openssh.com", "1"],
  ["expand-path@openssh.com", "1"],
  ["copy-data", "1"],
  ["home-directory", "1"],
  ["users-groups-by-id@openssh.com", "1"],
]);

const byType: Readonly<
  Record<number, "lstat" | "stat" | "opendir" | "remove" | "rmdir" | "realpath" | "readlink">
> = {
  [FXP.LSTAT]: "lstat",
  [FXP.STAT]: "stat",
  [FXP.OPENDIR]: "opendir",
  [FXP.REMOVE]: "remove",
  [FXP.RMDIR]: "rmdir",
  [FXP.REALPATH]: "realpath",
  [FXP.READLINK]: "readlink",
};

/** The number that answers carry: the four bytes after the type. Throws PEER_MESSAGE_TRUNCATED. */
export function idOf(packet: Uint8Array): number {
  return new Reader(packet, 1).u32();
}

/**
 * Decodes a packet without its length, its type included; of WRITE, the part before the data. Throws the errors of `ssh/wire`.
 */
export function decodeSftpRequest(packet: Uint8Array): SftpRequest {
  const reader = new Reader(packet);
  const type = reader.u8();
  const id = reader.u32();
  const text = (): Bytes => latin1(reader.string());
  const request = readRequest(type, id, reader, text);
  reader.expectEnd();
  return request;
}

function readRequest(type: number, id: number, reader: Reader, text: () => Bytes): SftpRequest {
  switch (type) {
    case FXP.OPEN:
      return { kind: "open", id, path: text(), flags: reader.u32(), attrs: readAttrs(reader) };
    case FXP.CLOSE:
      return { kind: "close", id, handle: text() };
    case FXP.FSTAT:
      return { kind: "fstat", id, handle: text() };
    case FXP.READDIR:
      return { kind: "readdir", id, handle: text() };
    case FXP.READ:
      return { kind: "read", id, handle: text(), offset: reader.u64(), length: reader.u32() };
    case FXP.WRITE:
      return { kind: "write", id, handle: text(), offset: reader.u64(), length: reader.u32() };
    case FXP.SETSTAT:
      return { kind: "setstat", id, path: text(), attrs: readAttrs(reader) };
    case FXP.MKDIR:
      return { kind: "mkdir", id, path: text(), attrs: readAttrs(reader) };
    case FXP.FSETSTAT:
      return { kind: "fsetstat", id, handle: text(), attrs: readAttrs(reader) };
    case FXP.RENAME:
      return { kind: "rename", id, from: text(), to: text() };
    case FXP.SYMLINK:
      return { kind: "symlink", id, target: text(), link: text() };
    case FXP.EXTENDED:
      return readExtended(id, reader, text);
    default: {
      const kind = byType[type];
      if (kind !== undefined) return { kind, id, path: text() };
      reader.rest();
      return { kind: "other", id, type, name: "" };
    }
  }
}

function readExtended(id: number, reader: Reader, text: () => Bytes): SftpRequest {
  const name = text();
  switch (name) {
    case "posix-rename@openssh.com":
      return { kind: "posix-rename", id, from: text(), to: text() };
    case "hardlink@openssh.com":
      return { kind: "hardlink", id, from: text(), to: text() };
    case "statvfs@openssh.com":
      return { kind: "statvfs", id, path: text() };
    case "fstatvfs@openssh.com":
      return { kind: "fstatvfs", id, handle: text() };
    case "fsync@openssh.com":
      return { kind: "fsync", id, handle: text() };
    case "lsetstat@openssh.com":
      return { kind: "lsetstat", id, path: text(), attrs: readAttrs(reader) };
    case "limits@openssh.com":
      return { kind: "limits", id };
    case "expand-path@openssh.com":
      return { kind: "expand-path", id, path: text() };
    case "copy-data":
      return {
        kind: "copy-data",
        id,
        from: text(),
        fromOffset: reader.u64(),
        length: reader.u64(),
        to: text(),
        toOffset: reader.u64(),
      };
    case "home-directory":
      return { kind: "home-directory", id, user: text() };
    case "users-groups-by-id@openssh.com":
      reader.string();
      reader.string();
      return { kind: "users-groups-by-id", id };
    default:
      reader.rest();
      return { kind: "other", id, type: FXP.EXTENDED, name };
  }
}

/** A packet with its length in front, from what `write` writes after it. */
export function sftpPacket(write: (writer: Writer) => void, capacity = 256): Uint8Array {
  const writer = new Writer(capacity).u32(0);
  write(writer);
  const bytes = writer.bytes();
  Buffer.from(bytes.buffer, bytes.byteOffset, 4).writeUInt32BE(bytes.length - 4);
  return bytes;
}

/** With its length in front; of WRITE, the part before the data, the length counting them. */
export function encodeSftpRequest(request: SftpRequest): Uint8Array {
  const { id } = request;
  const head = (type: number): Writer => new Writer(128).u32(0).u8(type).u32(id);
  const extended = (name: string): Writer => head(FXP.EXTENDED).string(name);
  const writer = writeRequest(request, head, extended);
  const bytes = writer.bytes();
  const more = request.kind === "write" ? request.length : 0;
  Buffer.from(bytes.buffer, bytes.byteOffset, 4).writeUInt32BE(bytes.length - 4 + more);
  return bytes;
}

function writeRequest(
  request: SftpRequest,
  head: (type: number) => Writer,
  extended: (name: string) => Writer,
): Writer {
  switch (request.kind) {
    case "open":
      return writeAttrs(head(FXP.OPEN).latin1(request.path).u32(request.flags), request.attrs);
    case "close":
      return head(FXP.CLOSE).latin1(request.handle);
    case "fstat":
      return head(FXP.FSTAT).latin1(request.handle);
    case "readdir":
      return head(FXP.READDIR).latin1(request.handle);
    case "read":
      return head(FXP.READ).latin1(request.handle).u64(request.offset).u32(request.length);
    case "write":
      return head(FXP.WRITE).latin1(request.handle).u64(request.offset).u32(request.length);
    case "lstat":
      return head(FXP.LSTAT).latin1(request.path);
    case "stat":
      return head(FXP.STAT).latin1(request.path);
    case "opendir":
      return head(FXP.OPENDIR).latin1(request.path);
    case "remove":
      return head(FXP.REMOVE).latin1(request.path);
    case "rmdir":
      return head(FXP.RMDIR).latin1(request.path);
    case "realpath":
      return head(FXP.REALPATH).latin1(request.path);
    case "readlink":
      return head(FXP.READLINK).latin1(request.path);
    case "setstat":
      return writeAttrs(head(FXP.SETSTAT).latin1(request.path), request.attrs);
    case "mkdir":
      return writeAttrs(head(FXP.MKDIR).latin1(request.path), request.attrs);
    case "lsetstat":
      return writeAttrs(extended("lsetstat@openssh.com").latin1(request.path), request.attrs);
    case "fsetstat":
      return writeAttrs(head(FXP.FSETSTAT).latin1(request.handle), request.attrs);
    case "rename":
      return head(FXP.RENAME).latin1(request.from).latin1(request.to);
    case "posix-rename":
      return extended("posix-rename@openssh.com").latin1(request.from).latin1(request.to);
    case "hardlink":
      return extended("hardlink@openssh.com").latin1(request.from).latin1(request.to);
    case "symlink":
      return head(FXP.SYMLINK).latin1(request.target).latin1(request.link);
    case "statvfs":
      return extended("statvfs@openssh.com").latin1(request.path);
    case "expand-path":
      return extended("expand-path@openssh.com").latin1(request.path);
    case "fstatvfs":
      return extended("fstatvfs@openssh.com").latin1(request.handle);
    case "fsync":
      return extended("fsync@openssh.com").latin1(request.handle);
    case "limits":
      return extended("limits@openssh.com");
    case "copy-data":
      return extended("copy-data")
        .latin1(request.from)
        .u64(request.fromOffset)
        .u64(request.length)
        .latin1(request.to)
        .u64(request.toOffset);
    case "home-directory":
      return extended("home-directory").latin1(request.user);
    case "users-groups-by-id":
      return extended("users-groups-by-id@openssh.com").string("").string("");
    case "other":
      return request.type === FXP.EXTENDED ? extended("").latin1(request.name) : head(request.type);
  }
}
