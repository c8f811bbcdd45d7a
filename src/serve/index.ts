/**
 * serve: sessions that end here instead of being piped. This door is the list of what exists.
 *
 * Law: is an end of the connection itself; knows no rule and no upstream.
 */
import { type DemoUpstream, type DemoUpstreamOptions, startDemoUpstream } from "./demo/index.ts";

export { type DemoUpstream, type DemoUpstreamOptions, startDemoUpstream } from "./demo/index.ts";
export { createDeviceServer, type DeviceServerPorts, setUpText } from "./device/index.ts";
export { createFiles } from "./files/index.ts";
export { createJump } from "./jump/index.ts";

export interface DemoKind {
  readonly kind: "demo";
  readonly summary: string;
  readonly start: (options: DemoUpstreamOptions) => Promise<DemoUpstream>;
}

export const demo: DemoKind = {
  kind: "demo",
  summary: "A toy shell on a loopback port of its own, to try a gateway with.",
  start: startDemoUpstream,
};

export const serveKinds: readonly [DemoKind] = [demo];
