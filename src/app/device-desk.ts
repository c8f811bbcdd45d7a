import { lstatSync } from "node:fs";
import { userInfo } from "node:os";
import { dirname } from "node:path";
import { systemClock } from "#base";
import type { Config } from "#config";
import type { Device, DeviceLogEntry, DeviceStore, JoinToken } from "#contract";
import { openSqliteStore } from "#store";
import { type Grant, type NewToken, Office } from "#tunnel";
import { devicesFile, makeFile } from "./devices.ts";
import { appErrors } from "./errors.ts";
import { type Account, findAccount } from "./privileges.ts";
import { makeStateDir } from "./state-dir.ts";

/** A device, as programs are told of it. Times are ISO 8601. */
export interface DeviceReport
  extends Pick<
    Device,
    | "id"
    | "name"
    | "state"
    | "code"
    | "fingerprint"
    | "key"
    | "tags"
    | "ports"
    | "web"
    | "cameBy"
    | "decidedBy"
    | "lastFrom"
  > {
  readonly createdAt: string;
  readonly decidedAt?: string;
  readonly lastSeenAt?: string;
}

/** A join token, without what it is shown by. */
export interface TokenReport extends Pick<JoinToken, "id" | "usesLeft" | "tags" | "ports" | "web" | "names"> {
  readonly createdAt: string;
  readonly expiresAt: string;
}

export interface DeviceLogReport extends Pick<DeviceLogEntry, "event" | "by" | "detail"> {
  readonly at: string;
}

/** What operators do about devices, on the database itself: whether the gateway runs or not. Throws OPERATOR_ errors. */
export class DeviceDesk implements AsyncDisposable {
  readonly #store: DeviceStore;
  readonly #office: Office;
  readonly #decision: { readonly by: string };

  private constructor(store: DeviceStore, operator: string) {
    this.#store = store;
    this.#decision = { by: `operator:${operator}` };
    this.#office = new Office(store, systemClock);
  }

  /** Root becomes the database's owner until it is closed: what root made, the gateway could not write. */
  static async open(config: Config): Promise<DeviceDesk> {
    if (config.devices === undefined) throw new appErrors.OPERATOR_DEVICES_ABSENT(config.file);
    const path = devicesFile(config);
    const account = await findAccount(config.user, config.group);
    if (!isThere(path)) makeStateDir(dirname(path), account);
    const operator = operatorName();
    becomeOwner(path, account);
    makeFile(path);
    return new DeviceDesk(openSqliteStore({ path, clock: systemClock }), operator);
  }

  async list(): Promise<readonly DeviceReport[]> {
    const all: DeviceReport[] = [];
    for await (const device of this.#office.list()) all.push(reportOf(device));
    return all;
  }

  async find(said: string): Promise<DeviceReport> {
    return reportOf(await this.#office.find(said));
  }

  async approve(said: string, grant: Grant): Promise<DeviceReport> {
    return reportOf(await this.#office.approve(said, grant, this.#decision));
  }

  async deny(said: string): Promise<DeviceReport> {
    return reportOf(await this.#office.deny(said, this.#decision));
  }

  async rename(said: string, name: string): Promise<DeviceReport> {
    return reportOf(await this.#office.rename(said, name, this.#decision));
  }

  async grant(said: string, grant: Omit<Grant, "name">): Promise<DeviceReport> {
    return reportOf(await this.#office.grant(said, grant, this.#decision));
  }

  async revoke(said: string): Promise<DeviceReport> {
    return reportOf(await this.#office.revoke(said, this.#decision));
  }

  async remove(said: string): Promise<DeviceReport> {
    return reportOf(await this.#office.remove(said, this.#decision));
  }

  /** The newest first. */
  async log(said: string, limit: number): Promise<readonly DeviceLogReport[]> {
    const entries = await this.#office.log(said, limit);
    return entries.map(({ atMs, event, by, detail }) => ({
      at: iso(atMs),
      event,
      by,
      ...(detail === undefined ? {} : { detail }),
    }));
  }

  async makeToken(plan: NewToken): Promise<TokenReport & { readonly token: string }> {
    const { token, record } = await this.#office.makeToken(plan);
    return { token, ...tokenReport(record) };
  }

  async tokens(): Promise<readonly TokenReport[]> {
    return (await this.#office.tokens()).map(tokenReport);
  }

  async removeToken(id: string): Promise<void> {
    await this.#office.removeToken(id);
  }

  /** The copy is the operator's own: it is written with the rights that the command was started with. */
  async backup(path: string): Promise<void> {
    becomeCaller();
    await this.#store.backup(path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store[Symbol.asyncDispose]();
    becomeCaller();
  }
}

/** Throws OPERATOR_FILE_UNREADABLE for who may not even look. */
function isThere(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch (cause) {
    const why = `${path}: ${(cause as Error).message}; use the gateway's account, or root`;
    throw new appErrors.OPERATOR_FILE_UNREADABLE(why, { cause });
  }
}

/** Only root can, and only for as long as it likes: its real user id stays. */
function becomeOwner(path: string, account: Account | undefined): void {
  if (process.getuid?.() !== 0) return;
  // Looked at without opening: a file that is opened beside SQLite loses SQLite's locks when it is closed.
  const found = lstatSync(path, { throwIfNoEntry: false }) ?? lstatSync(dirname(path));
  const owner = account ?? { uid: found.uid, gid: found.gid };
  process.umask(0o077);
  process.setegid?.(owner.gid);
  process.seteuid?.(owner.uid);
}

function becomeCaller(): void {
  const { getuid, getgid } = process;
  if (getuid?.() !== 0) return;
  process.seteuid?.(0);
  process.setegid?.(getgid?.() ?? 0);
}

/** The person, also behind sudo. For the log alone: it proves nothing. */
function operatorName(): string {
  const behind = process.env["SUDO_USER"];
  if (behind !== undefined && behind !== "") return behind;
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? "unknown"}`;
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
