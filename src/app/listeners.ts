import { type Cidr, formatEndpoint, type Log } from "#base";
import type { Arrival, EntryPorts, ListenPlan } from "#contract";
import { ssh, type SshEntryPoint } from "#entry";

/** A set of listeners that is bound, but not yet at work. */
export interface PreparedListeners extends AsyncDisposable {
  /** Puts the new set to work, and stops what is in it no more. */
  commit(): Promise<void>;
}

/** What is listened on now. */
export class Listeners implements AsyncDisposable {
  readonly #ports: EntryPorts;
  readonly #log: Log;
  readonly #accept: (arrival: Arrival) => void;
  #entries: ReadonlyMap<string, SshEntryPoint> = new Map();

  constructor(ports: EntryPorts, accept: (arrival: Arrival) => void) {
    this.#ports = ports;
    this.#log = ports.log;
    this.#accept = accept;
  }

  get addresses(): readonly string[] {
    return [...this.#entries.values()].flatMap((entry) => entry.addresses);
  }

  /** Binds what is new; what stays goes on undisturbed. Throws OPERATOR_ errors, and then nothing has changed. */
  async prepare(plans: readonly ListenPlan[]): Promise<PreparedListeners> {
    const next = new Map<string, SshEntryPoint>();
    const proxies = new Map<string, readonly Cidr[]>();
    await using fresh = new AsyncDisposableStack();
    for (const { endpoint: listen, proxyFrom } of plans) {
      const name = formatEndpoint(listen);
      proxies.set(name, proxyFrom);
      if (next.has(name)) continue;
      const kept = this.#entries.get(name);
      next.set(name, kept ?? fresh.use(await ssh.create({ kind: "ssh", listen }, this.#ports)));
    }
    const owned = fresh.move();
    return {
      commit: async () => {
        // From now on they are the set's own.
        owned.move();
        for (const [name, entry] of next) entry.setProxies(proxies.get(name) ?? []);
        await this.#commit(next);
      },
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  }

  async #commit(next: ReadonlyMap<string, SshEntryPoint>): Promise<void> {
    const before = this.#entries;
    this.#entries = next;
    for (const [name, entry] of next) {
      if (before.has(name)) continue;
      entry.start(this.#accept);
      for (const address of entry.addresses) {
        const port = /:([0-9]+)$/.exec(address)?.[1];
        this.#log.info("listening", { address, ...(port === undefined ? {} : { port: Number(port) }) });
      }
    }
    for (const [name, entry] of before) {
      if (next.has(name)) continue;
      await entry[Symbol.asyncDispose]();
      this.#log.info("listening-ended", { listen: name });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const entries = this.#entries;
    this.#entries = new Map();
    for (const entry of entries.values()) await entry[Symbol.asyncDispose]();
  }
}
