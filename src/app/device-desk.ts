import { lstatSync } from "node:fs";
import { userInfo } from "node:os";
import { dirname } from "node:path";
import { systemClock } from "#base";
import type { Config } from "#config";
import type { DeviceOffice, DeviceStore, HeldTunnel } from "#contract";
import { openSqliteStore } from "#store";
import { Operator } from "#tunnel";
import { devicesFile, makeFile } from "./devices.ts";
import { appErrors } from "./errors.ts";
import { type Account, findAccount } from "./privileges.ts";
import { makeStateDir } from "./state-dir.ts";

/** What operators do about devices, on the database itself: whether the gateway runs or not. Throws OPERATOR_ errors. */
export class DeviceDesk implements AsyncDisposable {
  readonly office: DeviceOffice;
  readonly #store: DeviceStore;

  private constructor(store: DeviceStore, operator: string, held: readonly HeldTunnel[] | undefined) {
    this.#store = store;
    this.office = new Operator(store, systemClock, `operator:${operator}`, () => held);
  }

  /** Root becomes the database's owner until it is closed: what root made, the gateway could not write. */
  static async open(config: Config, held?: readonly HeldTunnel[]): Promise<DeviceDesk> {
    if (config.devices === undefined) throw new appErrors.OPERATOR_DEVICES_ABSENT(config.file);
    const path = devicesFile(config);
    const account = await findAccount(config.user, config.group);
    if (!isThere(path)) makeStateDir(dirname(path), account);
    const operator = operatorName();
    becomeOwner(path, account);
    makeFile(path);
    return new DeviceDesk(openSqliteStore({ path, clock: systemClock }), operator, held);
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
