import { formatHostPort, type HostPort, PosternError } from "#base";
import type { Asker, Dialer, Reach, Reached, Route } from "#contract";
import type { Link } from "#link";
import type { Duplex } from "node:stream";
import { gatewayErrors } from "./errors.ts";
import { type DownstreamLeg, handshakeFault, secured, type SecuredPorts } from "./secured.ts";

export type { DownstreamLeg } from "./secured.ts";

export interface UpstreamPorts extends SecuredPorts {
  readonly dialer: Dialer;
  /** For routes that lead to a target. */
  readonly reach: TargetReach;
}

/** How a target is reached, for one client. */
export interface TargetReach {
  readonly reach: Reach;
  asker(): Asker;
}

/** A connection to an upstream, its host key checked, nobody logged in yet. */
export interface UpstreamConnection {
  readonly link: Link;
  readonly address: HostPort;
}

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
  const { plan, addresses, target } = route;
  const failures: PosternError[] = [];
  const attempts = target === undefined ? straight(route, ports, signal) : pooled(route, ports, signal);
  for await (const attempt of attempts) {
    const { address, dial } = attempt;
    try {
      const link = await secured(plan, address, ports, signal, { dial, downstream, probed: attempt.probed });
      attempt.connected(link);
      ports.log.info("upstream-connected", { upstream: formatHostPort(address), version: link.peerVersion });
      return { link, address };
    } catch (error) {
      attempt.failed();
      const known = handshakeFault(error, address);
      if (signal.aborted || !mayTryNext(known)) throw known;
      ports.log.warn("upstream-address-failed", { upstream: formatHostPort(address), error: known });
      failures.push(known);
      if (failures.length >= addresses.length) break;
    }
  }
  const [only] = failures;
  if (only !== undefined && failures.length === 1) throw only;
  throw new gatewayErrors.UPSTREAM_ADDRESSES_FAILED(failures.map((failure) => failure.message).join("; "), {
    cause: new AggregateError(failures),
  });
}

interface Attempt {
  readonly address: HostPort;
  readonly dial: () => Promise<Duplex>;
  readonly probed: boolean;
  readonly connected: (link: Link) => void;
  readonly failed: () => void;
}

/** The addresses of the rule itself, in their order. */
async function* straight(
  { plan, addresses }: Route,
  { dialer }: UpstreamPorts,
  signal: AbortSignal,
): AsyncGenerator<Attempt> {
  const nothing = (): void => {};
  for (const address of addresses) {
    const dial = (): Promise<Duplex> => dialer.dial(address, { timeoutMs: plan.connectTimeoutMs, signal });
    yield { address, dial, probed: dialer.probing === true, connected: nothing, failed: nothing };
  }
}

/** Those of a target, as its pool gives them; each holds its place until the connection ends. */
async function* pooled(
  { plan, addresses, target = "", captures }: Route,
  { reach, log }: UpstreamPorts,
  signal: AbortSignal,
): AsyncGenerator<Attempt> {
  const { connectTimeoutMs } = plan;
  const tried: HostPort[] = [];
  const { user } = captures;
  const go = (others: readonly HostPort[]): Promise<Reached> =>
    reach.reach.reach(
      { target, addresses, connectTimeoutMs },
      { ...(user === undefined ? {} : { user }), ...reach.asker() },
      { signal, log, tried: others },
    );
  for (;;) {
    let held: Reached = await go(tried);
    let used = false;
    const { address } = held;
    yield {
      address,
      probed: held.probed === true,
      dial: async () => {
        // The first is there already; after it the same address again, by a place of its own.
        if (used) {
          held[Symbol.dispose]();
          held = await go(addresses.filter((each) => formatHostPort(each) !== formatHostPort(address)));
        }
        used = true;
        return held.stream;
      },
      connected: (link) => link.whenClosed(() => held[Symbol.dispose]()),
      failed: () => {
        if (!used) held.stream.destroy();
        held[Symbol.dispose]();
      },
    };
    tried.push(address);
  }
}

/** Another address may do where this one could not be reached or not be spoken with. */
function mayTryNext(error: PosternError): boolean {
  return error.blame === "UPSTREAM" && !error.code.startsWith("UPSTREAM_HOST_KEY_");
}
