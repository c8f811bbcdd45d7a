import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { type ApiConfig, ApiDesk, type ApiTurns } from "#admin";
import type { Clock, Log } from "#base";
import type { Config } from "#config";
import { openAuthority } from "#credential";
import type {
  CredentialPorts,
  DeviceAuthority,
  DeviceOffice,
  DeviceStore,
  ProgramDesk,
  TunnelNews,
} from "#contract";
import { openMemoryStore, openSqliteStore } from "#store";
import { Enrolment, Operator, type RegistryOptions, TunnelRegistry } from "#tunnel";
import { appErrors } from "./errors.ts";
import { type Account, handOver } from "./privileges.ts";

/** What stays over reloads: the store, and the tunnels that are held. */
export interface Devices extends AsyncDisposable {
  readonly store: DeviceStore;
  readonly tunnels: TunnelRegistry;
}

interface DevicesPorts {
  readonly clock: Clock;
  readonly log: Log;
}

/** Where a configuration keeps what is known of devices. */
export function devicesFile(config: Pick<Config, "devices" | "stateDir">): string {
  return config.devices?.database ?? join(config.stateDir, "devices.sqlite");
}

/** Undefined where the configuration has no devices. Throws OPERATOR_STORE_ errors. */
export function openDevices(
  config: Config,
  ports: DevicesPorts,
  { account, tell }: { readonly account?: Account | undefined; readonly tell?: (news: TunnelNews) => void },
): Devices | undefined {
  if (config.devices === undefined) return undefined;
  const file = devicesFile(config);
  makeFile(file);
  // SQLite gives the files beside it to the owner of this one.
  if (account !== undefined) handOver(file, account);
  const store = openSqliteStore({ path: file, clock: ports.clock });
  return devicesOf(config, store, { ...ports, ...(tell === undefined ? {} : { tell }) });
}

/**
 * Closed to everybody else. Only before SQLite opens it: closing a file takes all of the process's locks on it away (fcntl(2)), those
 * of SQLite as well. Throws OPERATOR_FILE_UNWRITABLE.
 */
export function makeFile(file: string): void {
  try {
    closeSync(openSync(file, "a", 0o600));
  } catch (cause) {
    throw new appErrors.OPERATOR_FILE_UNWRITABLE(`${file}: ${(cause as Error).message}`, { cause });
  }
}

/** For `postern check`: nothing is opened and nothing kept. */
export function pretendDevices(config: Config, ports: DevicesPorts): Devices | undefined {
  return config.devices === undefined ? undefined : devicesOf(config, openMemoryStore(), ports);
}

function devicesOf(
  { devices }: Config,
  store: DeviceStore,
  ports: DevicesPorts & Pick<RegistryOptions, "tell">,
): Devices {
  const sameKey = devices?.sameKey ?? "newest";
  const tunnels = new TunnelRegistry({ store, ...ports, sameKey });
  return {
    store,
    tunnels,
    [Symbol.asyncDispose]: async () => {
      await tunnels[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}

/** The authority, for programs: by HTTP. */
export function apiOf(
  { ports }: Config["devices"] & {},
  config: ApiConfig,
  { store, tunnels }: Devices,
  { clock, log, turns }: DevicesPorts & { readonly turns: ApiTurns },
): ProgramDesk {
  const office = (by: string): DeviceOffice => new Operator(store, clock, by, () => tunnels.list());
  return new ApiDesk(config, { clock, log, office, ports, turns });
}

/** The authority by the rules of one configuration. */
export async function authorityOf(
  { devices }: Config,
  { store }: Devices,
  { clock, log, files }: CredentialPorts,
): Promise<(DeviceAuthority & AsyncDisposable) | undefined> {
  if (devices === undefined) return undefined;
  const { pending, maxPending, pendingSeconds, ports, certificateTags: tags, certificates } = devices;
  const always = devices.certificateHolds === "always";
  const plan = {
    pending,
    maxPending,
    pendingMs: pendingSeconds * 1000,
    ports,
    certificate: { tags, ports, always },
    ...(certificates === undefined
      ? {}
      : {
          issue: {
            open: await openAuthority(certificates, { clock, log, files }),
            validSeconds: certificates.validSeconds,
          },
        }),
  };
  return new Enrolment({ store, plan, clock, log });
}
