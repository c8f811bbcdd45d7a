import { formatHostPort, type HostPort, type Log, PosternError } from "#base";
import type { FileAppender, FileReader, UpstreamPlan } from "#contract";
import { Link } from "#link";
import { algorithmFits } from "#ssh/keys";
import type { Duplex } from "node:stream";
import { gatewayErrors } from "./errors.ts";
import { HostKeyCheck, isHostKeyMismatch } from "./host-key.ts";
import type { LinkSettings } from "./link-settings.ts";
import { upstreamVersion } from "./version-line.ts";

export type SecuredPlan = Pick<UpstreamPlan, "hostKey" | "dangerouslyAllowSha1">;

export interface SecuredPorts {
  readonly files: FileReader & FileAppender;
  readonly settings: LinkSettings;
  readonly log: Log;
}

/** What is known of the downstream leg, for the upstream leg to be like it. */
export interface DownstreamLeg {
  /** Preferred upstream: the same cipher on both legs keeps packets at their length. */
  readonly cipher: string;
  /** The client's version line. */
  readonly version: string;
}

/** Host keys of one host that are looked at, when only a fingerprint is known: one for each type there is. */
const maxKeyTypes = 5;

/**
 * A connection to one address whose host key is the right one. `dial` may be called several times, for each type of host key that
 * there is. Throws UPSTREAM_ errors, PEER_ and MISMATCH_ errors of the upstream's, and the OPERATOR_ errors of files.
 */
export async function secured(
  plan: SecuredPlan,
  address: HostPort,
  ports: SecuredPorts,
  signal: AbortSignal,
  choices: WayThere,
): Promise<Link> {
  const { clock, algorithms } = ports.settings;
  const check = await HostKeyCheck.open(plan.hostKey, address, {
    files: ports.files,
    log: ports.log,
    nowMs: () => clock.now(),
  });
  const accepted =
    plan.dangerouslyAllowSha1 === true ? [...algorithms.hostKeys, "ssh-rsa"] : algorithms.hostKeys;
  let hostKeys = check.order(accepted);
  let mismatch: unknown;
  for (let attempt = 0; attempt < maxKeyTypes; attempt++) {
    let shown = "";
    try {
      const checkHostKey = (algorithm: string, blob: Uint8Array): Promise<void> => {
        shown = algorithm;
        return check.check(blob);
      };
      return await handshake(ports.settings, signal, { ...choices, hostKeys, checkHostKey });
    } catch (error) {
      // A host that shows no further type of key has none that fits: what it showed first is what matters.
      if (mismatch !== undefined && !isHostKeyMismatch(error)) throw mismatch;
      if (!isHostKeyMismatch(error) || !check.mayTryOtherTypes) throw error;
      mismatch ??= error;
      hostKeys = hostKeys.filter((name) => name !== shown && !sameType(name, shown));
      if (hostKeys.length === 0) break;
    }
  }
  throw mismatch;
}

interface WayThere {
  readonly dial: () => Promise<Duplex>;
  readonly downstream?: DownstreamLeg;
  /** The kernel asks who is there (TCP keepalive). */
  readonly probed?: boolean;
}

interface HandshakeChoices extends WayThere {
  readonly hostKeys: readonly string[];
  readonly checkHostKey: (algorithm: string, blob: Uint8Array) => Promise<void>;
}

async function handshake(
  settings: LinkSettings,
  signal: AbortSignal,
  { hostKeys, checkHostKey, dial, downstream, probed = false }: HandshakeChoices,
): Promise<Link> {
  const stream = await dial();
  const { ciphers } = settings.algorithms;
  const cipher = downstream?.cipher ?? "";
  const link = new Link(stream, {
    role: "client",
    version: upstreamVersion(settings.name, downstream?.version ?? ""),
    algorithms: {
      ...settings.algorithms,
      hostKeys,
      ciphers: ciphers.includes(cipher) ? [cipher, ...ciphers.filter((name) => name !== cipher)] : ciphers,
    },
    extensions: new Map(),
    rekey: settings.rekey,
    random: settings.random,
    clock: settings.clock,
    handshakeMs: settings.handshakeMs,
    probed,
    checkHostKey,
  });
  const abort = (): void => link.destroy();
  signal.addEventListener("abort", abort, { once: true });
  try {
    if (signal.aborted) abort();
    await link.established;
    return link;
  } catch (error) {
    link.destroy();
    throw error;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** rsa-sha2-256, rsa-sha2-512 and ssh-rsa are shown by one key; all others by one each. */
function sameType(one: string, other: string): boolean {
  return algorithmFits("ssh-rsa", one) && algorithmFits("ssh-rsa", other);
}

/** On this leg the upstream is the peer: what the peer is to blame for is the upstream's fault. */
export function handshakeFault(error: unknown, address: HostPort): PosternError {
  if (error instanceof PosternError && error.blame !== "PEER" && error.blame !== "MISMATCH") return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new gatewayErrors.UPSTREAM_HANDSHAKE_FAILED(`${formatHostPort(address)}: ${reason}`, {
    cause: error,
  });
}
