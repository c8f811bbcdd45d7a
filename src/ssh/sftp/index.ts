/**
 * sftp: packets of SFTP version 3, and how they lie in a stream of bytes.
 *
 * Law: knows what a packet looks like, never what it is for: no rule, no root, no channel. Packets are decoded without their
 * length, their type included, and encoded with it. Bulk data are never collected: of WRITE and DATA only the part before the data
 * is. Decoders throw the errors of `ssh/wire`.
 */
export { type FileAttrs, type FileKind, kindOf, maxExtendedAttrs, readAttrs, writeAttrs } from "./attrs.ts";
export { sftpErrors } from "./errors.ts";
export { FX, FXF, FXP, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, sftpVersion } from "./numbers.ts";
export {
  decodeSftpHello,
  decodeSftpReply,
  encodeSftpHello,
  encodeSftpReply,
  maxSftpExtensions,
  type NameEntry,
  type SftpHello,
  type SftpReply,
  statusText,
} from "./replies.ts";
export {
  type Bytes,
  bytesOf,
  decodeSftpRequest,
  encodeSftpRequest,
  encodeSftpRequests,
  idOf,
  knownExtensions,
  type SftpQuestion,
  type SftpRequest,
  sftpPacket,
  shownPath,
} from "./requests.ts";
export { maxSftpHandleBytes, maxSftpPacketBytes, type PacketSink, PacketStream } from "./stream.ts";
