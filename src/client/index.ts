/**
 * client: what a person or a script runs against an SSH server: connections, sessions, forwardings.
 *
 * Law: knows sockets, key files, agents and known_hosts, and never the gateway: it stands on the engine alone, beside it. It writes to no
 * terminal and asks nobody: what has to be said or asked goes by the functions that it was given. The detail of its errors is a
 * sentence for people.
 */
export { connect, type ConnectOptions } from "./connect.ts";
export {
  ClientConnection,
  type ConnectionEnd,
  type KeepaliveOptions,
  maxClientChannels,
  type RemoteConnection,
  type RemoteListener,
  type RemoteOrigin,
  type StreamSource,
} from "./connection.ts";
export {
  type Destination,
  type DestinationOptions,
  parseDestination,
  parseTarget,
  type Questions,
  resolveDestination,
  type ResolvedDestination,
} from "./destination.ts";
export { dialCommand, dialTcp, dialUnix, fileReasonOf } from "./dial.ts";
export { clientErrors } from "./errors.ts";
export {
  type ForwardEvent,
  type ForwardingStatus,
  type PassingConnection,
  sentenceOf,
} from "./forward/events.ts";
export { forward, Forwarding, type ForwardOptions, type ReconnectOptions } from "./forward/forwarding.ts";
export { forwardOver, type ForwardOverOptions } from "./forward/over.ts";
export { join, type JoinEnd } from "./forward/join.ts";
export { type SocksOutcome, type SocksStep, SocksConversation } from "./forward/socks.ts";
export {
  formatPlace,
  type ForwardSpec,
  type ListenPlace,
  parseDynamic,
  parseForward,
  type Place,
} from "./forward/spec.ts";
export {
  type Gate,
  type GateOptions,
  type GateTls,
  type GateWay,
  openGate,
  parseGate,
} from "./gate/gate.ts";
export { type ProxyAnswer, ProxyAnswerReader } from "./gate/http-answer.ts";
export { defaultKnownHosts, type HostKeyOptions, type HostKeyQuestion } from "./host-keys.ts";
export type { IdentityOptions } from "./identities.ts";
export type { LoginMethod, LoginOptions } from "./login.ts";
export { printable } from "./printable.ts";
export { type HostSettings, readSettings, type SettingsOptions } from "./ssh-config/settings.ts";
export type { X11Options } from "./x11/x11-forwarding.ts";
export { Session, type SessionOptions, type TerminalOptions, type TerminalSize } from "./session.ts";
