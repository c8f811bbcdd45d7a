import type { Config } from "#config";
import type { Pools } from "#contract";
import { HealthChecks, type HealthTarget, PoolRegistry } from "#pool";
import { linkSettings } from "./link-settings.ts";
import { healthTarget, poolTargets } from "./target-reach.ts";
import { type WayPorts, Ways } from "./ways.ts";

/** Checks made, not yet at work. */
export interface PreparedWatch extends AsyncDisposable {
  commit(): void;
}

export type WatchPorts = Omit<WayPorts, "settings">;

type Shared = (owner: number, target: string, client: string | undefined, share: number) => void;

/**
 * The pools of all targets and the checks on their addresses: in the one process that listens, whatever the number of workers. So
 * every address is looked at once, limits hold for all workers together, and what an operator drains is drained everywhere.
 */
export class TargetWatch implements AsyncDisposable {
  readonly registry: PoolRegistry;
  readonly #ports: WatchPorts;
  /** What the checks in place have made, and themselves. */
  #checks: AsyncDisposable | undefined;
  /** Set by who has workers. */
  shared: Shared | undefined;

  constructor(config: Config, ports: WatchPorts) {
    this.#ports = ports;
    this.registry = new PoolRegistry(poolTargets(config), {
      clock: ports.clock,
      log: ports.log,
      shared: (...share) => this.shared?.(...share),
    });
  }

  /** For sessions in this process. */
  get pools(): Pools {
    const { registry } = this;
    return {
      ask: async (question) => registry.ask(question, 0),
      tell: (lease, connected) => registry.tell(lease, connected),
      release: (lease) => registry.release(lease),
      share: () => 1,
    };
  }

  /** Throws OPERATOR_ errors; what is in place stays until `commit`. */
  async prepare(config: Config): Promise<PreparedWatch> {
    await using made = new AsyncDisposableStack();
    const ways = made.use(new Ways({ ...this.#ports, settings: linkSettings(config, this.#ports.clock) }));
    const targets: HealthTarget[] = [];
    for (const target of config.targets) {
      if (target.check === undefined) continue;
      const health = healthTarget(target, await ways.dialer(target.via, target.name));
      if (health !== undefined) targets.push(health);
    }
    const owned = made.move();
    const { registry } = this;
    let committed = false;
    return {
      commit: () => {
        committed = true;
        const old = this.#checks;
        registry.setTargets(poolTargets(config));
        // The last that is taken out is the first that was put in: checks end before the ways they take.
        owned.use(new HealthChecks(targets, { registry, clock: this.#ports.clock, log: this.#ports.log }));
        this.#checks = owned;
        void old?.[Symbol.asyncDispose]();
      },
      [Symbol.asyncDispose]: async () => {
        if (!committed) await owned.disposeAsync();
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#checks?.[Symbol.asyncDispose]();
  }
}
