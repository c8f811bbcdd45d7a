import { formatHostPort, type HostPort } from "#base";
import { type Config, fixedAddresses, type TargetConfig } from "#config";
import type { Dialer, Pools, Tunnels } from "#contract";
import { createTunnelDialer } from "#dialer";
import type { HealthTarget, PoolTarget } from "#pool";
import { encodeProxyHeader, Pacer, TargetReach } from "#reach";
import type { Duplex } from "node:stream";
import { type WayPorts, Ways } from "./ways.ts";

export interface ReachPorts extends WayPorts {
  /** By which devices are reached. */
  readonly tunnels?: Tunnels | undefined;
}

/** How the targets of a configuration are reached. Throws OPERATOR_ errors. */
export async function createReach(config: Config, pools: Pools, ports: ReachPorts): Promise<TargetReach> {
  await using made = new AsyncDisposableStack();
  const ways = made.use(new Ways(ports));
  const targets = [];
  for (const target of config.targets) {
    const { name, pool: plan, proxyProtocol } = target;
    const { tunnels } = ports;
    const dialer =
      target.devices === true && tunnels !== undefined
        ? createTunnelDialer(tunnels)
        : await ways.dialer(target.via, name);
    targets.push({ name, plan, dialer, ...(proxyProtocol === undefined ? {} : { proxyProtocol }) });
  }
  made.move();
  return new TargetReach({
    ways,
    targets,
    pools,
    pacer: new Pacer(ports.clock),
    clientNetwork: config.limits.sourceNetwork,
  });
}

/** The targets as their pools see them. */
export function poolTargets(config: Config): PoolTarget[] {
  return config.targets.map(({ name, pool, addresses }) => ({
    name,
    plan: pool,
    addresses: fixedAddresses(addresses).map(formatHostPort),
  }));
}

/** A target's health check: it connects as sessions do, and says that it comes for nobody. */
export function healthTarget(
  { name, addresses, check, proxyProtocol }: TargetConfig,
  dialer: Dialer,
): HealthTarget | undefined {
  if (check === undefined) return undefined;
  const open = async (
    address: HostPort,
    options: { timeoutMs: number; signal: AbortSignal },
  ): Promise<Duplex> => {
    const stream = await dialer.dial(address, options);
    if (proxyProtocol !== undefined) stream.write(encodeProxyHeader(proxyProtocol, undefined));
    return stream;
  };
  return { name, addresses: fixedAddresses(addresses), check, open };
}
