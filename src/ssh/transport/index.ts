/**
 * transport: one SSH transport (RFC 4253) as an engine, both roles, and the waist above it.
 *
 * Law: no socket, no timer, no log, no product. Bytes, time and randomness come in; bytes and events go out; what takes time is
 * an event that is answered later.
 */
export { alignedBytes, ArenaPool } from "./arena.ts";
export { transportErrors } from "./errors.ts";
export type { TransportEvent, TransportOptions } from "./events.ts";
export { releaseOutput } from "./framer.ts";
export { deriveKey, exchangeHash } from "./keys.ts";
export { type Algorithms, FLAG, guessedWrong, negotiate, type Negotiated, type Role } from "./negotiate.ts";
export {
  type ConnClose,
  numberOf,
  type PacketConn,
  type PacketHandler,
  type PacketView,
  payloadOf,
} from "./packet-conn.ts";
export { bulkBytes, defaultRekeyLimits, type RekeyLimits } from "./rekey.ts";
export { maxQueuedDuringKexBytes, Transport } from "./transport.ts";
export { maxLinesBeforeVersion, maxVersionLineBytes, VersionReader } from "./version.ts";
