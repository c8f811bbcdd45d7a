import { Reader, wireErrors, type Writer } from "#ssh/wire";
import { type FileAttrs, readAttrs, writeAttrs } from "./attrs.ts";
import { FX, FXP, sftpVersion } from "./numbers.ts";
import { type Bytes, sftpPacket } from "./requests.ts";

/** One entry of SSH_FXP_NAME. */
export interface NameEntry {
  readonly name: Bytes;
  /** A line of `ls -l`, for people. */
  readonly longname: Bytes;
  readonly attrs: FileAttrs;
}

/** A server's reply (draft-ietf-secsh-filexfer-02, section 7). */
export type SftpReply =
  | { readonly kind: "status"; readonly id: number; readonly code: number; readonly message: Bytes }
  | { readonly kind: "handle"; readonly id: number; readonly handle: Bytes }
  /** Without the data, which follow. */
  | { readonly kind: "data"; readonly id: number; readonly length: number }
  | { readonly kind: "name"; readonly id: number; readonly entries: readonly NameEntry[] }
  | { readonly kind: "attrs"; readonly id: number; readonly attrs: FileAttrs }
  | { readonly kind: "extended"; readonly id: number; readonly data: Uint8Array };

/** SSH_FXP_INIT and SSH_FXP_VERSION. */
export interface SftpHello {
  readonly version: number;
  readonly extensions: readonly (readonly [name: Bytes, data: Bytes])[];
}

/** Extensions that one side may name. */
export const maxSftpExtensions: number = 64;

/** The shortest entry: two empty strings, and attributes that say nothing. */
const leastEntryBytes = 12;

/** A packet of type INIT or VERSION without its length. Throws the errors of `ssh/wire`. */
export function decodeSftpHello(packet: Uint8Array): SftpHello {
  const reader = new Reader(packet, 1);
  const version = reader.u32();
  const extensions: (readonly [Bytes, Bytes])[] = [];
  while (reader.left > 0) {
    if (extensions.length === maxSftpExtensions)
      throw new wireErrors.PEER_FIELD_INVALID("too many extensions");
    extensions.push([reader.latin1(), reader.latin1()]);
  }
  return { version, extensions };
}

export function encodeSftpHello(
  type: typeof FXP.INIT | typeof FXP.VERSION,
  hello: Partial<SftpHello> = {},
): Uint8Array {
  return sftpPacket((writer) => {
    writer.u8(type).u32(hello.version ?? sftpVersion);
    for (const [name, data] of hello.extensions ?? []) writer.latin1(name).latin1(data);
  });
}

/**
 * Decodes a packet without its length, its type included; of DATA, the part before the data. Throws the errors of `ssh/wire`.
 */
export function decodeSftpReply(packet: Uint8Array): SftpReply {
  const reader = new Reader(packet);
  const type = reader.u8();
  const id = reader.u32();
  const reply = readReply(type, id, reader);
  reader.expectEnd();
  return reply;
}

function readReply(type: number, id: number, reader: Reader): SftpReply {
  switch (type) {
    case FXP.STATUS: {
      const code = reader.u32();
      // Servers of versions before 3 end here, and some that say 3 do too.
      const message = reader.left === 0 ? "" : reader.latin1();
      if (reader.left > 0) reader.string();
      return { kind: "status", id, code, message };
    }
    case FXP.HANDLE:
      return { kind: "handle", id, handle: reader.latin1() };
    case FXP.DATA:
      return { kind: "data", id, length: reader.u32() };
    case FXP.NAME: {
      const count = reader.u32();
      if (count * leastEntryBytes > reader.left)
        throw new wireErrors.PEER_MESSAGE_TRUNCATED(`${count} names`);
      const entries: NameEntry[] = [];
      for (let left = count; left > 0; left--)
        entries.push({ name: reader.latin1(), longname: reader.latin1(), attrs: readAttrs(reader) });
      return { kind: "name", id, entries };
    }
    case FXP.ATTRS:
      return { kind: "attrs", id, attrs: readAttrs(reader) };
    case FXP.EXTENDED_REPLY:
      return { kind: "extended", id, data: Uint8Array.from(reader.rest()) };
    default:
      throw new wireErrors.PEER_FIELD_INVALID(`a reply of type ${type}`);
  }
}

/** With its length in front; of DATA, the part before the data, the length counting them. */
export function encodeSftpReply(reply: SftpReply): Uint8Array {
  return sftpPacket((writer) => writeReply(writer, reply), reply.kind === "data" ? reply.length : 0);
}

function writeReply(writer: Writer, reply: SftpReply): void {
  const { id } = reply;
  switch (reply.kind) {
    case "status":
      writer.u8(FXP.STATUS).u32(id).u32(reply.code).latin1(reply.message).string("en");
      return;
    case "handle":
      writer.u8(FXP.HANDLE).u32(id).latin1(reply.handle);
      return;
    case "data":
      writer.u8(FXP.DATA).u32(id).u32(reply.length);
      return;
    case "name":
      writer.u8(FXP.NAME).u32(id).u32(reply.entries.length);
      for (const { name, longname, attrs } of reply.entries)
        writeAttrs(writer.latin1(name).latin1(longname), attrs);
      return;
    case "attrs":
      writeAttrs(writer.u8(FXP.ATTRS).u32(id), reply.attrs);
      return;
    case "extended":
      writer.u8(FXP.EXTENDED_REPLY).u32(id).raw(reply.data);
      return;
  }
}

const texts: Readonly<Record<number, string>> = {
  [FX.OK]: "Success",
  [FX.EOF]: "End of file",
  [FX.NO_SUCH_FILE]: "No such file",
  [FX.PERMISSION_DENIED]: "Permission denied",
  [FX.FAILURE]: "Failure",
  [FX.BAD_MESSAGE]: "Bad message",
  [FX.NO_CONNECTION]: "No connection",
  [FX.CONNECTION_LOST]: "Connection lost",
  [FX.OP_UNSUPPORTED]: "Operation unsupported",
};

/** What a status code says, in the words that servers use. */
export function statusText(code: number): string {
  return texts[code] ?? "Unknown error";
}
