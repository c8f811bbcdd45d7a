import { join } from "node:path";
import { type Clock, type Log, PosternError, retryDelayMs } from "#base";
import type { AcmePlan, CertificatePair, FileReader, FileUpdater } from "#contract";
import { type Authority, NetworkAuthority } from "./authority.ts";
import { AcmeDesk, type AcmeDesks, type AcmeSource } from "./desk.ts";
import { type Kept, keptOf, pairOf, textOf } from "./kept.ts";

/** Orders that wait for those before them; more are not taken. */
export const maxWaitingOrders = 50;

const maxPemBytes = 256 * 1024;

/** After a failure: a minute first, half a day at most. */
const backoff = { firstMs: 60_000, maxMs: 12 * 3_600_000 } as const;

/** Between two looks at what is to be renewed. */
const lookMs = 10 * 60_000;

const hourMs = 3_600_000;

export interface AcmeOfficePorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly files: FileReader & FileUpdater;
  readonly stateDir: string;
  /** Absent: those on the network. */
  readonly authority?: (plan: AcmePlan, folder: string) => Authority;
  /** Gives 0 ≤ x < 1. */
  readonly random?: () => number;
}

/** How the certificate of a name is. */
export interface CertificateState {
  readonly name: string;
  /** Absent: there is none. */
  readonly until?: string;
  readonly ordering: boolean;
  /** Why the last order failed, and when the next will be tried. */
  readonly failed?: { readonly reason: string; readonly nextTry: string };
}

interface Failure {
  readonly times: number;
  readonly nextMs: number;
  readonly reason: string;
}

/** All orders of the process, and what came of them: it outlives a configuration, so that none is made twice. */
export class AcmeOffice implements AcmeDesks, AcmeSource {
  readonly #ports: AcmeOfficePorts;
  readonly #random: () => number;
  /** The latest is the one that counts. */
  readonly #desks: AcmeDesk[] = [];
  #authority: { readonly plan: AcmePlan; readonly folder: string; readonly is: Authority } | undefined;
  #kept = new Map<string, Kept>();
  readonly #under = new Map<string, Promise<Kept | undefined>>();
  #failed = new Map<string, Failure>();
  /** Of the authority as a whole. */
  #away: Failure | undefined;
  readonly #proofs = new Map<string, CertificatePair>();
  #orderedAtMs: number[] = [];
  #turn: Promise<unknown> = Promise.resolve();
  #begun = false;
  #toldMs = Number.NEGATIVE_INFINITY;

  constructor(ports: AcmeOfficePorts) {
    this.#ports = ports;
    this.#random = ports.random ?? Math.random;
  }

  desk(plan: AcmePlan, names: readonly string[], wants: (name: string) => boolean): AcmeDesk {
    const desk = new AcmeDesk({
      plan,
      names,
      wants,
      clock: this.#ports.clock,
      office: this,
      closed: () => void this.#desks.splice(this.#desks.indexOf(desk), 1),
    });
    this.#desks.push(desk);
    if (this.#begun) this.#ports.clock.after(0, () => void this.#look());
    return desk;
  }

  /** From now on orders are made: who writes the files is who will read them. */
  begin(): void {
    if (this.#begun) return;
    this.#begun = true;
    const look = (): void => {
      void this.#look();
      this.#ports.clock.after(lookMs * (0.75 + 0.5 * this.#random()), look);
    };
    look();
  }

  async kept(name: string): Promise<Kept | undefined> {
    const { files, clock, log } = this.#ports;
    let kept = this.#kept.get(name);
    if (kept === undefined) {
      const path = this.#path(name);
      if (path === undefined) return undefined;
      try {
        const read = await files.read(path, maxPemBytes);
        if (read === undefined) return undefined;
        kept = keptOf(name, pairOf(Buffer.from(read.bytes).toString("latin1")), this.#random());
        this.#kept.set(name, kept);
      } catch (error) {
        log.warn("acme-file-unusable", { name, file: path, error });
        return undefined;
      }
    }
    return kept.untilMs > clock.now() ? kept : undefined;
  }

  async order(name: string): Promise<Kept | undefined> {
    const under = this.#under.get(name);
    if (under !== undefined) return await under;
    const why = this.#whyNot(name);
    if (why !== undefined) {
      this.#tell(name, why);
      return undefined;
    }
    this.#orderedAtMs.push(this.#ports.clock.now());
    const mine = this.#turn.then(() => this.#order(name));
    this.#turn = mine;
    this.#under.set(name, mine);
    try {
      return await mine;
    } finally {
      this.#under.delete(name);
    }
  }

  proof(name: string): Promise<CertificatePair | undefined> {
    return Promise.resolve(this.#proofs.get(name));
  }

  get states(): CertificateState[] {
    const names = new Set([...this.#kept.keys(), ...this.#under.keys(), ...this.#failed.keys()]);
    return [...names].sort().map((name) => {
      const kept = this.#kept.get(name);
      const failed = this.#failed.get(name) ?? (kept === undefined ? this.#away : undefined);
      return {
        name,
        ...(kept === undefined ? {} : { until: new Date(kept.untilMs).toISOString() }),
        ordering: this.#under.has(name),
        ...(failed === undefined
          ? {}
          : { failed: { reason: failed.reason, nextTry: new Date(failed.nextMs).toISOString() } }),
      };
    });
  }

  async #look(): Promise<void> {
    const desk = this.#desks.at(-1);
    if (desk === undefined) return;
    const nowMs = this.#ports.clock.now();
    for (const name of new Set([...desk.names, ...this.#kept.keys()])) {
      if (!desk.wants(name)) continue;
      const kept = await this.kept(name);
      // One after the other: none of them is in a hurry, and somebody who waits for a first one is.
      if (kept === undefined || kept.renewAtMs <= nowMs) await this.order(name);
    }
  }

  #whyNot(name: string): string | undefined {
    const { clock } = this.#ports;
    const plan = this.#desks.at(-1)?.plan;
    if (plan === undefined) return "there is no authority any more";
    const nowMs = clock.now();
    if ((this.#failed.get(name)?.nextMs ?? 0) > nowMs) return "it failed a short time ago";
    if ((this.#away?.nextMs ?? 0) > nowMs) return "the authority took no order a short time ago";
    if (this.#under.size >= maxWaitingOrders) return "too many orders wait";
    if (!this.#kept.has(name) && this.#kept.size >= plan.maxNames) return "tls.acme.maxNames are held";
    this.#orderedAtMs = this.#orderedAtMs.filter((atMs) => atMs > nowMs - hourMs);
    if (this.#orderedAtMs.length >= plan.ordersPerHour)
      return "tls.acme.ordersPerHour were made in the last hour";
    return undefined;
  }

  /** Not for each client that comes meanwhile. */
  #tell(name: string, reason: string): void {
    const { clock, log } = this.#ports;
    if (clock.monotonic() - this.#toldMs < backoff.firstMs) return;
    this.#toldMs = clock.monotonic();
    log.warn("acme-not-ordered", { name, reason });
  }

  async #order(name: string): Promise<Kept | undefined> {
    const { log, files } = this.#ports;
    const authority = this.#theAuthority();
    if (authority === undefined) return undefined;
    log.info("acme-ordered", { name, directory: authority.plan.directory });
    let kept: Kept;
    try {
      const pair = await authority.is.order(name, (proof) => {
        if (proof === undefined) this.#proofs.delete(name);
        else this.#proofs.set(name, proof);
      });
      kept = keptOf(name, pair, this.#random());
      if (kept.untilMs <= this.#ports.clock.now()) throw new Error("the certificate is over already");
    } catch (error) {
      this.#fail(name, error);
      return undefined;
    }
    this.#failed.delete(name);
    this.#away = undefined;
    this.#kept.set(name, kept);
    log.info("acme-certificate", { name, until: new Date(kept.untilMs).toISOString() });
    try {
      await files.update(join(authority.folder, `${name}.pem`), () => textOf(kept.pair));
    } catch (error) {
      log.error("acme-not-kept", { name, error });
    }
    return kept;
  }

  #fail(name: string, error: unknown): void {
    const { clock, log } = this.#ports;
    const isAway = error instanceof PosternError && error.code === "UPSTREAM_ACME_AWAY";
    const times = ((isAway ? this.#away : this.#failed.get(name))?.times ?? 0) + 1;
    const nextMs = clock.now() + retryDelayMs(times, backoff, this.#random());
    const failure = { times, nextMs, reason: error instanceof Error ? error.message : String(error) };
    if (isAway) this.#away = failure;
    else this.#failed.set(name, failure);
    log.warn("acme-failed", { name, error, nextTry: new Date(nextMs).toISOString() });
  }

  /** That of the latest configuration; what another one gave out is of no use any more. */
  #theAuthority(): { readonly plan: AcmePlan; readonly folder: string; readonly is: Authority } | undefined {
    const plan = this.#desks.at(-1)?.plan;
    if (plan === undefined) return undefined;
    const known = this.#authority;
    if (known?.plan.directory === plan.directory && known.plan.email === plan.email) return known;
    if (known !== undefined && known.plan.directory !== plan.directory) {
      this.#kept = new Map();
      this.#failed = new Map();
      this.#away = undefined;
    }
    const { files, stateDir, authority } = this.#ports;
    const folder = join(stateDir, "acme", folderOf(plan.directory));
    const is = authority?.(plan, folder) ?? new NetworkAuthority(plan, folder, files);
    this.#authority = { plan, folder, is };
    return this.#authority;
  }

  #path(name: string): string | undefined {
    const authority = this.#theAuthority();
    return authority === undefined ? undefined : join(authority.folder, `${name}.pem`);
  }
}

/** Each authority has its own account, and its certificates are not another's. */
function folderOf(directory: string): string {
  const { host, pathname } = new URL(directory);
  return `${host}${pathname}`.replace(/[^A-Za-z0-9.-]+/g, "_").replace(/^\.+/, "_");
}
