/**
 * userauth: RFC 4252 and RFC 4256 both ways, as engines without I/O.
 *
 * Law: knows the order and the form of user authentication, and whether a proof is right; never who may enter, and nothing of
 * sockets, time or logs. Payloads leave by `send`, questions to the caller are events. Passwords are wiped once answered.
 */
export { chooseSignatureAlgorithm, serverSignatureAlgorithms, supportsHostbound } from "./algorithms.ts";
export {
  type ClientStateName,
  clientStates,
  maxBannerCharacters,
  maxRounds,
  UserauthClient,
  type UserauthClientEvent,
  type UserauthClientOptions,
  type UserauthKey,
} from "./client.ts";
export { userauthErrors } from "./errors.ts";
export { userauthOver } from "./over.ts";
export {
  defaultMaxKeyQueries,
  maxServiceRequests,
  maxUserNameBytes,
  type PublicKeyAttempt,
  type ServerStateName,
  serverStates,
  type UserauthAttempt,
  UserauthServer,
  type UserauthServerEvent,
  type UserauthServerOptions,
} from "./server.ts";
