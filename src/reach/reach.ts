import { formatHostPort, type HostPort, networkOf, PosternError } from "#base";
import type {
  Allowance,
  Asker,
  Dialer,
  PoolAnswer,
  PoolPlan,
  Pools,
  Reach,
  Reached,
  ReachOptions,
  ReachPlace,
} from "#contract";
import type { Duplex } from "node:stream";
import { reachErrors } from "./errors.ts";
import { ByteBucket, type Pacer } from "./pacer.ts";
import { encodeProxyHeader, type ProxyVersion } from "./proxy-header.ts";
import { Throttled } from "./throttled.ts";

/** How one target is reached. */
export interface ReachTarget {
  readonly name: string;
  readonly plan: PoolPlan;
  /** By the way that leads there. */
  readonly dialer: Dialer;
  readonly proxyProtocol?: ProxyVersion;
}

export interface TargetReachParts {
  /** What the dialers are owned by; disposed of at the end. */
  readonly ways: AsyncDisposable;
  readonly targets: readonly ReachTarget[];
  readonly pools: Pools;
  readonly pacer: Pacer;
  /** How many leading bits of an address make one client. */
  readonly clientNetwork: { readonly ipv4Bits: number; readonly ipv6Bits: number };
}

/** Clients whose buckets are kept at once; those that nobody uses are forgotten. */
export const maxClientBuckets = 16_384;

interface Buckets {
  readonly toTarget: ByteBucket;
  readonly fromTarget: ByteBucket;
  users: number;
}

export class TargetReach implements Reach {
  readonly #parts: TargetReachParts;
  readonly #targets: ReadonlyMap<string, ReachTarget>;
  readonly #buckets = new Map<string, Buckets>();

  constructor(parts: TargetReachParts) {
    this.#parts = parts;
    this.#targets = new Map(parts.targets.map((target) => [target.name, target]));
  }

  async reach(place: ReachPlace, asker: Asker, options: ReachOptions): Promise<Reached> {
    const { signal, log } = options;
    const target = this.#targets.get(place.target);
    if (target === undefined) throw new reachErrors.UPSTREAM_TARGET_DOWN(`${place.target}: it is gone`);
    const tried = (options.tried ?? []).map(formatHostPort);
    const failures: PosternError[] = [];
    for (;;) {
      const answer = await this.#ask(place, asker, target, tried);
      if (answer.kind !== "go") throw this.#refusal(answer, place, failures);
      const held = new Place(this.#parts.pools, answer.lease);
      try {
        signal.throwIfAborted();
        const address = place.addresses.find((each) => formatHostPort(each) === answer.address);
        if (address === undefined) throw new reachErrors.UPSTREAM_TARGET_DOWN(answer.address);
        const stream = await this.#connect(target, address, place, asker, signal);
        this.#parts.pools.tell(answer.lease, true);
        return this.#held(stream, address, target, asker, held);
      } catch (error) {
        const known = error instanceof PosternError && error.blame === "UPSTREAM" ? error : undefined;
        const again = known !== undefined && !signal.aborted;
        if (again) this.#parts.pools.tell(answer.lease, false);
        held[Symbol.dispose]();
        if (!again) throw error;
        log.warn("upstream-address-failed", {
          target: place.target,
          upstream: answer.address,
          error: known,
        });
        failures.push(known);
        tried.push(answer.address);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.ways[Symbol.asyncDispose]();
  }

  async #ask(
    { target, addresses }: ReachPlace,
    asker: Asker,
    { plan }: ReachTarget,
    tried: readonly string[],
  ): Promise<PoolAnswer> {
    const client = this.#clientOf(asker);
    const key = plan.sticky === "user" ? asker.user : this.#networkOf(asker);
    return await this.#parts.pools.ask({
      target,
      addresses: addresses.map(formatHostPort),
      tried: [...tried],
      ...(client === undefined ? {} : { client }),
      ...(key === undefined ? {} : { key }),
    });
  }

  /** Whom limits count by: a name that anybody may claim is nobody. */
  #clientOf(asker: Asker): string | undefined {
    return asker.proven === true && asker.user !== undefined ? `user ${asker.user}` : this.#networkOf(asker);
  }

  #networkOf({ from: { ip } }: Asker): string | undefined {
    const { ipv4Bits, ipv6Bits } = this.#parts.clientNetwork;
    return ip === undefined ? undefined : networkOf(ip, ipv4Bits, ipv6Bits);
  }

  async #connect(
    { dialer, proxyProtocol }: ReachTarget,
    address: HostPort,
    { connectTimeoutMs: timeoutMs }: ReachPlace,
    asker: Asker,
    signal: AbortSignal,
  ): Promise<Duplex> {
    const stream = await dialer.dial(address, { timeoutMs, signal });
    if (proxyProtocol !== undefined) await writeHeader(stream, encodeProxyHeader(proxyProtocol, asker));
    return stream;
  }

  #refusal(
    answer: Exclude<PoolAnswer, { kind: "go" }>,
    { target }: ReachPlace,
    failures: readonly PosternError[],
  ): Error {
    if (answer.kind === "full") {
      const detail = `${target}: ${answer.limit}`;
      return answer.limit.startsWith("perClient.")
        ? new reachErrors.DENIED_CLIENT_FULL(detail)
        : new reachErrors.DENIED_TARGET_FULL(detail);
    }
    const [only] = failures;
    if (only !== undefined && failures.length === 1) return only;
    const reasons = failures.length === 0 ? answer.reason : failures.map(({ message }) => message).join("; ");
    return new reachErrors.UPSTREAM_TARGET_DOWN(`${target}: ${reasons}`);
  }

  #held(stream: Duplex, address: HostPort, target: ReachTarget, asker: Asker, place: Place): Reached {
    const { limits } = target.plan;
    const client = limits.perClient === undefined ? undefined : this.#clientOf(asker);
    const all = this.#bucketsOf(target.name, undefined, limits);
    const own = client === undefined ? undefined : this.#bucketsOf(target.name, client, limits.perClient);
    const used = [all, own].filter((each) => each !== undefined);
    const probed = target.dialer.probing === true;
    if (used.length === 0)
      return { stream, address, probed, [Symbol.dispose]: () => place[Symbol.dispose]() };
    for (const each of used) each.users++;
    place.onRelease = () => {
      for (const each of used) each.users--;
    };
    const throttled = new Throttled(stream, {
      pacer: this.#parts.pacer,
      inbound: used.map(({ fromTarget }) => fromTarget),
      outbound: used.map(({ toTarget }) => toTarget),
    });
    return { stream: throttled, address, [Symbol.dispose]: () => place[Symbol.dispose]() };
  }

  #bucketsOf(
    target: string,
    client: string | undefined,
    allowance: Allowance | undefined,
  ): Buckets | undefined {
    const perSecond = allowance?.bytesPerSecond;
    if (perSecond === undefined) return undefined;
    const name = JSON.stringify([target, client]);
    let found = this.#buckets.get(name);
    if (found !== undefined) return found;
    if (this.#buckets.size >= maxClientBuckets) {
      for (const [other, { users }] of this.#buckets) if (users === 0) this.#buckets.delete(other);
    }
    const { pools, pacer } = this.#parts;
    const share = (): number => pools.share(target, client);
    const bucket = (): ByteBucket => new ByteBucket(perSecond, share, pacer.nowMs);
    found = { toTarget: bucket(), fromTarget: bucket(), users: 0 };
    this.#buckets.set(name, found);
    return found;
  }
}

/** A lease, given back once. */
class Place implements Disposable {
  readonly #pools: Pools;
  readonly #lease: number;
  #held = true;
  onRelease: () => void = () => {};

  constructor(pools: Pools, lease: number) {
    this.#pools = pools;
    this.#lease = lease;
  }

  [Symbol.dispose](): void {
    if (!this.#held) return;
    this.#held = false;
    this.onRelease();
    this.#pools.release(this.#lease);
  }
}

/** Before anything else; whoever takes a socket's handle over must find nothing waiting in it. */
async function writeHeader(stream: Duplex, header: Uint8Array): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    stream.write(header, (error) => {
      if (error === null || error === undefined) resolve();
      else {
        stream.destroy();
        reject(new reachErrors.UPSTREAM_TARGET_DOWN(`PROXY header: ${error.message}`, { cause: error }));
      }
    });
  });
}
