import type { Clock, Log } from "#base";
import type { Arrival, Auditor, JumpDesk, Principal, Route } from "#contract";
import { hostKeyNews } from "#pipe";
import type { PathLocks } from "#sftp";
import type { ConnClose, PacketConn } from "#ssh/transport";
import { plainKeys } from "./announced.ts";
import { gatewayErrors } from "./errors.ts";
import { MountDesk, type MountDeskOptions } from "./mount-desk.ts";
import type { Permissions } from "./permissions.ts";
import type { World } from "./world.ts";

export interface ServeHereOptions {
  readonly conn: PacketConn;
  readonly arrival: Pick<Arrival, "probed">;
  readonly world: World;
  readonly principal: Principal;
  readonly route: Route;
  readonly permissions: Permissions | undefined;
  /** What a client of a jump host may reach. */
  readonly passages: () => JumpDesk;
  readonly entry: MountDeskOptions["entry"];
  /** Told of a tree of mounts. */
  readonly mounted: (desk: Pick<MountDesk, "entered">) => void;
  readonly locks: PathLocks;
  readonly clock: Clock;
  readonly log: Log;
  readonly audit: Auditor | undefined;
}

/** A client whose connection ends at the gateway, by what its rule has in place of an upstream. Resolves with its end. */
export async function serveHere(options: ServeHereOptions): Promise<ConnClose> {
  const { conn, world, principal, route, passages, audit, log } = options;
  const { user, device } = principal;
  const served = {
    conn,
    user,
    ...(device === undefined ? {} : { device }),
    keepalive: world.keepalive,
    probed: options.arrival.probed === true,
    maxChannels: world.limits.maxChannels,
    hostKeys: hostKeyNews(plainKeys(world), conn),
    audit,
    log,
  };
  if (route.serve?.kind === "files") {
    await using desk = new MountDesk({ ...options, user });
    options.mounted(desk);
    return await world.servers.files.serve({ ...served, desk });
  }
  const server = route.serve?.kind === "devices" ? world.servers.devices : world.servers.jump;
  if (server === undefined) throw new gatewayErrors.BUG_SESSION("a rule for devices without devices");
  return await server.serve({ ...served, desk: passages() });
}
