import type { Duplex } from "node:stream";
import type { DeviceConnection, TunnelLease, TunnelNews, TunnelOrigin, Tunnels } from "#contract";

/** How to reach what another process holds. */
export type OpenElsewhere = (
  owner: number,
  key: string,
  origin: TunnelOrigin,
  signal: AbortSignal,
) => Promise<Duplex>;

/** Tunnels that other processes of this gateway hold: here they look as if they were held here. */
export class Elsewhere {
  readonly #tunnels: Pick<Tunnels, "hold">;
  readonly #open: OpenElsewhere;
  readonly #leases = new Map<number, Map<string, TunnelLease>>();

  constructor(tunnels: Pick<Tunnels, "hold">, open: OpenElsewhere) {
    this.#tunnels = tunnels;
    this.#open = open;
  }

  hear(owner: number, news: TunnelNews): void {
    const leases = this.#leases.get(owner) ?? new Map<string, TunnelLease>();
    this.#leases.set(owner, leases);
    const { key } = news;
    if (news.kind === "left") {
      leases.get(key)?.[Symbol.dispose]();
      leases.delete(key);
      return;
    }
    const { device, from, sinceMs, request, port } = news;
    const connection: DeviceConnection = {
      device,
      from,
      sinceMs,
      elsewhere: true,
      open: async (_, origin, signal) => await this.#open(owner, key, origin, signal),
      // The other process hears of what has taken its place, as we did.
      drop: () => {},
    };
    leases.set(key, this.#tunnels.hold(connection, request, port));
  }

  /** That process has died, and its tunnels with it. */
  gone(owner: number): void {
    for (const lease of this.#leases.get(owner)?.values() ?? []) lease[Symbol.dispose]();
    this.#leases.delete(owner);
  }
}
