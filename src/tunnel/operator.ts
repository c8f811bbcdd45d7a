import type { Clock } from "#base";
import type {
  Device,
  DeviceGrant,
  DeviceLogReport,
  DeviceOffice,
  DeviceReport,
  DeviceStore,
  JoinToken,
  NewJoinToken,
  TokenReport,
} from "#contract";
import { type Decision, Office } from "./office.ts";

/** The office for one operator, in the words that programs are told: one door for the command line and the HTTP API. */
export class Operator implements DeviceOffice {
  readonly #office: Office;
  readonly #decision: Decision;

  /** `by`: who decides, for the log. */
  constructor(store: DeviceStore, clock: Clock, by: string) {
    this.#office = new Office(store, clock);
    this.#decision = { by };
  }

  async *list(after?: Pick<Device, "name" | "id">): AsyncGenerator<DeviceReport> {
    for await (const device of this.#office.list(after)) yield reportOf(device);
  }

  async find(said: string): Promise<DeviceReport> {
    return reportOf(await this.#office.find(said));
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

function tokenReport({ hash, createdAtMs, expiresAtMs, ...rest }: JoinToken): TokenReport {
  void hash;
  return { ...rest, createdAt: iso(createdAtMs), expiresAt: iso(expiresAtMs) };
}
