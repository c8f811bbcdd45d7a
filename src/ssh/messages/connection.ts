import { Buffer } from "node:buffer";
import { Reader, Writer } from "#ssh/wire";
import { MSG } from "./numbers.ts";

/** SSH_MSG_GLOBAL_REQUEST (RFC 4254, section 4); `data` is what the request's own type defines. */
export interface GlobalRequest {
  readonly type: string;
  readonly wantReply: boolean;
  readonly data: Uint8Array;
}

export function encodeGlobalRequest(message: GlobalRequest): Uint8Array {
  return new Writer()
    .u8(MSG.GLOBAL_REQUEST)
    .string(message.type)
    .bool(message.wantReply)
    .raw(message.data)
    .bytes();
}

export function decodeGlobalRequest(payload: Uint8Array): GlobalRequest {
  const reader = new Reader(payload, 1);
  return { type: reader.ascii(), wantReply: reader.bool(), data: reader.rest() };
}

export function encodeRequestSuccess(data: Uint8Array = new Uint8Array(0)): Uint8Array {
  return new Writer(data.length + 1).u8(MSG.REQUEST_SUCCESS).raw(data).bytes();
}

export function encodeRequestFailure(): Uint8Array {
  return Uint8Array.of(MSG.REQUEST_FAILURE);
}

/** SSH_MSG_CHANNEL_OPEN (RFC 4254, section 5.1); `data` is what the channel's type defines. */
export interface ChannelOpen {
  readonly type: string;
  /** The sender's number for the channel. */
  readonly channel: number;
  /** Bytes. */
  readonly window: number;
  /** Bytes of data in one message. */
  readonly maxPacket: number;
  readonly data: Uint8Array;
}

export function encodeChannelOpen(message: ChannelOpen): Uint8Array {
  return new Writer()
    .u8(MSG.CHANNEL_OPEN)
    .string(message.type)
    .u32(message.channel)
    .u32(message.window)
    .u32(message.maxPacket)
    .raw(message.data)
    .bytes();
}

export function decodeChannelOpen(payload: Uint8Array): ChannelOpen {
  const reader = new Reader(payload, 1);
  return {
    type: reader.ascii(),
    channel: reader.u32(),
    window: reader.u32(),
    maxPacket: reader.u32(),
    data: reader.rest(),
  };
}

/** SSH_MSG_CHANNEL_OPEN_CONFIRMATION (RFC 4254, section 5.1). */
export interface ChannelOpenConfirmation {
  readonly recipient: number;
  readonly channel: number;
  readonly window: number;
  readonly maxPacket: number;
  readonly data: Uint8Array;
}

export function encodeChannelOpenConfirmation(message: ChannelOpenConfirmation): Uint8Array {
  return new Writer()
    .u8(MSG.CHANNEL_OPEN_CONFIRMATION)
    .u32(message.recipient)
    .u32(message.channel)
    .u32(message.window)
    .u32(message.maxPacket)
    .raw(message.data)
    .bytes();
}

export function decodeChannelOpenConfirmation(payload: Uint8Array): ChannelOpenConfirmation {
  const reader = new Reader(payload, 1);
  return {
    recipient: reader.u32(),
    channel: reader.u32(),
    window: reader.u32(),
    maxPacket: reader.u32(),
    data: reader.rest(),
  };
}

/** SSH_MSG_CHANNEL_OPEN_FAILURE (RFC 4254, section 5.1). */
export interface ChannelOpenFailure {
  readonly recipient: number;
  readonly reason: number;
  readonly description: string;
}

export function encodeChannelOpenFailure(message: ChannelOpenFailure): Uint8Array {
  return new Writer()
    .u8(MSG.CHANNEL_OPEN_FAILURE)
    .u32(message.recipient)
    .u32(message.reason)
    .string(message.description)
    .string("")
    .bytes();
}

export function decodeChannelOpenFailure(payload: Uint8Array): ChannelOpenFailure {
  const reader = new Reader(payload, 1);
  const recipient = reader.u32();
  const reason = reader.u32();
  const description = Buffer.from(reader.string()).toString("utf8");
  return { recipient, reason, description };
}

/** SSH_MSG_CHANNEL_WINDOW_ADJUST (RFC 4254, section 5.2). */
export interface WindowAdjust {
  readonly recipient: number;
  readonly bytes: number;
}

export function encodeWindowAdjust(message: WindowAdjust): Uint8Array {
  return new Writer(9).u8(MSG.CHANNEL_WINDOW_ADJUST).u32(message.recipient).u32(message.bytes).bytes();
}

export function decodeWindowAdjust(payload: Uint8Array): WindowAdjust {
  const reader = new Reader(payload, 1);
  const message = { recipient: reader.u32(), bytes: reader.u32() };
  reader.expectEnd();
  return message;
}

/** SSH_MSG_CHANNEL_DATA, and SSH_MSG_CHANNEL_EXTENDED_DATA when `dataType` is set (RFC 4254, section 5.2). `data` is a view. */
export interface ChannelData {
  readonly recipient: number;
  readonly dataType?: number;
  readonly data: Uint8Array;
}

export function encodeChannelData(message: ChannelData): Uint8Array {
  const buffer = Buffer.allocUnsafe(message.data.length + (message.dataType === undefined ? 9 : 13));
  writeChannelData(buffer, message);
  return buffer;
}

/** Bytes of such a message before its data. */
export const channelDataHeadBytes = 13;

/** As encodeChannelData, into a buffer with room for `channelDataHeadBytes` more bytes than the data; gives the part that was written. */
export function encodeChannelDataInto(buffer: Buffer, message: ChannelData): Uint8Array {
  return buffer.subarray(0, writeChannelData(buffer, message));
}

/** Returns how long it has become. */
function writeChannelData(buffer: Buffer, { recipient, dataType, data }: ChannelData): number {
  let at = buffer.writeUInt8(dataType === undefined ? MSG.CHANNEL_DATA : MSG.CHANNEL_EXTENDED_DATA, 0);
  at = buffer.writeUInt32BE(recipient, at);
  if (dataType !== undefined) at = buffer.writeUInt32BE(dataType, at);
  at = buffer.writeUInt32BE(data.length, at);
  buffer.set(data, at);
  return at + data.length;
}

/**
 * SSH_MSG_CHANNEL_DATA around `bytes[start, end)` where it lies: its head overwrites what is before `start`, where
 * `channelDataHeadBytes` must be free.
 */
export function frameChannelData(
  bytes: Uint8Array,
  start: number,
  end: number,
  recipient: number,
): Uint8Array {
  const head = start - 9;
  const view = new DataView(bytes.buffer, bytes.byteOffset + head, 9);
  view.setUint8(0, MSG.CHANNEL_DATA);
  view.setUint32(1, recipient);
  view.setUint32(5, end - start);
  return bytes.subarray(head, end);
}

/** `start`, `end`: where the message lies in `payload`; by default it is all of it. */
export function decodeChannelData(payload: Uint8Array, start = 0, end: number = payload.length): ChannelData {
  const reader = new Reader(payload, start, end);
  const extended = reader.u8() === MSG.CHANNEL_EXTENDED_DATA;
  const recipient = reader.u32();
  const message = extended
    ? { recipient, dataType: reader.u32(), data: reader.string() }
    : { recipient, data: reader.string() };
  reader.expectEnd();
  return message;
}

/** EOF, CLOSE, SUCCESS and FAILURE of a channel: a number and the recipient (RFC 4254, sections 5.3 and 5.4). */
export function encodeChannelSignal(
  number:
    | typeof MSG.CHANNEL_EOF
    | typeof MSG.CHANNEL_CLOSE
    | typeof MSG.CHANNEL_SUCCESS
    | typeof MSG.CHANNEL_FAILURE,
  recipient: number,
): Uint8Array {
  return new Writer(5).u8(number).u32(recipient).bytes();
}

/** The recipient channel of any message from 91 to 100, which lies in `payload` from `start` to `end`. */
export function decodeRecipient(payload: Uint8Array, start = 0, end: number = payload.length): number {
  return new Reader(payload, start + 1, end).u32();
}

/** SSH_MSG_CHANNEL_REQUEST (RFC 4254, section 5.4); `data` is what the request's own type defines. */
export interface ChannelRequest {
  readonly recipient: number;
  readonly type: string;
  readonly wantReply: boolean;
  readonly data: Uint8Array;
}

export function encodeChannelRequest(message: ChannelRequest): Uint8Array {
  return new Writer()
    .u8(MSG.CHANNEL_REQUEST)
    .u32(message.recipient)
    .string(message.type)
    .bool(message.wantReply)
    .raw(message.data)
    .bytes();
}

export function decodeChannelRequest(payload: Uint8Array): ChannelRequest {
  const reader = new Reader(payload, 1);
  return {
    recipient: reader.u32(),
    type: reader.ascii(),
    wantReply: reader.bool(),
    data: reader.rest(),
  };
}
