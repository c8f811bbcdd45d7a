import type { Clock, Log } from "#base";
import type { AddressReport, Allowance, PoolAnswer, PoolPlan, PoolQuestion } from "#contract";
import { type Candidate, choose } from "./balance.ts";
import { MinuteRate } from "./rate.ts";

/** A target as a pool sees it. */
export interface PoolTarget {
  readonly name: string;
  readonly plan: PoolPlan;
  /** `host:port` of the addresses that are known before anybody comes; those of a pattern are not. */
  readonly addresses: readonly string[];
}

export interface RegistryOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** 0 ≤ x < 1. */
  readonly random?: () => number;
  /** Told when the part of a bandwidth that a process may use has changed. */
  readonly shared?: (owner: number, target: string, client: string | undefined, share: number) => void;
}

/** An address that could not be connected to is tried last for so long. */
const avoidMs = 10_000;

/** The least part of its share that an address has when it begins slowly. */
const leastWeight = 0.05;

/** Addresses that one target's pattern can make us remember; those without a session are forgotten first. */
export const maxPoolAddresses = 4096;

/** Clients of one target that are remembered for their rate. */
export const maxPoolClients = 16_384;

interface AddressState {
  readonly address: string;
  sessions: number;
  health: AddressReport["health"];
  reason: string | undefined;
  /** Monotonic. */
  upSinceMs: number;
  avoidUntilMs: number;
  credit: number;
  /** By an operator, at run time. */
  drained: boolean | undefined;
}

interface Group {
  connections: number;
  rate: MinuteRate | undefined;
  readonly owners: Map<number, number>;
}

interface TargetState {
  target: PoolTarget;
  readonly addresses: Map<string, AddressState>;
  readonly all: Group;
  readonly clients: Map<string, Group>;
}

interface Lease {
  readonly owner: number;
  readonly target: TargetState;
  readonly address: AddressState;
  readonly client: string | undefined;
}

const withoutPlan: PoolPlan = { balance: "first", slowStartMs: 0, drained: [], limits: {} };

/** Where all connections to all targets are counted. An owner is a process. */
export class PoolRegistry {
  readonly #options: RegistryOptions;
  readonly #targets = new Map<string, TargetState>();
  readonly #leases = new Map<number, Lease>();
  #lastLease = 0;

  constructor(targets: readonly PoolTarget[], options: RegistryOptions) {
    this.#options = options;
    this.setTargets(targets);
  }

  /** From now on. Counts, health and what an operator drained are kept for the addresses that stay. */
  setTargets(targets: readonly PoolTarget[]): void {
    const names = new Set(targets.map(({ name }) => name));
    for (const target of targets) {
      const state = this.#state(target.name);
      state.target = target;
      state.all.rate = undefined;
      for (const group of state.clients.values()) group.rate = undefined;
      for (const address of target.addresses) this.#address(state, address);
      for (const [key, each] of state.addresses)
        if (!target.addresses.includes(key) && each.sessions === 0) state.addresses.delete(key);
    }
    for (const [name, state] of this.#targets) {
      if (names.has(name)) continue;
      if (state.all.connections === 0) this.#targets.delete(name);
      else state.target = { name, plan: withoutPlan, addresses: [] };
    }
    for (const state of this.#targets.values()) {
      this.#share(state, undefined, state.all);
      for (const [client, group] of state.clients) this.#share(state, client, group);
    }
  }

  ask(question: PoolQuestion, owner: number): PoolAnswer {
    const state = this.#state(question.target);
    const { plan } = state.target;
    const { limits } = plan;
    const nowMs = this.#options.clock.monotonic();
    const named = limits.perClient === undefined ? undefined : question.client;
    const client = named === undefined ? undefined : this.#client(state, named, nowMs);
    if (client === "full") return { kind: "full", limit: "perClient.connectionsPerMinute" };
    // What is tried again after a failure is the same connection to the one who asked.
    const again = question.tried.length > 0;
    const full = fullOf(state.all, limits, nowMs, again);
    if (full !== undefined) return { kind: "full", limit: full };
    const clientFull =
      client === undefined ? undefined : fullOf(client, limits.perClient ?? {}, nowMs, again);
    if (clientFull !== undefined) return { kind: "full", limit: `perClient.${clientFull}` };
    const open: (Candidate & { readonly state: AddressState })[] = [];
    for (const name of question.addresses) {
      const address = this.#address(state, name);
      if (question.tried.includes(name) || this.#isDrained(state, address) || address.health === "down")
        continue;
      open.push(candidate(address, plan.slowStartMs, nowMs));
    }
    const [first, ...rest] = open;
    if (first === undefined) return { kind: "none", reason: this.#reason(state, question) };
    const random = this.#options.random ?? Math.random;
    const { state: chosen } = choose(plan, [first, ...rest], question.key, random);
    if (!again) {
      state.all.rate?.take();
      client?.rate?.take();
    }
    return { kind: "go", address: chosen.address, lease: this.#enter(owner, state, chosen, named) };
  }

  tell(number: number, connected: boolean): void {
    const lease = this.#leases.get(number);
    if (lease === undefined) return;
    lease.address.avoidUntilMs = connected ? 0 : this.#options.clock.monotonic() + avoidMs;
  }

  release(number: number): void {
    const lease = this.#leases.get(number);
    if (lease === undefined) return;
    this.#leases.delete(number);
    const { owner, target, address, client } = lease;
    address.sessions--;
    this.#leave(target, undefined, owner);
    if (client !== undefined) this.#leave(target, client, owner);
  }

  /** A process has ended: all that it held is free. */
  releaseOwner(owner: number): void {
    for (const [number, lease] of this.#leases) if (lease.owner === owner) this.release(number);
  }

  healthOf(target: string, address: string): AddressReport["health"] {
    return this.#targets.get(target)?.addresses.get(address)?.health ?? "unknown";
  }

  /** What a check has found. True: that is news. */
  setHealth(target: string, address: string, health: "up" | "down", reason?: string): boolean {
    const found = this.#targets.get(target)?.addresses.get(address);
    if (found === undefined) return false;
    const was = found.health;
    found.reason = reason;
    found.health = health;
    if (was === health) return false;
    // One that was never seen down has nothing to recover from.
    if (health === "up" && was === "down") found.upSinceMs = this.#options.clock.monotonic();
    if (health === "up") found.avoidUntilMs = 0;
    return true;
  }

  /** Nobody new for an address, or again somebody; undefined: there is no such address, else its sessions. */
  drain(target: string, address: string, drained: boolean): number | undefined {
    const found = this.#targets.get(target)?.addresses.get(address);
    if (found === undefined) return undefined;
    found.drained = drained;
    this.#options.log.info(drained ? "target-drained" : "target-undrained", {
      target,
      address,
      sessions: found.sessions,
    });
    return found.sessions;
  }

  get reports(): readonly AddressReport[] {
    return [...this.#targets.values()].flatMap((state) =>
      [...state.addresses.values()].map((each) => ({
        target: state.target.name,
        address: each.address,
        health: each.health,
        drained: this.#isDrained(state, each),
        sessions: each.sessions,
        ...(each.reason === undefined ? {} : { reason: each.reason }),
      })),
    );
  }

  #isDrained(state: TargetState, { drained, address }: AddressState): boolean {
    return drained ?? state.target.plan.drained.includes(address);
  }

  #reason(state: TargetState, { addresses, tried }: PoolQuestion): string {
    if (addresses.length > 0 && addresses.every((name) => tried.includes(name))) return "all were tried";
    return addresses
      .map((name) => {
        const address = this.#address(state, name);
        if (tried.includes(name)) return `${name}: failed`;
        if (this.#isDrained(state, address)) return `${name}: drained`;
        return `${name}: down, ${address.reason ?? "its check fails"}`;
      })
      .join("; ");
  }

  #enter(owner: number, target: TargetState, address: AddressState, client: string | undefined): number {
    const number = ++this.#lastLease;
    this.#leases.set(number, { owner, target, address, client });
    address.sessions++;
    for (const who of client === undefined ? [undefined] : [undefined, client]) {
      const group = who === undefined ? target.all : target.clients.get(who);
      if (group === undefined) continue;
      group.connections++;
      group.owners.set(owner, (group.owners.get(owner) ?? 0) + 1);
      this.#share(target, who, group);
    }
    return number;
  }

  #leave(target: TargetState, client: string | undefined, owner: number): void {
    const group = client === undefined ? target.all : target.clients.get(client);
    if (group === undefined) return;
    group.connections--;
    const left = (group.owners.get(owner) ?? 1) - 1;
    if (left > 0) group.owners.set(owner, left);
    else {
      group.owners.delete(owner);
      this.#tellShare(target, client, owner, 0);
    }
    this.#share(target, client, group);
    if (client !== undefined && group.connections === 0 && group.rate === undefined)
      target.clients.delete(client);
  }

  /** Each process may use what its connections are of all. */
  #share(target: TargetState, client: string | undefined, { owners, connections }: Group): void {
    for (const [owner, count] of owners) this.#tellShare(target, client, owner, count / connections);
  }

  #tellShare({ target }: TargetState, client: string | undefined, owner: number, share: number): void {
    const { limits } = target.plan;
    const bytes = client === undefined ? limits.bytesPerSecond : limits.perClient?.bytesPerSecond;
    if (bytes !== undefined) this.#options.shared?.(owner, target.name, client, share);
  }

  #state(name: string): TargetState {
    let state = this.#targets.get(name);
    if (state === undefined) {
      const target = { name, plan: withoutPlan, addresses: [] };
      state = { target, addresses: new Map(), all: newGroup(), clients: new Map() };
      this.#targets.set(name, state);
    }
    return state;
  }

  /** Full: so many clients come that those who came before could no longer be counted. */
  #client(state: TargetState, client: string, nowMs: number): Group | "full" {
    let group = state.clients.get(client);
    if (group === undefined) {
      if (state.clients.size >= maxPoolClients) {
        for (const [name, each] of state.clients)
          if (each.connections === 0 && each.rate?.isFull(nowMs) !== false) state.clients.delete(name);
        if (state.clients.size >= maxPoolClients) return "full";
      }
      group = newGroup();
      state.clients.set(client, group);
    }
    return group;
  }

  #address(state: TargetState, address: string): AddressState {
    let found = state.addresses.get(address);
    if (found === undefined) {
      if (state.addresses.size >= maxPoolAddresses) {
        const kept = state.target.addresses;
        for (const [name, each] of state.addresses)
          if (each.sessions === 0 && !kept.includes(name)) state.addresses.delete(name);
      }
      found = {
        address,
        sessions: 0,
        health: "unknown",
        reason: undefined,
        upSinceMs: Number.NEGATIVE_INFINITY,
        avoidUntilMs: 0,
        credit: 0,
        drained: undefined,
      };
      state.addresses.set(address, found);
    }
    return found;
  }
}

function newGroup(): Group {
  return { connections: 0, rate: undefined, owners: new Map() };
}

function fullOf(
  group: Group,
  { maxConnections, connectionsPerMinute }: Allowance,
  nowMs: number,
  again: boolean,
): "maxConnections" | "connectionsPerMinute" | undefined {
  if (maxConnections !== undefined && group.connections >= maxConnections) return "maxConnections";
  if (connectionsPerMinute === undefined || again) return undefined;
  group.rate ??= new MinuteRate(connectionsPerMinute, nowMs);
  return group.rate.has(nowMs) ? undefined : "connectionsPerMinute";
}

/** The credit of the candidate is that of the address. */
function candidate(
  state: AddressState,
  slowStartMs: number,
  nowMs: number,
): Candidate & { readonly state: AddressState } {
  const grown = slowStartMs === 0 ? 1 : (nowMs - state.upSinceMs) / slowStartMs;
  return {
    state,
    address: state.address,
    sessions: state.sessions,
    weight: Math.min(1, Math.max(leastWeight, grown)),
    failedLately: state.avoidUntilMs > nowMs,
    get credit() {
      return state.credit;
    },
    set credit(value) {
      state.credit = value;
    },
  };
}
