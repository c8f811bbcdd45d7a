import type { MountPlan, Policy, SftpPlan } from "#contract";
import type * as z from "zod";
import type { WrittenMount } from "./sftp.ts";
import { noUpstream, type UpstreamConfig } from "./upstream.ts";

/** A mount, its adapters not yet made. */
export interface MountConfig extends Omit<MountPlan, "upstream"> {
  readonly upstream: UpstreamConfig;
}

/** The files of a rule, the adapters of its mounts not yet made. */
export interface SftpConfig extends Omit<SftpPlan, "mounts"> {
  readonly mounts?: readonly MountConfig[];
}

/** Kinds of credentials that need the client, which is not asked once it is in. */
const ofClients: ReadonlySet<string> = new Set(["client-password", "agent", "relay"]);

type Complain = (path: readonly (string | number)[], message: string) => void;

/** Mounts with what the rule's own upstream says in common; what is missing or cannot be is told. */
export function completeMounts(
  mounts: readonly WrittenMount[],
  common: UpstreamConfig | undefined,
  ctx: z.RefinementCtx,
): MountConfig[] {
  const found: MountConfig[] = [];
  for (const [number, mount] of mounts.entries()) {
    const at = ["sftp", "mounts", number];
    const complain: Complain = (path, message) =>
      ctx.addIssue({ code: "custom", path: [...at, ...path], message });
    const upstream = completeUpstream(mount.upstream, common, complain);
    if (upstream === undefined) continue;
    for (const [which, { kind }] of upstream.credentials.entries())
      if (ofClients.has(kind))
        complain(
          ["upstream", "credentials", which, "kind"],
          `${kind} needs the client, which is not asked any more when a mount is reached: list a credential of another kind`,
        );
    found.push({ ...mount, upstream });
  }
  return found;
}

function completeUpstream(
  own: Partial<UpstreamConfig>,
  common: UpstreamConfig | undefined,
  complain: Complain,
): UpstreamConfig | undefined {
  const placed = own.addresses !== undefined || own.target !== undefined;
  const { target, addresses = [], spread = "in-order" } = placed ? own : (common ?? own);
  const { credentials = common?.credentials, hostKey = common?.hostKey } = own;
  const { user = common?.user ?? noUpstream.user } = own;
  if (addresses.length === 0 && target === undefined)
    complain(["upstream"], "says no place: give host, or addresses, or target");
  if (credentials === undefined) complain(["upstream", "credentials"], "is missing, here or in upstream");
  if (hostKey === undefined) complain(["upstream", "hostKey"], "is missing, here or in upstream");
  if (credentials === undefined || hostKey === undefined) return undefined;
  return {
    ...(target === undefined ? {} : { target }),
    addresses,
    spread,
    user,
    credentials,
    hostKey,
    connectTimeoutMs: own.connectTimeoutMs ?? common?.connectTimeoutMs ?? noUpstream.connectTimeoutMs,
    dangerouslyAllowSha1: own.dangerouslyAllowSha1 ?? common?.dangerouslyAllowSha1 ?? false,
  };
}

/** What a policy allows that nobody can have where there is nothing but a tree of mounts. */
export function withoutEffect(policy: Policy): string[] {
  const { sftp, scp, pty, env, forcedCommand, setEnv = {}, ...rest } = policy;
  void [sftp, scp, pty, env];
  const named = Object.entries(rest).flatMap(([name, value]) => (value === false ? [] : [name]));
  if (forcedCommand !== undefined && forcedCommand !== "internal-sftp") named.push("forcedCommand");
  if (Object.keys(setEnv).length > 0) named.push("setEnv");
  return named;
}
