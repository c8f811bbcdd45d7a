import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { silentLog, systemClock } from "#base";
import { FakeClock } from "#test/support/fake-clock";
import { HealthChecks } from "./checks.ts";
import { probe } from "./probe.ts";
import { PoolRegistry } from "./registry.ts";

/** A stream on which these chunks have come. */
function saying(...chunks: readonly string[]): Duplex {
  const stream = new Duplex({ read: () => {}, write: (_chunk, _encoding, done) => done() });
  for (const chunk of chunks) stream.push(Buffer.from(chunk, "latin1"));
  return stream;
}

const signal = new AbortController().signal;

test("a host that speaks SSH says so, after lines of its own if it has any", async () => {
  const good = ["SSH-2.0-x\r\n", "SSH-1.99-x\n", "hello\r\nthere\r\nSSH-2.0-x\r\n"];
  for (const text of good) {
    assert.equal(await probe("ssh", saying(text), { signal }), undefined, text);
    assert.equal(
      await probe("ssh", saying(...text.split("")), { signal }),
      undefined,
      `${text} byte by byte`,
    );
  }
  const ended = saying("HTTP/1.1 400 Bad Request\r\n\r\n");
  ended.push(null);
  assert.equal(await probe("ssh", ended, { signal }), "what it says is no SSH");
  assert.equal(await probe("ssh", saying("x".repeat(9000)), { signal }), "what it says is no SSH");
  const silent = saying();
  silent.push(null);
  assert.equal(await probe("ssh", silent, { signal }), "it closed the connection");
  const late = new AbortController();
  const asked = probe("ssh", saying("SSH-2.0-x"), { signal: late.signal });
  late.abort();
  assert.equal(await asked, "no answer in time");
  assert.equal(await probe("tcp", saying(), { signal }), undefined);
  assert.match((await probe("tls", saying("SSH-2.0-x\r\n"), { signal })) ?? "", /^TLS: /);
});

test("what is probed is over afterwards", async () => {
  for (const kind of ["tcp", "ssh"] as const) {
    const stream = saying("SSH-2.0-x\r\n");
    await probe(kind, stream, { signal });
    assert.ok(stream.destroyed);
  }
});

test("an address goes down after some failures, and up after some successes", async () => {
  const clock = new FakeClock();
  const plan = { balance: "first", slowStartMs: 0, drained: [], limits: {} } as const;
  const target = { name: "web", plan, addresses: ["a:22"] };
  const registry = new PoolRegistry([target], { clock, log: silentLog });
  const events: string[] = [];
  const note = (event: string): void => void events.push(event);
  const log = { ...silentLog, info: note, warn: note };
  let works = true;
  const looks: number[] = [];
  const check = { kind: "tcp", intervalMs: 10_000, timeoutMs: 1000, rise: 2, fall: 3 } as const;
  const health = {
    name: "web",
    addresses: [{ host: "a", port: 22 }],
    check,
    open: async (): Promise<Duplex> => {
      looks.push(clock.monotonic());
      if (!works) throw new Error("refused");
      return saying();
    },
  };
  const turn = async (): Promise<string> => {
    // In small steps: the time limit of a check must not pass with its beginning.
    const before = looks.length;
    for (let at = 0; looks.length === before && at < 100; at++) {
      clock.advance(500);
      await Promise.resolve();
    }
    // The check has been begun; its end takes some turns of the event loop, and none of the clock.
    for (let at = 0; at < 10; at++) await new Promise((resolve) => setImmediate(resolve));
    return registry.reports[0]?.health ?? "";
  };
  await using _checks = new HealthChecks([health], { registry, clock, log, random: () => 0.5 });
  assert.equal(registry.reports[0]?.health, "unknown");
  assert.equal(await turn(), "up");
  works = false;
  assert.deepEqual([await turn(), await turn(), await turn()], ["up", "up", "down"]);
  assert.equal(registry.reports[0]?.reason, "refused");
  works = true;
  assert.deepEqual([await turn(), await turn()], ["down", "up"]);
  assert.deepEqual(events, ["target-up", "target-down", "target-up"]);
});

test("checks end with whoever made them", async () => {
  const registry = new PoolRegistry([], { clock: systemClock, log: silentLog });
  let begun = 0;
  const open = async (_: unknown, { signal: over }: { signal: AbortSignal }): Promise<Duplex> => {
    begun++;
    return await new Promise((_resolve, reject) =>
      over.addEventListener("abort", () => reject(new Error("over"))),
    );
  };
  const check = { kind: "tcp", intervalMs: 1, timeoutMs: 60_000, rise: 1, fall: 1 } as const;
  const addresses = [{ host: "a", port: 22 }];
  const clock = new FakeClock();
  const checks = new HealthChecks([{ name: "web", addresses, check, open }], {
    registry,
    clock,
    log: silentLog,
  });
  clock.advance(5000);
  await checks[Symbol.asyncDispose]();
  clock.advance(60_000);
  assert.equal(begun, 1);
});
