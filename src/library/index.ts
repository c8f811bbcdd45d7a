/**
 * library: the engine for other programs, imported as "postern/ssh".
 *
 * Law: passes on what the engine's rooms have at their doors, and adds nothing. What stands here is promised: a change that breaks it
 * is a new major version. The one door that passes on other rooms; nothing in the project imports it.
 */
export { type Clock, PosternError, systemClock } from "#base";
export { type Established, type HostKeySigner, Link, type LinkOptions } from "#link";
export {
  type AlgorithmPreferences,
  defaultAlgorithms,
  type RandomBytes,
  Slow,
  systemRandom,
} from "#ssh/algorithms";
export {
  Channel,
  type ChannelOffer,
  type ChannelOptions,
  type ConnectionHandlers,
  type ConnectionLimits,
  ConnectionMux,
  defaultConnectionLimits,
  type Exit,
  type GlobalAnswer,
  type GlobalReply,
  type IncomingRequest,
  type OpenOptions,
  type OpenOutcome,
} from "#ssh/connection";
export {
  type Certificate,
  checkCertificate,
  decodeAnyKey,
  fingerprint,
  formatPrivateKey,
  formatPublicKey,
  generatePrivateKey,
  type KeySigner,
  KnownHosts,
  parseAuthorizedKeys,
  parseKnownHosts,
  parsePrivateKey,
  parsePublicKeyLine,
  type PrivateKey,
  type PublicKey,
  verifySignature,
} from "#ssh/keys";
export * from "#ssh/messages";
export {
  type ConnClose,
  type PacketConn,
  type PacketHandler,
  type PacketView,
  payloadOf,
  type RekeyLimits,
  Transport,
  type TransportEvent,
  type TransportOptions,
} from "#ssh/transport";
export {
  UserauthClient,
  type UserauthClientEvent,
  type UserauthClientOptions,
  type UserauthKey,
  type UserauthAttempt,
  UserauthServer,
  type UserauthServerEvent,
  type UserauthServerOptions,
} from "#ssh/userauth";
