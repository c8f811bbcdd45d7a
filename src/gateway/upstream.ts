import { formatHostPort, type HostPort, type Log, PosternError } from "#base";
import type { Asker, Dialer, FileAppender, FileReader, Reach, Route } from "#contract";
import type { Duplex } from "node:stream";
import { Link } from "#link";
import { algorithmFits } from "#ssh/keys";
import { gatewayErrors } from "./errors.ts";
import { HostKeyCheck, isHostKeyMismatch } from "./host-key.ts";
import type { LinkSettings } from "./link-settings.ts";
import { upstreamVersion } from "./version-line.ts";

export interface UpstreamPorts {
  readonly dialer: Dialer;
  /** For routes that lead to a target. */
  readonly reach: TargetReach;
  readonly files: FileReader & FileAppender;
  readonly settings: LinkSettings;
  readonly log: Log;
}

/** How a target is reached, for one client. */
export interface TargetReach {
  readonly reach: Reach;
  asker(): Asker;
  /** Holds a place in the target's pool as long as the session lasts. */
  hold(place: Disposable): void;
}

/** What is known of the downstream leg, for the upstream leg to be like it. */
export interface DownstreamLeg {
  /** Preferred upstream: the same cipher on both legs keeps packets at their length. */
  readonly cipher: string;
  /** The client's version line. */
  readonly version: string;
}

/** A connection to an upstream, its host key checked, nobody logged in yet. */
export interface UpstreamConnection {
  readonly link: Link;
  readonly address: HostPort;
}

/** Host keys of one host that are looked at, when only a fingerprint is known: one for each type there is. */
const maxKeyTypes = 5;

/**
 * Connects to the first address of a route that can be reached and shows the right host key.
 *
 * Throws UPSTREAM_… errors, and the OPERATOR_ errors of files. A wrong host key ends the search: it is not to be passed over for
 * an address that would do.
 */
export async function connectUpstream(
  route: Route,
  ports: UpstreamPorts,
  signal: AbortSignal,
  downstream: DownstreamLeg,
): Promise<UpstreamConnection> {
  const failures: PosternError[] = [];
  for (const address of route.addresses) {
    try {
      const link = await connectOne(route, address, ports, signal, downstream);
      ports.log.info("upstream-connected", { upstream: formatHostPort(address), version: link.peerVersion });
      return { link, address };
    } catch (error) {
      const known = handshakeFault(error, address);
      if (signal.aborted || !mayTryNext(known)) throw known;
      ports.log.warn("upstream-address-failed", { upstream: formatHostPort(address), error: known });
      failures.push(known);
    }
  }
  const [only] = failures;
  if (only !== undefined && failures.length === 1) throw only;
  throw new gatewayErrors.UPSTREAM_ADDRESSES_FAILED(failures.map((failure) => failure.message).join("; "), {
    cause: new AggregateError(failures),
  });
}

async function connectOne(
  route: Route,
  address: HostPort,
  ports: UpstreamPorts,
  signal: AbortSignal,
  downstream: DownstreamLeg,
): Promise<Link> {
  const { plan } = route;
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
      return await handshake(route, address, ports, signal, { hostKeys, checkHostKey, downstream });
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

interface HandshakeChoices {
  readonly hostKeys: readonly string[];
  readonly checkHostKey: (algorithm: string, blob: Uint8Array) => Promise<void>;
  readonly downstream: DownstreamLeg;
}

async function handshake(
  route: Route,
  address: HostPort,
  ports: UpstreamPorts,
  signal: AbortSignal,
  { hostKeys, checkHostKey, downstream }: HandshakeChoices,
): Promise<Link> {
  const { settings } = ports;
  const stream = await streamTo(route, address, ports, signal);
  const { ciphers } = settings.algorithms;
  const { cipher } = downstream;
  const link = new Link(stream, {
    role: "client",
    version: upstreamVersion(settings.name, downstream.version),
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

async function streamTo(
  { plan, target }: Route,
  address: HostPort,
  { dialer, reach, log }: UpstreamPorts,
  signal: AbortSignal,
): Promise<Duplex> {
  const { connectTimeoutMs } = plan;
  if (target === undefined) return await dialer.dial(address, { timeoutMs: connectTimeoutMs, signal });
  const place = { target, addresses: [address], connectTimeoutMs };
  const reached = await reach.reach.reach(place, reach.asker(), { signal, log });
  reach.hold(reached);
  return reached.stream;
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

/** Another address may do where this one could not be reached or not be spoken with. */
function mayTryNext(error: PosternError): boolean {
  return error.blame === "UPSTREAM" && !error.code.startsWith("UPSTREAM_HOST_KEY_");
}
