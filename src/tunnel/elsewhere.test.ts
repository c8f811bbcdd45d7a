import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { silentLog } from "#base";
import type { Device, TunnelNews } from "#contract";
import { deviceOf } from "#test/contract/device-store";
import { connectionOf, openMemoryStore, type TestConnection } from "#test/support/devices";
import { FakeClock } from "#test/support/fake-clock";
import { Elsewhere, TunnelRegistry } from "#tunnel";

const request = { kind: "port", name: "kiosk7", port: 22 } as const;
const origin = { host: "192.0.2.1", port: 4711 };
const { signal } = new AbortController();

interface Process {
  readonly registry: TunnelRegistry;
  readonly news: TunnelNews[];
  hear(owner: number, ...news: readonly TunnelNews[]): void;
  gone(owner: number): void;
}

/** Processes with one store, each of which can open what the others hold. */
async function start(
  sameKey: "newest" | "pool" = "newest",
): Promise<{ device: Device; processes: Process[] }> {
  const store = openMemoryStore();
  const device = deviceOf("one", { name: "kiosk7", ports: [22, 80] });
  await store.insert(device, 1);
  const processes: Process[] = [];
  for (let at = 0; at < 2; at++) {
    const news: TunnelNews[] = [];
    const tell = (each: TunnelNews): void => void news.push(structuredClone(each));
    const registry = new TunnelRegistry({ store, clock: new FakeClock(), log: silentLog, sameKey, tell });
    const elsewhere = new Elsewhere(registry, async (owner, key, ...more) => {
      return await (processes[owner]?.registry ?? assert.fail()).openKey(key, ...more);
    });
    processes.push({
      registry,
      news,
      hear: (owner, ...all) => {
        for (const each of all) elsewhere.hear(owner, each);
      },
      gone: (owner) => elsewhere.gone(owner),
    });
  }
  return { device, processes };
}

function connectionSince(device: Device, sinceMs: number, stream = new PassThrough()): TestConnection {
  return { ...connectionOf(device), sinceMs, open: () => Promise.resolve(stream) };
}

test("what another process holds is found, listed and opened here, until it has left", async () => {
  const { device, processes } = await start();
  const [one, two] = processes;
  assert.ok(one !== undefined && two !== undefined);
  const stream = new PassThrough();
  const lease = one.registry.hold(connectionSince(device, 5, stream), request, 22);
  two.hear(0, ...one.news);
  assert.equal(two.registry.find("kiosk7")?.id, "one");
  assert.deepEqual(two.registry.list(), one.registry.list());
  assert.equal(await two.registry.open("kiosk7", 22, origin, signal), stream);
  // It tells nobody of what is not its own.
  assert.deepEqual(two.news, []);
  lease[Symbol.dispose]();
  lease[Symbol.dispose]();
  assert.deepEqual(
    one.news.map(({ kind }) => kind),
    ["held", "left"],
  );
  // In between, somebody asks for what has just left.
  await assert.rejects(two.registry.open("kiosk7", 22, origin, signal), { code: "UPSTREAM_DEVICE_OFFLINE" });
  two.hear(0, ...one.news.slice(1));
  assert.deepEqual(two.registry.list(), []);
});

test("a connection takes over from one in another process; the earlier one never does, in whatever order they hear", async () => {
  const { device, processes } = await start();
  const [one, two] = processes;
  assert.ok(one !== undefined && two !== undefined);
  const [old, young] = [connectionSince(device, 1), connectionSince(device, 2)];
  one.registry.hold(old, request, 22);
  two.registry.hold(young, request, 22);
  one.hear(1, ...two.news);
  two.hear(0, ...one.news);
  assert.deepEqual([old.dropped.length, young.dropped.length], [1, 0]);
  for (const { registry } of processes)
    assert.deepEqual(
      registry.list().map(({ sinceMs }) => sinceMs),
      [2],
    );
  // The old one asks again, as it may before it has noticed.
  one.registry.hold(old, request, 22);
  assert.equal(old.dropped.length, 2);
  assert.deepEqual(
    one.registry.list().map(({ sinceMs }) => sinceMs),
    [2],
  );
});

test("with a pool, each has its turn, wherever it is held", async () => {
  const { device, processes } = await start("pool");
  const [one, two] = processes;
  assert.ok(one !== undefined && two !== undefined);
  const [near, far] = [new PassThrough(), new PassThrough()];
  one.registry.hold(connectionSince(device, 1, near), request, 22);
  two.registry.hold(connectionSince(device, 2, far), request, 22);
  one.hear(1, ...two.news);
  const opened = new Set<unknown>();
  for (let at = 0; at < 4; at++) opened.add(await one.registry.open("kiosk7", 22, origin, signal));
  assert.deepEqual(opened, new Set([near, far]));
});

test("when a process dies, its tunnels are gone, and no other's", async () => {
  const { device, processes } = await start();
  const [one, two] = processes;
  assert.ok(one !== undefined && two !== undefined);
  one.registry.hold(connectionSince(device, 1), request, 22);
  two.hear(0, ...one.news);
  two.registry.hold(connectionSince(device, 1), { ...request, port: 80 }, 80);
  two.gone(0);
  two.gone(0);
  assert.deepEqual(
    two.registry.list().map(({ port }) => port),
    [80],
  );
});
