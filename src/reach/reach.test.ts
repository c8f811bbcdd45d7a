import assert from "node:assert/strict";
import { type Duplex, duplexPair } from "node:stream";
import { test } from "node:test";
import { formatHostPort, silentLog } from "#base";
import type { Dialer, PoolAnswer, PoolPlan, PoolQuestion, Pools, Reached } from "#contract";
import { FakeClock } from "#test/support/fake-clock";
import { reachErrors } from "./errors.ts";
import { Pacer } from "./pacer.ts";
import { type ReachTarget, TargetReach } from "./reach.ts";

const plan: PoolPlan = { balance: "first", slowStartMs: 0, drained: [], limits: {} };
const place = {
  target: "web",
  addresses: ["a", "b"].map((host) => ({ host, port: 22 })),
  connectTimeoutMs: 1000,
};
const asker = { from: { ip: "192.0.2.1", port: 5, text: "192.0.2.1:5" }, to: { ip: "192.0.2.2", port: 22 } };

/** Pools that give the first address not tried, and dialers whose hosts answer or not. */
class Stand implements Pools, Dialer {
  readonly kind = "fake";
  readonly questions: PoolQuestion[] = [];
  readonly events: string[] = [];
  readonly far: Duplex[] = [];
  answer: PoolAnswer | undefined;
  alive: readonly string[] = ["a", "b"];
  #lease = 0;

  async ask(question: PoolQuestion): Promise<PoolAnswer> {
    this.questions.push(question);
    const address = question.addresses.find((each) => !question.tried.includes(each));
    if (this.answer !== undefined) return this.answer;
    if (address === undefined) return { kind: "none", reason: "all were tried" };
    return { kind: "go", address, lease: ++this.#lease };
  }

  tell(lease: number, connected: boolean): void {
    this.events.push(`${lease} ${connected ? "connected" : "failed"}`);
  }

  release(lease: number): void {
    this.events.push(`${lease} released`);
  }

  share(): number {
    return 1;
  }

  async dial({ host, port }: { host: string; port: number }): Promise<Duplex> {
    if (!this.alive.includes(host))
      throw new reachErrors.UPSTREAM_TARGET_DOWN(formatHostPort({ host, port }));
    const [near, far] = duplexPair();
    this.far.push(far);
    return near;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.events.push("disposed");
  }

  reach(more: Partial<ReachTarget> = {}, who: Parameters<TargetReach["reach"]>[1] = asker): Promise<Reached> {
    const reach = new TargetReach({
      ways: this,
      targets: [{ name: "web", plan, dialer: this, ...more }],
      pools: this,
      pacer: new Pacer(new FakeClock()),
      clientNetwork: { ipv4Bits: 24, ipv6Bits: 64 },
    });
    return reach.reach(place, who, { signal: new AbortController().signal, log: silentLog });
  }
}

test("an address that cannot be reached gives its place to the next; a place is given back once", async () => {
  const stand = new Stand();
  stand.alive = ["b"];
  const reached = await stand.reach();
  assert.equal(formatHostPort(reached.address), "b:22");
  assert.deepEqual(stand.events.splice(0), ["1 failed", "1 released", "2 connected"]);
  assert.deepEqual(
    stand.questions.map(({ tried, client }) => `${tried.join()} ${client}`),
    [" 192.0.2.0/24", "a:22 192.0.2.0/24"],
  );
  reached[Symbol.dispose]();
  reached[Symbol.dispose]();
  assert.deepEqual(stand.events, ["2 released"]);
});

test("nothing that can be reached, and what is full, are told apart", async () => {
  const stand = new Stand();
  stand.alive = [];
  await assert.rejects(stand.reach(), { code: "UPSTREAM_TARGET_DOWN", message: /a:22.*b:22/ });
  assert.deepEqual(stand.events, ["1 failed", "1 released", "2 failed", "2 released"]);
  stand.answer = { kind: "full", limit: "maxConnections" };
  await assert.rejects(stand.reach(), { code: "DENIED_TARGET_FULL", message: /web: maxConnections/ });
  stand.answer = { kind: "full", limit: "perClient.maxConnections" };
  await assert.rejects(stand.reach(), { code: "DENIED_CLIENT_FULL" });
  stand.answer = { kind: "none", reason: "a:22: drained" };
  await assert.rejects(stand.reach(), { code: "UPSTREAM_TARGET_DOWN", message: /drained/ });
});

test("limits go by a name that was proven, stickiness by any", async () => {
  const stand = new Stand();
  const sticky = { plan: { ...plan, sticky: "user" } } as const;
  await stand.reach(sticky, { ...asker, user: "ada" });
  await stand.reach(sticky, { ...asker, user: "ada", proven: true });
  await stand.reach(sticky, { from: { text: "unix" } });
  assert.deepEqual(
    stand.questions.map(({ client, key }) => [client, key]),
    [
      ["192.0.2.0/24", "ada"],
      ["user ada", "ada"],
      [undefined, undefined],
    ],
  );
});

test("the PROXY header is the first that a target sees", async () => {
  const stand = new Stand();
  const { stream } = await stand.reach({ proxyProtocol: 1 });
  stream.end("SSH-2.0-x\r\n");
  const [far] = stand.far;
  const chunks = (await far?.toArray()) ?? [];
  const text = Buffer.concat(chunks as Buffer[]).toString();
  assert.equal(text, "PROXY TCP4 192.0.2.1 192.0.2.2 5 22\r\nSSH-2.0-x\r\n");
});
