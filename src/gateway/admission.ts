import { networkOf } from "#base";
import type { PeerAddress } from "#contract";
import type { GatewayLimits } from "./limits.ts";

export type AdmissionLimits = Pick<
  GatewayLimits,
  "startups" | "maxConnections" | "maxConnectionsPerSource" | "maxStartupsPerSource" | "sourceNetwork"
>;

/** A place that a connection holds. Disposing gives it back; twice is harmless. */
export interface Ticket extends Disposable {
  /** The client has logged in: it no longer counts as a startup. */
  authenticated(): void;
}

/** Why a connection is refused, by the name of the limit. */
export type Refusal = "maxConnections" | "maxConnectionsPerSource" | "startups" | "maxStartupsPerSource";

interface Source {
  connections: number;
  startups: number;
}

/** Counts who is in, and decides who may come in. */
export class Admission {
  #limits: AdmissionLimits;
  readonly #random: () => number;
  readonly #sources = new Map<string, Source>();
  #connections = 0;
  #startups = 0;

  /** `random` gives 0 ≤ x < 1. */
  constructor(limits: AdmissionLimits, random: () => number = Math.random) {
    this.#limits = limits;
    this.#random = random;
  }

  get connections(): number {
    return this.#connections;
  }

  /** Connections that have not logged in yet. */
  get startups(): number {
    return this.#startups;
  }

  /** From now on; those who are in stay. */
  setLimits(limits: AdmissionLimits): void {
    this.#limits = limits;
  }

  admit(from: PeerAddress): Ticket | Refusal {
    const { sourceNetwork, ...limits } = this.#limits;
    // Whoever may open a UNIX socket is local, and often one proxy for many.
    const name =
      from.ip === undefined ? undefined : networkOf(from.ip, sourceNetwork.ipv4Bits, sourceNetwork.ipv6Bits);
    const source = (name === undefined ? undefined : this.#sources.get(name)) ?? {
      connections: 0,
      startups: 0,
    };
    if (this.#connections >= limits.maxConnections) return "maxConnections";
    if (source.connections >= limits.maxConnectionsPerSource) return "maxConnectionsPerSource";
    if (source.startups >= limits.maxStartupsPerSource) return "maxStartupsPerSource";
    if (this.#dropsEarly()) return "startups";
    return this.#enter(name, source);
  }

  /** As sshd: none below `start`, `ratePercent` at `start`, rising evenly to all at `full`. */
  #dropsEarly(): boolean {
    const { start, ratePercent, full } = this.#limits.startups;
    if (this.#startups < start) return false;
    if (this.#startups >= full) return true;
    const percent = ratePercent + ((100 - ratePercent) * (this.#startups - start)) / (full - start);
    return this.#random() * 100 < percent;
  }

  #enter(name: string | undefined, source: Source): Ticket {
    this.#connections++;
    this.#startups++;
    if (name !== undefined) {
      source.connections++;
      source.startups++;
      this.#sources.set(name, source);
    }
    let starting = true;
    let inside = true;
    const authenticated = (): void => {
      if (!starting) return;
      starting = false;
      this.#startups--;
      source.startups--;
    };
    return {
      authenticated,
      [Symbol.dispose]: () => {
        if (!inside) return;
        inside = false;
        authenticated();
        this.#connections--;
        source.connections--;
        if (name !== undefined && source.connections === 0) this.#sources.delete(name);
      },
    };
  }
}
