/**
 * link: a transport engine on a stream of bytes.
 *
 * Law: the only room that reads and writes SSH bytes, and that lends buffers. Knows sockets, timers and backpressure; knows no
 * user, no rule and no channel.
 */
export { type ByteStream, byteStreamOf, takeUnread } from "./byte-stream.ts";
export { linkErrors } from "./errors.ts";
export { lastWordsMs, lingerMs, Link, maxUnsentBytes } from "./link.ts";
export type { Established, HostKeySigner, LinkOptions } from "./options.ts";
