/**
 * base: what every room may stand on.
 *
 * Law: no product, no protocol, no import from any other room.
 */
export { type Clock, sleep, systemClock, type Timer } from "./clock.ts";
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
  type Logger,
  type LogLevel,
  logLevels,
  type LogOptions,
  openLog,
  silentLogger,
} from "./log.ts";
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
export { type Captures, Pattern } from "./pattern.ts";
export { formatBytes, formatSeconds, parseBytes, parseSeconds } from "./quantity.ts";
export { baseErrors } from "./rows.ts";
export * from "./schema.ts";
export { Secret } from "./secret.ts";
export { Template } from "./template.ts";
