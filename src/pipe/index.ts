/**
 * pipe: joins two PacketConns.
 *
 * Law: packet level. Channel numbers and windows pass untouched; a payload is decoded only when a tap asked for its number, or
 * when it is a global request. Knows no socket, no user and no rule, and keeps no queue of its own.
 */
export { ChannelCount } from "./channels.ts";
export { pipeErrors } from "./errors.ts";
export { type AnnouncedHostKey, hostKeyNews } from "./host-keys.ts";
export { type KeepaliveOptions, keptAlive } from "./keepalive.ts";
export { Ledger, maxUnansweredRequests, type Owed } from "./ledger.ts";
export { joinPipe, type Pipe, type PipeEnd, type PipeOptions } from "./pipe.ts";
export { passing, type Tap, TapTable, type TapVerdict } from "./taps.ts";
