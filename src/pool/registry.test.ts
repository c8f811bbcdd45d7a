import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLog } from "#base";
import type { PoolAnswer, PoolPlan } from "#contract";
import { FakeClock } from "#test/support/fake-clock";
import { PoolRegistry, type RegistryOptions } from "./registry.ts";

const addresses = ["a:22", "b:22", "c:22"];

function plan(more: Partial<PoolPlan> = {}): PoolPlan {
  return { balance: "first", slowStartMs: 0, drained: [], limits: {}, ...more };
}

class Stand {
  readonly clock = new FakeClock();
  readonly registry: PoolRegistry;

  constructor(more: Partial<PoolPlan> = {}, options: Partial<RegistryOptions> = {}) {
    const target = { name: "web", plan: plan(more), addresses };
    this.registry = new PoolRegistry([target], {
      clock: this.clock,
      log: silentLog,
      random: () => 0.5,
      ...options,
    });
  }

  ask(more: { tried?: string[]; client?: string; key?: string } = {}, owner = 0): PoolAnswer {
    return this.registry.ask({ target: "web", addresses, tried: [], ...more }, owner);
  }

  /** The address, or why there is none. */
  next(more: { tried?: string[]; client?: string; key?: string } = {}): string {
    const answer = this.ask(more);
    if (answer.kind === "go") return answer.address;
    return answer.kind === "full" ? answer.limit : answer.reason;
  }

  many(count: number): string {
    return Array.from({ length: count }, () => this.next()[0]).join("");
  }
}

function leaseOf(answer: PoolAnswer): number {
  assert.equal(answer.kind, "go");
  return answer.kind === "go" ? answer.lease : 0;
}

test("first: the next only when those before were tried, are down or drained", () => {
  const stand = new Stand();
  assert.equal(stand.many(3), "aaa");
  assert.equal(stand.next({ tried: ["a:22"] }), "b:22");
  stand.registry.setHealth("web", "a:22", "down", "no answer");
  assert.equal(stand.next(), "b:22");
  assert.equal(stand.registry.drain("web", "b:22", true), 2);
  assert.equal(stand.next(), "c:22");
  assert.equal(stand.next({ tried: ["c:22"] }), "a:22: down, no answer; b:22: drained; c:22: failed");
  stand.registry.setHealth("web", "a:22", "up");
  assert.equal(stand.next(), "a:22");
  stand.registry.drain("web", "b:22", false);
  assert.equal(stand.next({ tried: ["a:22"] }), "b:22");
  assert.equal(stand.next({ tried: addresses }), "all were tried");
  assert.equal(stand.registry.drain("web", "d:22", true), undefined);
  assert.equal(stand.registry.drain("nobody", "a:22", true), undefined);
});

test("an address that could not be connected to is tried last for a while", () => {
  const stand = new Stand();
  stand.registry.tell(leaseOf(stand.ask()), false);
  assert.equal(stand.next(), "b:22");
  stand.clock.advance(10_001);
  const answer = stand.ask();
  assert.equal(answer.kind === "go" && answer.address, "a:22");
  stand.registry.tell(leaseOf(answer), false);
  stand.registry.tell(leaseOf(stand.ask({ tried: ["b:22", "c:22"] })), true);
  assert.equal(stand.next(), "a:22", "it could be connected to again");
});

test("round-robin and least-sessions", () => {
  assert.equal(new Stand({ balance: "round-robin" }).many(6), "abcabc");
  const stand = new Stand({ balance: "least-sessions" });
  const leases = [0, 1, 2, 3, 4].map(() => stand.ask());
  const sessions = (): number[] => stand.registry.reports.map((each) => each.sessions);
  assert.ok(Math.max(...sessions()) === 2 && Math.min(...sessions()) === 1, sessions().join());
  stand.next();
  assert.deepEqual(sessions(), [2, 2, 2]);
  const second = leases.find((each) => each.kind === "go" && each.address === "b:22");
  if (second !== undefined) stand.registry.release(leaseOf(second));
  assert.equal(stand.next(), "b:22");
});

test("random goes by chance", () => {
  let chance = 0;
  const stand = new Stand({ balance: "random" }, { random: () => chance });
  const seen = [0, 0.34, 0.67, 0.999].map((each) => {
    chance = each;
    return stand.next()[0];
  });
  assert.deepEqual(seen, ["a", "b", "c", "c"]);
});

test("sticky: the same for the same key, whoever else is gone", () => {
  const stand = new Stand({ balance: "round-robin", sticky: "user" });
  const keys = Array.from({ length: 60 }, (_, at) => `user${at}`);
  const before = keys.map((key) => stand.next({ key }));
  assert.deepEqual(new Set(before), new Set(addresses));
  assert.deepEqual(
    keys.map((key) => stand.next({ key })),
    before,
  );
  stand.registry.drain("web", "b:22", true);
  const after = keys.map((key) => stand.next({ key }));
  for (const [at, address] of before.entries()) {
    if (address === "b:22") assert.notEqual(after[at], "b:22");
    else assert.equal(after[at], address);
  }
  assert.equal(new Stand({ balance: "round-robin", sticky: "user" }).many(3), "abc", "nobody is sticky");
});

test("an address that came up again gets its share slowly", () => {
  const stand = new Stand({ balance: "round-robin", slowStartMs: 100_000 });
  stand.registry.setHealth("web", "a:22", "up");
  assert.equal(stand.many(3), "abc", "what was never down is not slow");
  stand.registry.setHealth("web", "c:22", "down");
  stand.registry.setHealth("web", "c:22", "up");
  const share = (): number => stand.many(100).split("c").length - 1;
  const shares = [share(), 0, 0];
  stand.clock.advance(50_000);
  shares[1] = share();
  stand.clock.advance(60_000);
  shares[2] = share();
  const [start = 0, half = 0, whole = 0] = shares;
  assert.ok(start > 0 && start < 6 && half > 15 && half < 25 && whole >= 32, shares.join());
});

test("connections at once are limited, for all and for each client, and places come back", () => {
  const stand = new Stand({ limits: { maxConnections: 3, perClient: { maxConnections: 2 } } });
  const held = [stand.ask({ client: "x" }), stand.ask({ client: "x" })];
  assert.equal(stand.next({ client: "x" }), "perClient.maxConnections");
  const third = stand.ask({ client: "y" });
  assert.equal(stand.next({ client: "y" }), "maxConnections");
  for (const each of [...held, third]) {
    stand.registry.release(leaseOf(each));
    stand.registry.release(leaseOf(each));
  }
  assert.equal(stand.next({ client: "x" }), "a:22");
  assert.deepEqual(
    stand.registry.reports.map(({ sessions }) => sessions),
    [1, 0, 0],
  );
});

test("a rate fills up evenly, and trying again after a failure is free", () => {
  const stand = new Stand({ limits: { perClient: { connectionsPerMinute: 2 } } });
  assert.deepEqual(
    [1, 2, 3].map(() => stand.next({ client: "x" })),
    ["a:22", "a:22", "perClient.connectionsPerMinute"],
  );
  assert.equal(stand.next({ client: "x", tried: ["a:22"] }), "b:22");
  assert.equal(stand.next({ client: "y" }), "a:22");
  assert.equal(stand.next(), "a:22", "a local client is nobody's network");
  stand.clock.advance(30_001);
  assert.deepEqual(
    [1, 2].map(() => stand.next({ client: "x" })),
    ["a:22", "perClient.connectionsPerMinute"],
  );
  const all = new Stand({ limits: { connectionsPerMinute: 1 } });
  assert.deepEqual([all.next(), all.next()], ["a:22", "connectionsPerMinute"]);
});

test("what a process held is free when it ends, and each process has its part of the bandwidth", () => {
  const shares: string[] = [];
  const shared: RegistryOptions["shared"] = (owner, target, client, share) => {
    shares.push(`${owner} ${target} ${client ?? "all"} ${share}`);
  };
  const stand = new Stand({ limits: { bytesPerSecond: 1000, maxConnections: 4 } }, { shared });
  stand.ask({}, 1);
  assert.deepEqual(shares.splice(0), ["1 web all 1"]);
  stand.ask({}, 2);
  assert.deepEqual(shares.splice(0), ["1 web all 0.5", "2 web all 0.5"]);
  stand.ask({}, 2);
  stand.ask({}, 2);
  assert.deepEqual(shares.splice(-2), ["1 web all 0.25", "2 web all 0.75"]);
  assert.equal(stand.ask({}, 1).kind, "full");
  stand.registry.releaseOwner(2);
  assert.equal(shares.at(-1), "1 web all 1");
  assert.equal(stand.ask({}, 1).kind, "go");
});

test("another configuration keeps what was counted, and what an operator drained", () => {
  const stand = new Stand();
  const lease = leaseOf(stand.ask());
  stand.registry.drain("web", "b:22", true);
  stand.registry.setHealth("web", "c:22", "down", "x");
  const limits = { maxConnections: 1 };
  const web = { name: "web", plan: plan({ limits, drained: ["a:22"] }), addresses: [...addresses, "d:22"] };
  stand.registry.setTargets([web]);
  assert.equal(stand.next(), "maxConnections");
  stand.registry.release(lease);
  const asked = { target: "web", addresses: web.addresses, tried: [] };
  const answer = stand.registry.ask(asked, 0);
  assert.equal(answer.kind === "go" && answer.address, "d:22");
  stand.registry.setTargets([]);
  assert.equal(stand.next(), "a:22", "who is still in goes on, without limits");
});

test("addresses and clients that strangers name do not add up without end", () => {
  const stand = new Stand({ limits: { perClient: { connectionsPerMinute: 1 } } });
  for (let at = 0; at < 5000; at++) {
    const asked = { target: "any", addresses: [`h${at}:22`], tried: [] };
    stand.registry.release(leaseOf(stand.registry.ask(asked, 0)));
  }
  assert.ok(stand.registry.reports.length <= 4096 + addresses.length);
  let refused = 0;
  for (let at = 0; at < 17_000; at++) {
    const answer = stand.ask({ client: `c${at}` });
    if (answer.kind === "go") stand.registry.release(answer.lease);
    else refused++;
  }
  assert.equal(refused, 17_000 - 16_384);
  stand.clock.advance(60_001);
  assert.equal(stand.next({ client: "again" }), "a:22");
});
