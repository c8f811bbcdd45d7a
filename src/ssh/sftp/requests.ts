import { Buffer } from "node:buffer";
import { Reader, Writer } from "#ssh/wire";
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

/** A request that has no number yet. */
export type SftpQuestion = SftpRequest extends infer One
  ? One extends SftpRequest
    ? Omit<One, "id">
    : never
  : never;

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
  const request = readRequest(type, id, reader);
  reader.expectEnd();
  return request;
}

function readRequest(type: number, id: number, reader: Reader): SftpRequest {
  switch (type) {
    case FXP.OPEN:
      return { kind: "open", id, path: reader.latin1(), flags: reader.u32(), attrs: readAttrs(reader) };
    case FXP.CLOSE:
      return { kind: "close", id, handle: reader.latin1() };
    case FXP.FSTAT:
      return { kind: "fstat", id, handle: reader.latin1() };
    case FXP.READDIR:
      return { kind: "readdir", id, handle: reader.latin1() };
    case FXP.READ:
      return { kind: "read", id, handle: reader.latin1(), offset: reader.u64(), length: reader.u32() };
    case FXP.WRITE:
      return { kind: "write", id, handle: reader.latin1(), offset: reader.u64(), length: reader.u32() };
    case FXP.SETSTAT:
      return { kind: "setstat", id, path: reader.latin1(), attrs: readAttrs(reader) };
    case FXP.MKDIR:
      return { kind: "mkdir", id, path: reader.latin1(), attrs: readAttrs(reader) };
    case FXP.FSETSTAT:
      return { kind: "fsetstat", id, handle: reader.latin1(), attrs: readAttrs(reader) };
    case FXP.RENAME:
      return { kind: "rename", id, from: reader.latin1(), to: reader.latin1() };
    case FXP.SYMLINK:
      return { kind: "symlink", id, target: reader.latin1(), link: reader.latin1() };
    case FXP.EXTENDED:
      return readExtended(id, reader);
    default: {
      const kind = byType[type];
      if (kind !== undefined) return { kind, id, path: reader.latin1() };
      reader.rest();
      return { kind: "other", id, type, name: "" };
    }
  }
}

function readExtended(id: number, reader: Reader): SftpRequest {
  const name = reader.latin1();
  switch (name) {
    case "posix-rename@openssh.com":
      return { kind: "posix-rename", id, from: reader.latin1(), to: reader.latin1() };
    case "hardlink@openssh.com":
      return { kind: "hardlink", id, from: reader.latin1(), to: reader.latin1() };
    case "statvfs@openssh.com":
      return { kind: "statvfs", id, path: reader.latin1() };
    case "fstatvfs@openssh.com":
      return { kind: "fstatvfs", id, handle: reader.latin1() };
    case "fsync@openssh.com":
      return { kind: "fsync", id, handle: reader.latin1() };
    case "lsetstat@openssh.com":
      return { kind: "lsetstat", id, path: reader.latin1(), attrs: readAttrs(reader) };
    case "limits@openssh.com":
      return { kind: "limits", id };
    case "expand-path@openssh.com":
      return { kind: "expand-path", id, path: reader.latin1() };
    case "copy-data":
      return {
        kind: "copy-data",
        id,
        from: reader.latin1(),
        fromOffset: reader.u64(),
        length: reader.u64(),
        to: reader.latin1(),
        toOffset: reader.u64(),
      };
    case "home-directory":
      return { kind: "home-directory", id, user: reader.latin1() };
    case "users-groups-by-id@openssh.com":
      reader.string();
      reader.string();
      return { kind: "users-groups-by-id", id };
    default:
      reader.rest();
      return { kind: "other", id, type: FXP.EXTENDED, name };
  }
}

/** A packet with its length in front, from what `write` writes after it; `more` bytes that are not in it follow. */
export function sftpPacket(write: (writer: Writer) => void, more = 0): Uint8Array {
  const writer = new Writer().u32(0);
  write(writer);
  return writer.u32At(0, writer.length - 4 + more).bytes();
}

/** With its length in front; of WRITE, the part before the data, the length counting them. */
export function encodeSftpRequest(request: SftpRequest): Uint8Array {
  return encodeSftpRequests([request], [request.id]);
}

/** One behind the other, each under a number given here. */
export function encodeSftpRequests(
  requests: readonly SftpQuestion[],
  numbers: readonly number[],
): Uint8Array {
  const writer = new Writer();
  for (let at = 0; at < requests.length; at++) {
    const request = requests[at];
    if (request === undefined) break;
    const start = writer.length;
    writeRequest(writer.u32(0), numbers[at] ?? 0, request);
    const more = request.kind === "write" ? request.length : 0;
    writer.u32At(start, writer.length - start - 4 + more);
  }
  return writer.bytes();
}

function head(writer: Writer, id: number, type: number): Writer {
  return writer.u8(type).u32(id);
}

function extended(writer: Writer, id: number, name: string): Writer {
  return head(writer, id, FXP.EXTENDED).string(name);
}

function writeRequest(writer: Writer, id: number, request: SftpQuestion): Writer {
  switch (request.kind) {
    case "open":
      return writeAttrs(head(writer, id, FXP.OPEN).latin1(request.path).u32(request.flags), request.attrs);
    case "close":
      return head(writer, id, FXP.CLOSE).latin1(request.handle);
    case "fstat":
      return head(writer, id, FXP.FSTAT).latin1(request.handle);
    case "readdir":
      return head(writer, id, FXP.READDIR).latin1(request.handle);
    case "read":
      return head(writer, id, FXP.READ).latin1(request.handle).u64(request.offset).u32(request.length);
    case "write":
      return head(writer, id, FXP.WRITE).latin1(request.handle).u64(request.offset).u32(request.length);
    case "lstat":
      return head(writer, id, FXP.LSTAT).latin1(request.path);
    case "stat":
      return head(writer, id, FXP.STAT).latin1(request.path);
    case "opendir":
      return head(writer, id, FXP.OPENDIR).latin1(request.path);
    case "remove":
      return head(writer, id, FXP.REMOVE).latin1(request.path);
    case "rmdir":
      return head(writer, id, FXP.RMDIR).latin1(request.path);
    case "realpath":
      return head(writer, id, FXP.REALPATH).latin1(request.path);
    case "readlink":
      return head(writer, id, FXP.READLINK).latin1(request.path);
    case "setstat":
      return writeAttrs(head(writer, id, FXP.SETSTAT).latin1(request.path), request.attrs);
    case "mkdir":
      return writeAttrs(head(writer, id, FXP.MKDIR).latin1(request.path), request.attrs);
    case "lsetstat":
      return writeAttrs(extended(writer, id, "lsetstat@openssh.com").latin1(request.path), request.attrs);
    case "fsetstat":
      return writeAttrs(head(writer, id, FXP.FSETSTAT).latin1(request.handle), request.attrs);
    case "rename":
      return head(writer, id, FXP.RENAME).latin1(request.from).latin1(request.to);
    case "posix-rename":
      return extended(writer, id, "posix-rename@openssh.com").latin1(request.from).latin1(request.to);
    case "hardlink":
      return extended(writer, id, "hardlink@openssh.com").latin1(request.from).latin1(request.to);
    case "symlink":
      return head(writer, id, FXP.SYMLINK).latin1(request.target).latin1(request.link);
    case "statvfs":
      return extended(writer, id, "statvfs@openssh.com").latin1(request.path);
    case "expand-path":
      return extended(writer, id, "expand-path@openssh.com").latin1(request.path);
    case "fstatvfs":
      return extended(writer, id, "fstatvfs@openssh.com").latin1(request.handle);
    case "fsync":
      return extended(writer, id, "fsync@openssh.com").latin1(request.handle);
    case "limits":
      return extended(writer, id, "limits@openssh.com");
    case "copy-data":
      return extended(writer, id, "copy-data")
        .latin1(request.from)
        .u64(request.fromOffset)
        .u64(request.length)
        .latin1(request.to)
        .u64(request.toOffset);
    case "home-directory":
      return extended(writer, id, "home-directory").latin1(request.user);
    case "users-groups-by-id":
      return extended(writer, id, "users-groups-by-id@openssh.com").string("").string("");
    case "other":
      return request.type === FXP.EXTENDED
        ? extended(writer, id, "").latin1(request.name)
        : head(writer, id, request.type);
  }
}
