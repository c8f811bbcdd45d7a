import type { Clock } from "#base";
import type {
  Device,
  DeviceGrant,
  DeviceLogReport,
  DeviceOffice,
  DeviceReport,
  DeviceStore,
  HeldTunnel,
  JoinToken,
  NewJoinToken,
  SeenDevice,
  TokenReport,
} from "#contract";
import { type Decision, Office } from "./office.ts";

/** The office for one operator, in the words that programs are told: one door for the command line and the HTTP API. */
export class Operator implements DeviceOffice {
  readonly #office: Office;
  readonly #decision: Decision;
  readonly #held: () => readonly HeldTunnel[] | undefined;

  /** `by`: who decides, for the log. `held`: what is held now, if anybody knows. */
  constructor(
    store: DeviceStore,
    clock: Clock,
    by: string,
    held: () => readonly HeldTunnel[] | undefined = () => undefined,
  ) {
    this.#held = held;
    this.#office = new Office(store, clock);
    this.#decision = { by };
  }

  async *list(after?: Pick<Device, "name" | "id">): AsyncGenerator<SeenDevice> {
    const held = byDevice(this.#held());
    for await (const device of this.#office.list(after)) yield seenOf(device, held);
  }

  async find(said: string): Promise<SeenDevice> {
    return seenOf(await this.#office.find(said), byDevice(this.#held()));
  }

  async approve(said: string, grant: DeviceGrant): Promise<DeviceReport> {
    return reportOf(await this.#office.approve(said, grant, this.#decision));
  }

  async deny(said: string): Promise<DeviceReport> {
    return reportOf(await this.#office.deny(said, this.#decision));
  }

  async rename(said: string, name: string): Promise<DeviceReport> {
    return reportOf(await this.#office.rename(said, name, this.#decision));
  }

  async grant(said: string, grant: Omit<DeviceGrant, "name">): Promise<DeviceReport> {
    return reportOf(await this.#office.grant(said, grant, this.#decision));
  }

  async revoke(said: string): Promise<DeviceReport> {
    return reportOf(await this.#office.revoke(said, this.#decision));
  }

  async remove(said: string): Promise<DeviceReport> {
    return reportOf(await this.#office.remove(said, this.#decision));
  }

  async log(said: string, limit: number): Promise<readonly DeviceLogReport[]> {
    const entries = await this.#office.log(said, limit);
    return entries.map(({ atMs, event, by, detail }) => ({
      at: iso(atMs),
      event,
      by,
      ...(detail === undefined ? {} : { detail }),
    }));
  }

  async makeToken(plan: NewJoinToken): Promise<TokenReport & { readonly token: string }> {
    const { token, record } = await this.#office.makeToken(plan);
    return { token, ...tokenReport(record) };
  }

  async tokens(): Promise<readonly TokenReport[]> {
    return (await this.#office.tokens()).map(tokenReport);
  }

  async removeToken(id: string): Promise<void> {
    await this.#office.removeToken(id);
  }
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

function reportOf({ createdAtMs, decidedAtMs, lastSeenMs, ...rest }: Device): DeviceReport {
  return {
    ...rest,
    createdAt: iso(createdAtMs),
    ...(decidedAtMs === undefined ? {} : { decidedAt: iso(decidedAtMs) }),
    ...(lastSeenMs === undefined ? {} : { lastSeenAt: iso(lastSeenMs) }),
  };
}

function byDevice(held: readonly HeldTunnel[] | undefined): ReadonlyMap<string, HeldTunnel[]> | undefined {
  return held === undefined ? undefined : Map.groupBy(held, ({ device }) => device);
}

function seenOf(device: Device, held: ReturnType<typeof byDevice>): SeenDevice {
  const own = held?.get(device.id) ?? [];
  return {
    ...reportOf(device),
    online: held === undefined ? null : own.length > 0,
    tunnels: own.map(({ port, from, sinceMs }) => ({ port, from, since: iso(sinceMs) })),
  };
}

function tokenReport({ hash, createdAtMs, expiresAtMs, ...rest }: JoinToken): TokenReport {
  void hash;
  return { ...rest, createdAt: iso(createdAtMs), expiresAt: iso(expiresAtMs) };
}
