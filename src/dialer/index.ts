/**
 * dialer: how a route becomes a stream. This door is the list of kinds.
 *
 * Law: gets an address, gives a stream; knows no user, no rule and no SSH.
 */
import type { DialerKind } from "#contract";
import { tcp, type TcpConfig } from "./tcp/index.ts";

export { dialerErrors } from "./errors.ts";
export { tcp, type TcpConfig } from "./tcp/index.ts";

export type DialerConfig = TcpConfig;

export const dialerKinds: readonly [DialerKind<TcpConfig>] = [tcp];
