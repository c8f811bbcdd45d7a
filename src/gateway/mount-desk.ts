import type { Clock, Log } from "#base";
import type { Auditor, FilesChannel, FilesDesk, FilesEnd, MountRecord, Route } from "#contract";
import { fileRulesFor, type Mount, MountedSftp, type PathLocks, type Usage } from "#sftp";
import { bytesOf } from "#ssh/sftp";
import { gatewayErrors } from "./errors.ts";
import { LoginAudit } from "./login-audit.ts";
import { MountHost } from "./mount-hosts.ts";
import type { Permissions } from "./permissions.ts";
import { UpstreamEntry, type UpstreamEntryOptions } from "./upstream-entry.ts";
import { upstreamVersion } from "./version-line.ts";
import type { World } from "./world.ts";

export interface MountDeskOptions {
  readonly route: Route;
  readonly user: string;
  readonly permissions: Permissions | undefined;
  /** How hosts are entered. */
  readonly entry: Pick<UpstreamEntryOptions, "ports" | "downstream" | "sessionId">;
  readonly world: Pick<World, "keepalive" | "limits">;
  readonly locks: PathLocks;
  readonly clock: Clock;
  readonly log: Log;
  readonly audit: Auditor | undefined;
}

const onlySftp = "Only SFTP is allowed here: use sftp, or scp without -O.";

/** One client's tree of mounts, and the hosts behind it. */
export class MountDesk implements FilesDesk, AsyncDisposable {
  readonly #options: MountDeskOptions;
  readonly #hosts: readonly MountHost[];
  readonly #mounts: readonly Mount[];
  readonly #usage: Usage = { bytes: 0 };
  readonly #over = new AbortController();

  /** Throws DENIED_SFTP_ROOT. */
  constructor(options: MountDeskOptions) {
    this.#options = options;
    const { entry, world, clock, audit, user, log } = options;
    const { mounts = [] } = options.route;
    const answerMs = world.limits.upstreamLoginSeconds * 1000;
    const { signal } = this.#over;
    const entryOptions = { ...entry, answerMs, clock, audit: new LoginAudit(audit), signal };
    const ourVersion = upstreamVersion(entry.ports.settings.name, entry.downstream.version);
    const common = { user, ourVersion, entry: () => new UpstreamEntry(entryOptions), answerMs, clock, log };
    this.#hosts = mounts.map(({ route }) => new MountHost({ ...common, route, keepalive: world.keepalive }));
    this.#mounts = mounts.map(({ at, plan, route }, number) => ({
      at: bytesOf(at),
      rules: fileRulesFor(plan, route.captures),
      connect: async (end) => {
        const host = this.#hosts[number];
        if (host === undefined) throw new Error("a mount without a host");
        return await host.open(end);
      },
    }));
  }

  /** Those whose host is connected. */
  get entered(): readonly MountRecord[] {
    const { mounts = [] } = this.#options.route;
    return mounts.flatMap(({ at }, number) => {
      const upstream = this.#hosts[number]?.upstream;
      return upstream === undefined ? [] : [{ at, upstream }];
    });
  }

  refusal(asked: "shell" | "exec" | "sftp" | "subsystem"): string | undefined {
    const { permissions } = this.#options;
    if (asked !== "sftp") return onlySftp;
    const forced = permissions?.forcedCommand;
    if (forced !== undefined && forced !== "internal-sftp")
      return "Your login runs one command alone, and there are no commands here.";
    return permissions?.refusal({ kind: "subsystem", name: "sftp" });
  }

  open(channel: FilesChannel): FilesEnd {
    const { route, audit, locks, clock, log } = this.#options;
    if (route.sftp === undefined) throw new Error("a tree of mounts without files");
    return new MountedSftp({
      mounts: this.#mounts,
      rules: fileRulesFor(route.sftp, route.captures),
      audit,
      channel: channel.number,
      usage: this.#usage,
      locks,
      clock,
      toClient: (bytes) => channel.toClient(bytes),
      queuedBytes: () => channel.queuedBytes(),
      lost: (text, error, mount) => {
        log.warn("mount-lost", { mount, error });
        channel.tell(text);
      },
      progressed: () => channel.progressed(),
      failed: (error) => {
        audit?.({
          event: "sftp-broken",
          channel: channel.number,
          by: "client",
          reason: `${error.code}: ${error.message}`,
        });
        channel.failed(error);
      },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort(new gatewayErrors.UPSTREAM_LOST("the session is over"));
    for (const host of this.#hosts) await host[Symbol.asyncDispose]();
  }
}
