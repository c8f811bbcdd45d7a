/**
 * dialer: how a route becomes a stream. This door is the list of kinds.
 *
 * Law: gets an address, gives a stream; knows no user and no rule. What logs in at a jump host comes from outside.
 */
import type { Dialer, DialerKind, HopKind, HopPorts } from "#contract";
import { command, type CommandConfig } from "./command/index.ts";
import { httpProxy, type HttpProxyConfig } from "./http-proxy/index.ts";
import { socks5, type Socks5Config } from "./socks5/index.ts";
import { tcp, type TcpConfig } from "./tcp/index.ts";

export { type CommandConfig } from "./command/index.ts";
export { dialerErrors } from "./errors.ts";
export { type HttpProxyConfig } from "./http-proxy/index.ts";
export { type Socks5Config } from "./socks5/index.ts";
export { JumpDialer, type JumpOptions, type JumpPorts, maxJumpChannels } from "./ssh/index.ts";
export { tcp, type TcpConfig } from "./tcp/index.ts";
export { createTunnelDialer } from "./tunnel/index.ts";

export type DialerConfig = TcpConfig;

export const dialerKinds: readonly [DialerKind<TcpConfig>] = [tcp];

/** Hops that need no login of ours at an SSH server; that one is `JumpDialer`. */
export type HopConfig = HttpProxyConfig | Socks5Config | CommandConfig;

export const hopKinds: readonly [HopKind<HttpProxyConfig>, HopKind<Socks5Config>, HopKind<CommandConfig>] = [
  httpProxy,
  socks5,
  command,
];

export async function createHop(config: HopConfig, ports: HopPorts): Promise<Dialer> {
  switch (config.kind) {
    case "http":
      return await httpProxy.create(config, ports);
    case "socks5":
      return await socks5.create(config, ports);
    case "command":
      return await command.create(config, ports);
  }
}
