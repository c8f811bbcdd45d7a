import { type Clock, type Log, PosternError } from "#base";
import { type JumpHopConfig, sameConfig, type ViaConfig } from "#config";
import type { Dialer } from "#contract";
import { createCredential } from "#credential";
import { createHop, JumpDialer, tcp } from "#dialer";
import { enterHop, type LinkSettings, PinnedKeys } from "#gateway";
import { appErrors } from "./errors.ts";
import type { Files } from "./files.ts";

export interface WayPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly files: Files;
  /** For connections to jump hosts. */
  readonly settings: LinkSettings;
}

interface Way {
  readonly hops: readonly ViaConfig[];
  readonly dialer: Dialer;
}

/** The ways that lead to targets. What several have in common they share: one connection to a jump host is enough for all. */
export class Ways implements AsyncDisposable {
  readonly #ports: WayPorts;
  readonly #made = new AsyncDisposableStack();
  readonly #ways: Way[] = [];

  constructor(ports: WayPorts) {
    this.#ports = ports;
  }

  /** Of the target of that name. The dialer belongs to the ways. Throws OPERATOR_ errors. */
  async dialer(hops: readonly ViaConfig[], target: string): Promise<Dialer> {
    const known = this.#ways.find((way) => sameConfig(way.hops, hops));
    if (known !== undefined) return known.dialer;
    const last = hops.at(-1);
    let dialer: Dialer;
    if (last === undefined) dialer = await tcp.create({ kind: "tcp" }, this.#ports);
    else {
      const through = await this.dialer(hops.slice(0, -1), target);
      const ports = { ...this.#ports, through };
      try {
        dialer = last.kind === "ssh" ? await this.#jump(last, through) : await createHop(last, ports);
      } catch (error) {
        // The error knows what is wrong; only here is it known where.
        if (!(error instanceof PosternError)) throw error;
        throw new appErrors.OPERATOR_TARGET_UNUSABLE(`target ${target}, via: ${error.message}`, {
          cause: error,
        });
      }
    }
    this.#made.use(dialer);
    this.#ways.push({ hops, dialer });
    return dialer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#made.disposeAsync();
  }

  async #jump(hop: JumpHopConfig, through: Dialer): Promise<Dialer> {
    const { settings } = this.#ports;
    const credentials = [];
    for (const each of hop.credentials)
      credentials.push(this.#made.use(await createCredential(each, this.#ports)));
    // Parsed only to find mistakes now and not at the first connection.
    void new PinnedKeys(hop.hostKey);
    const plan = { ...hop, credentials };
    return new JumpDialer(hop, {
      ...this.#ports,
      through,
      connector: (reached, signal) => enterHop(plan, { ...this.#ports, settings }, reached, signal),
    });
  }
}
