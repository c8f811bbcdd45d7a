import type { Duplex } from "node:stream";
import { type Clock, type Log, randomId, type Timer } from "#base";
import type {
  Device,
  DeviceConnection,
  DeviceStore,
  TunnelLease,
  TunnelListing,
  TunnelNews,
  TunnelOrigin,
  TunnelRequest,
  Tunnels,
} from "#contract";
import { tunnelErrors } from "./errors.ts";

/** Milliseconds between two looks at the store. */
const restMs = 300;

/** Devices read at once: between pages others have their turn. */
const pageSize = 500;

/** What a name alone means. */
const sshPort = 22;

export interface RegistryOptions {
  readonly store: DeviceStore;
  readonly clock: Clock;
  readonly log: Log;
  /** Two live connections of one device that offer the same: the newest has it, or each in turn. */
  readonly sameKey: "newest" | "pool";
  /** Told of what is held here, for the other processes of this gateway. */
  readonly tell?: (news: TunnelNews) => void;
}

interface Held {
  readonly connection: DeviceConnection;
  readonly request: TunnelRequest;
  readonly port: number;
}

/** Who is there now, and what they offer. */
export class TunnelRegistry implements Tunnels, AsyncDisposable {
  readonly #options: RegistryOptions;
  /** By the device's id: names change while a tunnel is held. The newest last. */
  readonly #held = new Map<string, Held[]>();
  readonly #names = new Map<string, string>();
  /** What is held here, by the keys that others were told. */
  readonly #keys = new Map<string, Held>();
  /** All that are approved, by id and by name: as of the last look. */
  #known: ReadonlyMap<string, Device> = new Map();
  #knownNames: ReadonlyMap<string, Device> = new Map();
  readonly #watching: Disposable;
  #looking: Promise<void>;
  #resting: Timer | undefined;
  /** A look is to come that will see what is there now. */
  #due = false;
  #turn = 0;

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#watching = options.store.watch(() => this.#lookSoon());
    this.#looking = this.#look();
  }

  hold(connection: DeviceConnection, request: TunnelRequest, port: number): TunnelLease {
    const { device } = connection;
    const held = this.#held.get(device.id) ?? [];
    const others = held.filter((one) => one.port === port && one.connection !== connection);
    const mine: Held = { connection, request, port };
    const isNewest = this.#options.sameKey === "newest";
    // Processes hear of each other in no fixed order: between them, the connection that began last has it.
    if (isNewest && others.some((one) => isLater(one.connection, connection))) {
      connection.drop(anew);
      return { device: device.name, port, [Symbol.dispose]: () => {} };
    }
    const kept = held.filter((one) => !(one.port === port && one.connection === connection));
    this.#held.set(device.id, [...kept, mine]);
    this.#names.set(device.name, device.id);
    if (isNewest)
      for (const { connection: old } of others) {
        this.leave(old);
        old.drop(anew);
        if (connection.elsewhere === true) continue;
        // One machine that comes back from another place, or one key on two machines.
        this.#options.log[sameHost(old.from, connection.from) ? "info" : "warn"]("device-taken-over", {
          device: device.name,
          from: connection.from,
          before: old.from,
          heldSeconds: Math.round((connection.sinceMs - old.sinceMs) / 1000),
        });
      }
    const untell = this.#tell(mine);
    return {
      device: device.name,
      port,
      [Symbol.dispose]: () => {
        this.#release(device, mine);
        untell();
      },
    };
  }

  /** Opens what is held here under a key that others were told. Throws UPSTREAM_DEVICE_OFFLINE. */
  async openKey(key: string, origin: TunnelOrigin, signal: AbortSignal): Promise<Duplex> {
    const held = this.#keys.get(key);
    if (held === undefined) throw new tunnelErrors.UPSTREAM_DEVICE_OFFLINE("it has just left");
    return await held.connection.open(held.request, origin, signal);
  }

  leave(connection: DeviceConnection): void {
    const { id } = connection.device;
    this.#keep(
      id,
      (this.#held.get(id) ?? []).filter((one) => one.connection !== connection),
    );
  }

  find(name: string): Device | undefined {
    const id = this.#names.get(name.toLowerCase());
    if (id === undefined) return undefined;
    return this.#known.get(id) ?? this.#held.get(id)?.at(-1)?.connection.device;
  }

  known(name: string): Device | undefined {
    return this.find(name) ?? this.#knownNames.get(name.toLowerCase());
  }

  all(): ReturnType<Tunnels["all"]> {
    const devices = new Map(this.#known);
    for (const [id, held] of this.#held) {
      const device = held.at(-1)?.connection.device;
      if (device !== undefined && !devices.has(id)) devices.set(id, device);
    }
    return [...devices.values()]
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map((device) => ({ device, online: this.#held.has(device.id) }));
  }

  /** Whether that device holds any tunnel now. */
  isOnline(deviceId: string): boolean {
    return this.#held.has(deviceId);
  }

  async open(
    name: string,
    port: number | undefined,
    origin: TunnelOrigin,
    signal: AbortSignal,
  ): Promise<Duplex> {
    const held = this.#find(name, port);
    if (held === undefined) throw await this.#absent(name, port);
    return await held.connection.open(held.request, origin, signal);
  }

  list(): TunnelListing[] {
    const all = [...this.#held.values()].flat().map(
      ({ connection: { device, from, sinceMs }, port }): TunnelListing => ({
        device: device.id,
        name: device.name,
        port,
        from,
        sinceMs,
        tags: this.#known.get(device.id)?.tags ?? device.tags,
      }),
    );
    return all.sort((a, b) => (a.name === b.name ? a.port - b.port : a.name < b.name ? -1 : 1));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watching[Symbol.dispose]();
    this.#resting?.[Symbol.dispose]();
    await this.#looking;
  }

  /** Gives what takes it back. */
  #tell(held: Held): () => void {
    const { tell } = this.#options;
    const { connection, request, port } = held;
    if (tell === undefined || connection.elsewhere === true) return () => {};
    const key = randomId(16);
    const { device, from, sinceMs } = connection;
    this.#keys.set(key, held);
    tell({ kind: "held", key, device, from, sinceMs, request, port });
    return () => {
      if (this.#keys.delete(key)) tell({ kind: "left", key });
    };
  }

  #find(name: string, port: number | undefined): Held | undefined {
    const id = this.#names.get(name.toLowerCase());
    const held = id === undefined ? undefined : this.#held.get(id);
    if (held === undefined) return undefined;
    const ports = new Set(held.map((one) => one.port));
    // A socket by path stands for SSH's port, so a device that offers one thing is reached by its name alone.
    const wanted = port ?? (ports.size === 1 ? held[0]?.port : sshPort);
    const fitting = held.filter((one) => one.port === wanted);
    if (this.#options.sameKey === "pool") return fitting[this.#turn++ % Math.max(fitting.length, 1)];
    return fitting.at(-1);
  }

  #release(device: Device, mine: Held): void {
    this.#keep(
      device.id,
      (this.#held.get(device.id) ?? []).filter((one) => one !== mine),
    );
  }

  #keep(id: string, held: Held[]): void {
    if (held.length > 0) {
      this.#held.set(id, held);
      return;
    }
    this.#held.delete(id);
    for (const [name, of] of this.#names) if (of === id) this.#names.delete(name);
  }

  /** Why there is no such tunnel, in words for who asked. */
  async #absent(name: string, port: number | undefined): Promise<Error> {
    const offered = this.list().filter((one) => one.name === name.toLowerCase());
    const detail = port === undefined ? name : `${name}:${port}`;
    if (offered.length > 0) {
      const ports = offered.map((one) => one.port).join(", ");
      const user = `${name} is connected, but does not offer port ${port ?? sshPort} now: it offers ${ports}.`;
      return new tunnelErrors.UPSTREAM_DEVICE_OFFLINE(detail, { user });
    }
    const lastSeenMs = (await this.#options.store.byName(name.toLowerCase()))?.lastSeenMs;
    const last =
      lastSeenMs === undefined
        ? "it has never been"
        : `it was last seen at ${new Date(lastSeenMs).toISOString().slice(0, 19).replace("T", " ")} UTC`;
    return new tunnelErrors.UPSTREAM_DEVICE_OFFLINE(detail, {
      user: `${name} is not connected now; ${last}.`,
    });
  }

  /** At once, or a little after the last look: strangers who ask change the store as well. */
  #lookSoon(): void {
    if (this.#due) return;
    this.#due = true;
    const look = (): void => {
      this.#resting = this.#options.clock.after(restMs, () => {
        this.#resting = undefined;
        if (this.#due) look();
      });
      this.#looking = this.#looking.then(async () => {
        this.#due = false;
        await this.#look();
      });
    };
    if (this.#resting === undefined) look();
  }

  /** The authority may have changed its mind about somebody who is there. */
  async #look(): Promise<void> {
    try {
      await this.#read();
      await this.#cut();
    } catch (error) {
      this.#options.log.error("devices-not-read", { error });
    }
  }

  async #read(): Promise<void> {
    const known = new Map<string, Device>();
    let after: Device | undefined;
    do {
      const page = await this.#options.store.list({
        ...(after === undefined ? {} : { after }),
        limit: pageSize,
      });
      for (const device of page) if (device.state === "approved") known.set(device.id, device);
      after = page.at(-1);
    } while (after !== undefined);
    this.#known = known;
    this.#knownNames = new Map([...known.values()].map((device) => [device.name, device]));
  }

  async #cut(): Promise<void> {
    for (const [id, held] of this.#held) {
      for (const connection of new Set(held.map((one) => one.connection))) {
        // Its own process cuts it.
        if (connection.elsewhere === true) continue;
        // What came after it was read is not in it yet.
        if (whyCut(connection.device, this.#known.get(id)) === undefined) continue;
        const why = whyCut(connection.device, await this.#options.store.byId(id));
        if (why === undefined) continue;
        this.leave(connection);
        this.#options.log.info("device-cut", { device: connection.device.name, why });
        connection.drop(why);
      }
    }
  }
}

const anew = "the same device has connected anew";

/** Of two connections of one device that are not both held here: whether the first began after the second. */
function isLater(one: DeviceConnection, other: DeviceConnection): boolean {
  return (one.elsewhere ?? other.elsewhere) === true && one.sinceMs > other.sinceMs;
}

/** Of two addresses with ports. */
function sameHost(one: string, other: string): boolean {
  return one.replace(/:\d+$/, "") === other.replace(/:\d+$/, "");
}

/** Whatever it was let in with must still hold; a device that is cut comes back by itself and is judged anew. */
function whyCut(was: Device, now: Device | undefined): string | undefined {
  if (now === undefined || now.state !== "approved") return "the device's approval was withdrawn";
  if (now.name !== was.name) return `the device was renamed to ${now.name}`;
  if (was.ports.some((port) => !now.ports.includes(port))) return "the device may offer less than before";
  return undefined;
}
