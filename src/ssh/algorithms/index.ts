/**
 * algorithms: tables from a name to what does it.
 *
 * Law: knows one cipher, MAC, key exchange or signature at a time, over bytes and KeyObjects; never which was negotiated, never a
 * key file, a message or a socket. Primitives come from node:crypto, else from @noble: only their composition is ours.
 */
export { cipherAlgorithms, pureCiphers } from "./ciphers.ts";
export { type AlgorithmPreferences, defaultAlgorithms } from "./defaults.ts";
export { algorithmErrors } from "./errors.ts";
export { groupExchanges, kexMethods } from "./kex.ts";
export {
  type Agreement,
  type GroupExchange,
  type HashName,
  type KexClient,
  type KexMethod,
  type RandomBytes,
  Slow,
} from "./kex-method.ts";
export { macAlgorithms } from "./macs.ts";
export {
  type CipherAlgorithm,
  createPacketBatch,
  type KeyedMac,
  type MacAlgorithm,
  maxPacketBytes,
  minBodyBytes,
  type PacketBatch,
  type PacketOpener,
  type PacketSealer,
} from "./packet-cipher.ts";
export { nativePackets } from "./native.ts";
export { plainOpener, plainSealer } from "./plain.ts";
export { systemRandom } from "./random.ts";
export { type SignatureAlgorithm, type SignatureHash, signatureAlgorithms } from "./signatures.ts";
