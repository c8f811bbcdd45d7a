/**
 * connection: RFC 4254 where we are an end ourselves, both roles, on a PacketConn.
 *
 * Law: knows channels, windows and the order of requests; never what a shell, a forwarding or a subsystem is, and no socket, timer
 * or log. Whatever a peer can make it hold has a name in limits.ts. What is piped through never comes here.
 */
export { Channel, type ChannelOptions, type Exit } from "./channel.ts";
export type { IncomingRequest, RequestHandler } from "./channel-core.ts";
export { connectionErrors } from "./errors.ts";
export { type ConnectionLimits, defaultConnectionLimits } from "./limits.ts";
export {
  type ChannelOffer,
  type ConnectionHandlers,
  ConnectionMux,
  type GlobalAnswer,
  type GlobalReply,
  type OpenOptions,
  type OpenOutcome,
} from "./mux.ts";
