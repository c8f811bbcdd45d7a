/**
 * base: what every room may stand on.
 *
 * Law: no product, no protocol, no import from any other room.
 */
export { type Backoff, retryDelayMs } from "./backoff.ts";
export { PeerWatch, type PeerWatchOptions, type WatchedPeer } from "./peer-watch.ts";
export { madePrivately } from "./private-file.ts";
export { Rounds } from "./rounds.ts";
export { type Clock, systemClock, type Timer } from "./clock.ts";
export {
  type Blame,
  blameOf,
  blames,
  defineErrors,
  definedErrors,
  type ErrorClass,
  type ErrorCode,
  type ErrorDetail,
  type ErrorRow,
  type ErrorTable,
  PosternError,
} from "./errors.ts";
export { newSessionId, randomId } from "./ids.ts";
export {
  type Log,
  type LogFields,
  type LogLevel,
  logLevels,
  type LogMethod,
  type LogOptions,
  openLog,
  type RootLog,
  silentLog,
} from "./log.ts";
export { LogSink } from "./log-sink.ts";
export {
  Cidr,
  type Endpoint,
  formatEndpoint,
  formatHostPort,
  type HostPort,
  isHost,
  networkOf,
  normalAddress,
  parseEndpoint,
  parseHostPort,
  parsePort,
} from "./net.ts";
export { Pattern } from "./pattern.ts";
export { Place } from "./place.ts";
export { formatBytes, formatSeconds, parseBytes, parseSeconds } from "./quantity.ts";
export { Recent } from "./recent.ts";
export { baseErrors } from "./rows.ts";
export {
  type Bounds,
  cidr,
  count,
  duration,
  endpoint,
  instant,
  path,
  type PathContext,
  pathTemplate,
  pattern,
  place,
  secret,
  size,
  template,
  withPaths,
  readDocumentsOnce,
} from "./schema.ts";
export { Secret } from "./secret.ts";
export { type Captures, parseTemplate, type Template, templateErrors } from "./template.ts";
export { version } from "./version.ts";
