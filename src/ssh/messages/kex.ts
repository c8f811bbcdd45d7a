import { Reader, Writer } from "#ssh/wire";
import { MSG } from "./numbers.ts";

/** SSH_MSG_KEXINIT (RFC 4253, section 7.1): each list in order of preference. */
export interface KexInit {
  /** 16 random bytes. */
  readonly cookie: Uint8Array;
  readonly kex: readonly string[];
  readonly hostKeys: readonly string[];
  readonly ciphersToServer: readonly string[];
  readonly ciphersToClient: readonly string[];
  readonly macsToServer: readonly string[];
  readonly macsToClient: readonly string[];
  readonly compressionToServer: readonly string[];
  readonly compressionToClient: readonly string[];
  /** The sender guessed and its first key exchange packet follows at once. */
  readonly firstKexPacketFollows: boolean;
}

export function encodeKexInit(message: KexInit): Uint8Array {
  return new Writer(1024)
    .u8(MSG.KEXINIT)
    .raw(message.cookie)
    .nameList(message.kex)
    .nameList(message.hostKeys)
    .nameList(message.ciphersToServer)
    .nameList(message.ciphersToClient)
    .nameList(message.macsToServer)
    .nameList(message.macsToClient)
    .nameList(message.compressionToServer)
    .nameList(message.compressionToClient)
    .nameList([])
    .nameList([])
    .bool(message.firstKexPacketFollows)
    .u32(0)
    .bytes();
}

export function decodeKexInit(payload: Uint8Array): KexInit {
  const reader = new Reader(payload, 1);
  const cookie = Uint8Array.from(reader.raw(16));
  const kex = reader.nameList();
  const hostKeys = reader.nameList();
  const ciphersToServer = reader.nameList();
  const ciphersToClient = reader.nameList();
  const macsToServer = reader.nameList();
  const macsToClient = reader.nameList();
  const compressionToServer = reader.nameList();
  const compressionToClient = reader.nameList();
  reader.string();
  reader.string();
  const firstKexPacketFollows = reader.bool();
  reader.u32();
  reader.expectEnd();
  return {
    cookie,
    kex,
    hostKeys,
    ciphersToServer,
    ciphersToClient,
    macsToServer,
    macsToClient,
    compressionToServer,
    compressionToClient,
    firstKexPacketFollows,
  };
}

/** How a method writes its public values: RFC 4253 and 4419 use mpint, RFC 5656 and 8731 and the hybrids use string. */
export type PublicValueForm = "mpint" | "string";

function writePublic(writer: Writer, form: PublicValueForm, value: Uint8Array): Writer {
  return form === "mpint" ? writer.mpint(value) : writer.string(value);
}

function readPublic(reader: Reader, form: PublicValueForm): Uint8Array {
  return form === "mpint" ? reader.mpint() : reader.string();
}

/** KEXDH_INIT, KEX_ECDH_INIT or KEX_DH_GEX_INIT: the client's public value. */
export function encodeKexPublic(number: number, form: PublicValueForm, value: Uint8Array): Uint8Array {
  return writePublic(new Writer(value.length + 8).u8(number), form, value).bytes();
}

export function decodeKexPublic(payload: Uint8Array, form: PublicValueForm): Uint8Array {
  const reader = new Reader(payload, 1);
  const value = Uint8Array.from(readPublic(reader, form));
  reader.expectEnd();
  return value;
}

/** KEXDH_REPLY, KEX_ECDH_REPLY or KEX_DH_GEX_REPLY. */
export interface KexReply {
  readonly hostKey: Uint8Array;
  readonly publicValue: Uint8Array;
  readonly signature: Uint8Array;
}

export function encodeKexReply(number: number, form: PublicValueForm, message: KexReply): Uint8Array {
  const writer = new Writer(1024).u8(number).string(message.hostKey);
  return writePublic(writer, form, message.publicValue).string(message.signature).bytes();
}

export function decodeKexReply(payload: Uint8Array, form: PublicValueForm): KexReply {
  const reader = new Reader(payload, 1);
  const hostKey = Uint8Array.from(reader.string());
  const publicValue = Uint8Array.from(readPublic(reader, form));
  const signature = Uint8Array.from(reader.string());
  reader.expectEnd();
  return { hostKey, publicValue, signature };
}

/** SSH_MSG_KEX_DH_GEX_REQUEST (RFC 4419, section 3): sizes in bits. */
export interface GexRequest {
  readonly min: number;
  readonly preferred: number;
  readonly max: number;
}

export function encodeGexRequest(message: GexRequest): Uint8Array {
  return new Writer(13)
    .u8(MSG.KEX_DH_GEX_REQUEST)
    .u32(message.min)
    .u32(message.preferred)
    .u32(message.max)
    .bytes();
}

export function decodeGexRequest(payload: Uint8Array): GexRequest {
  const reader = new Reader(payload, 1);
  const request = { min: reader.u32(), preferred: reader.u32(), max: reader.u32() };
  reader.expectEnd();
  return request;
}

/** SSH_MSG_KEX_DH_GEX_GROUP (RFC 4419, section 3): prime and generator, big-endian. */
export interface GexGroup {
  readonly prime: Uint8Array;
  readonly generator: Uint8Array;
}

export function encodeGexGroup(message: GexGroup): Uint8Array {
  return new Writer(1100).u8(MSG.KEX_DH_GEX_GROUP).mpint(message.prime).mpint(message.generator).bytes();
}

export function decodeGexGroup(payload: Uint8Array): GexGroup {
  const reader = new Reader(payload, 1);
  const prime = Uint8Array.from(reader.mpint());
  const generator = Uint8Array.from(reader.mpint());
  reader.expectEnd();
  return { prime, generator };
}
