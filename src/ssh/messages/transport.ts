import { Buffer } from "node:buffer";
import { Reader, Writer } from "#ssh/wire";
import { MSG } from "./numbers.ts";

/** SSH_MSG_DISCONNECT (RFC 4253, section 11.1). */
export interface Disconnect {
  readonly reason: number;
  readonly description: string;
}

export function encodeDisconnect(message: Disconnect): Uint8Array {
  return new Writer().u8(MSG.DISCONNECT).u32(message.reason).string(message.description).string("").bytes();
}

/** Tolerates a missing language tag and broken UTF-8: the connection ends anyway, and old peers send both. */
export function decodeDisconnect(payload: Uint8Array): Disconnect {
  const reader = new Reader(payload, 1);
  const reason = reader.u32();
  const description = Buffer.from(reader.string()).toString("utf8");
  return { reason, description };
}

/** SSH_MSG_UNIMPLEMENTED (RFC 4253, section 11.4): the sequence number of the packet that was not understood. */
export function encodeUnimplemented(sequence: number): Uint8Array {
  return new Writer(5).u8(MSG.UNIMPLEMENTED).u32(sequence).bytes();
}

export function decodeUnimplemented(payload: Uint8Array): number {
  const reader = new Reader(payload, 1);
  const sequence = reader.u32();
  reader.expectEnd();
  return sequence;
}

/** SSH_MSG_IGNORE (RFC 4253, section 11.2). */
export function encodeIgnore(data: Uint8Array): Uint8Array {
  return new Writer(data.length + 5).u8(MSG.IGNORE).string(data).bytes();
}

/** SSH_MSG_DEBUG (RFC 4253, section 11.3). */
export interface Debug {
  readonly display: boolean;
  readonly text: string;
}

export function encodeDebug(message: Debug): Uint8Array {
  return new Writer().u8(MSG.DEBUG).bool(message.display).string(message.text).string("").bytes();
}

export function decodeDebug(payload: Uint8Array): Debug {
  const reader = new Reader(payload, 1);
  const display = reader.bool();
  const text = Buffer.from(reader.string()).toString("utf8");
  return { display, text };
}

/** SSH_MSG_SERVICE_REQUEST and SSH_MSG_SERVICE_ACCEPT (RFC 4253, section 10): the service's name. */
export function encodeServiceRequest(service: string): Uint8Array {
  return new Writer().u8(MSG.SERVICE_REQUEST).string(service).bytes();
}

export function encodeServiceAccept(service: string): Uint8Array {
  return new Writer().u8(MSG.SERVICE_ACCEPT).string(service).bytes();
}

export function decodeService(payload: Uint8Array): string {
  const reader = new Reader(payload, 1);
  const service = reader.ascii();
  reader.expectEnd();
  return service;
}

/** SSH_MSG_EXT_INFO (RFC 8308, section 2.3): extension name to value. At most `maxExtensions` are read. */
export type Extensions = ReadonlyMap<string, Uint8Array>;

/** RFC 8308 names a handful; a list longer than this is garbage. */
export const maxExtensions = 64;

export function encodeExtInfo(extensions: Extensions): Uint8Array {
  const writer = new Writer().u8(MSG.EXT_INFO).u32(extensions.size);
  for (const [name, value] of extensions) writer.string(name).string(value);
  return writer.bytes();
}

export function decodeExtInfo(payload: Uint8Array): Extensions {
  const reader = new Reader(payload, 1);
  const count = reader.u32();
  const extensions = new Map<string, Uint8Array>();
  for (let n = 0; n < count && n < maxExtensions; n++) {
    const name = reader.ascii();
    extensions.set(name, Uint8Array.from(reader.string()));
  }
  if (count <= maxExtensions) reader.expectEnd();
  return extensions;
}

/** SSH2_MSG_PING and SSH2_MSG_PONG (PROTOCOL of OpenSSH, "transport: ping facility"). */
export function encodePong(data: Uint8Array): Uint8Array {
  return new Writer(data.length + 5).u8(MSG.PONG).string(data).bytes();
}

export function encodePing(data: Uint8Array): Uint8Array {
  return new Writer(data.length + 5).u8(MSG.PING).string(data).bytes();
}

export function decodePing(payload: Uint8Array): Uint8Array {
  const reader = new Reader(payload, 1);
  const data = reader.string();
  reader.expectEnd();
  return data;
}
