import { type Clock, formatHostPort, type HostPort, type Log, type Timer } from "#base";
import type { AddressReport, CheckPlan } from "#contract";
import type { Duplex } from "node:stream";
import { isIP } from "node:net";
import { probe } from "./probe.ts";
import type { PoolRegistry } from "./registry.ts";

/** A target whose addresses are looked at. */
export interface HealthTarget {
  readonly name: string;
  readonly addresses: readonly HostPort[];
  readonly check: CheckPlan;
  /** Connects as a session would, for nobody. */
  open(address: HostPort, options: { timeoutMs: number; signal: AbortSignal }): Promise<Duplex>;
}

export interface HealthPorts {
  readonly registry: PoolRegistry;
  readonly clock: Clock;
  readonly log: Log;
  /** 0 ≤ x < 1. */
  readonly random?: () => number;
}

/** Checks come up to a fifth sooner than the interval says, so that those of many targets do not come together. */
const jitter = 0.2;

/**
 * Looks at every fixed address of the targets that ask for it. It runs in one process alone, whatever the number of workers:
 * what it finds is in the registry, which they all ask.
 */
export class HealthChecks implements AsyncDisposable {
  readonly #ports: HealthPorts;
  readonly #over = new AbortController();
  readonly #timers = new Set<Timer>();
  readonly #running = new Set<Promise<void>>();

  constructor(targets: readonly HealthTarget[], ports: HealthPorts) {
    this.#ports = ports;
    for (const target of targets) {
      for (const address of target.addresses) {
        const known = ports.registry.healthOf(target.name, formatHostPort(address));
        const watch = new Watch(target, address, known);
        // The first is soon: until then nothing is known of the address, and it is used as if it were up.
        this.#after(this.#random() * Math.min(1000, target.check.intervalMs), () => this.#run(watch));
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    for (const timer of this.#timers) timer[Symbol.dispose]();
    await Promise.all(this.#running);
  }

  #run(watch: Watch): void {
    const running = this.#check(watch).finally(() => {
      this.#running.delete(running);
      if (this.#over.signal.aborted) return;
      const { intervalMs } = watch.target.check;
      this.#after(intervalMs * (1 - jitter * this.#random()), () => this.#run(watch));
    });
    this.#running.add(running);
  }

  async #check(watch: Watch): Promise<void> {
    const { clock, registry, log } = this.#ports;
    const { target, address } = watch;
    const { kind, timeoutMs } = target.check;
    const over = new AbortController();
    using _limit = clock.after(timeoutMs, () => over.abort(new Error("no answer in time")));
    const signal = AbortSignal.any([over.signal, this.#over.signal]);
    let wrong: string | undefined;
    try {
      const stream = await target.open(address, { timeoutMs, signal });
      const serverName = isIP(address.host) === 0 ? { serverName: address.host } : {};
      wrong = await probe(kind, stream, { signal, ...serverName });
    } catch (error) {
      wrong = error instanceof Error ? error.message : String(error);
    }
    if (this.#over.signal.aborted) return;
    const health = watch.count(wrong);
    if (health === undefined) return;
    const name = formatHostPort(address);
    if (!registry.setHealth(target.name, name, health, wrong)) return;
    if (health === "up") log.info("target-up", { target: target.name, address: name, check: kind });
    else log.warn("target-down", { target: target.name, address: name, check: kind, reason: wrong });
  }

  #after(ms: number, then: () => void): void {
    const timer = this.#ports.clock.after(ms, () => {
      this.#timers.delete(timer);
      then();
    });
    this.#timers.add(timer);
  }

  #random(): number {
    return (this.#ports.random ?? Math.random)();
  }
}

/** One address, and how its last checks went. */
class Watch {
  readonly target: HealthTarget;
  readonly address: HostPort;
  /** Undefined: nothing is known yet. */
  #health: "up" | "down" | undefined;
  #inARow = 0;

  constructor(target: HealthTarget, address: HostPort, health: AddressReport["health"]) {
    this.target = target;
    this.address = address;
    if (health !== "unknown") this.#health = health;
  }

  /** How it is now, if that is certain. The very first check decides at once. */
  count(wrong: string | undefined): "up" | "down" | undefined {
    const seen = wrong === undefined ? "up" : "down";
    if (this.#health === undefined) this.#health = seen;
    else if (seen === this.#health) this.#inARow = 0;
    else {
      const { rise, fall } = this.target.check;
      this.#inARow++;
      if (this.#inARow >= (seen === "up" ? rise : fall)) {
        this.#health = seen;
        this.#inARow = 0;
      }
    }
    return this.#health === seen ? seen : undefined;
  }
}
