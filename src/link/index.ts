/**
 * link: a transport engine on a stream of bytes.
 *
 * Law: the only room that reads and writes SSH bytes, and that lends buffers. Knows sockets, timers and backpressure; knows no
 * user, no rule and no channel.
 */
export { type ByteStream, byteStreamOf } from "./byte-stream.ts";
export { linkErrors } from "./errors.ts";
export {
  type Established,
  type HostKeySigner,
  lastWordsMs,
  lingerMs,
  Link,
  type LinkOptions,
  maxUnsentBytes,
} from "./link.ts";
