import type { Clock } from "#base";
import type { AcmePlan, CertificatePair, OrderedCertificates } from "#contract";
import { isCertifiable } from "./name.ts";
import type { Kept } from "./kept.ts";

/** How long a client's handshake waits for an order. */
const waitMs = 30_000;

/** Who has certificates and orders them: this process, or another one. */
export interface AcmeSource {
  /** The certificate that there is. Undefined: none, or it is over. */
  kept(name: string): Promise<Kept | undefined>;
  /** Orders it, unless that is under way. Undefined: it failed, or may not be ordered now. */
  order(name: string): Promise<Kept | undefined>;
  /** What is to be shown to the authority now, as proof. */
  proof(name: string): Promise<CertificatePair | undefined>;
}

/** Makes desks. */
export interface AcmeDesks {
  /**
   * For one configuration. `names` are ordered at once; `wants` says of every other name whether it is ours. Whoever made the desk
   * disposes it.
   */
  desk(plan: AcmePlan, names: readonly string[], wants: (name: string) => boolean): AcmeDesk;
}

/** Where another process orders: this one only looks which names are ours, and asks that one. */
export class AcmeElsewhere implements AcmeDesks {
  readonly #clock: Clock;
  readonly #source: AcmeSource;

  constructor(clock: Clock, source: AcmeSource) {
    this.#clock = clock;
    this.#source = source;
  }

  desk(plan: AcmePlan, names: readonly string[], wants: (name: string) => boolean): AcmeDesk {
    return new AcmeDesk({ plan, names, wants, clock: this.#clock, office: this.#source, closed: () => {} });
  }
}

export interface AcmeDeskOptions {
  readonly plan: AcmePlan;
  readonly names: readonly string[];
  wants(name: string): boolean;
  readonly clock: Clock;
  readonly office: AcmeSource;
  closed(): void;
}

/** Certificates by one configuration: it knows which names are ours. */
export class AcmeDesk implements OrderedCertificates, Disposable {
  readonly #options: AcmeDeskOptions;
  #open = true;

  constructor(options: AcmeDeskOptions) {
    this.#options = options;
  }

  get plan(): AcmePlan {
    return this.#options.plan;
  }

  get names(): readonly string[] {
    return this.#options.names;
  }

  wants(name: string): boolean {
    return isCertifiable(name) && (this.names.includes(name) || this.#options.wants(name));
  }

  async find(name: string | undefined, signal: AbortSignal): Promise<CertificatePair | undefined> {
    const plain = name?.toLowerCase() ?? this.names[0];
    if (plain === undefined || !this.wants(plain)) return undefined;
    const { office, clock } = this.#options;
    const kept = await office.kept(plain);
    if (kept === undefined) return (await this.#waited(office.order(plain), signal))?.pair;
    // While its successor is ordered, it does.
    if (kept.renewAtMs <= clock.now()) void office.order(plain);
    return kept.pair;
  }

  async proof(name: string): Promise<CertificatePair | undefined> {
    return await this.#options.office.proof(name.toLowerCase());
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    this.#options.closed();
  }

  /** The order goes on, also when nobody waits for it any more. */
  async #waited<T>(order: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
    const given = Promise.withResolvers<undefined>();
    const giveUp = (): void => given.resolve(undefined);
    signal.addEventListener("abort", giveUp, { once: true });
    using _limit = this.#options.clock.after(waitMs, giveUp);
    try {
      return await Promise.race([order, given.promise]);
    } finally {
      signal.removeEventListener("abort", giveUp);
    }
  }
}
