import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { silentLog } from "#base";
import type { Device, DeviceStore, TunnelRequest } from "#contract";

import { deviceOf } from "#test/contract/device-store";
import { connectionOf, openMemoryStore } from "#test/support/devices";
import { FakeClock } from "#test/support/fake-clock";
import { TunnelRegistry } from "#tunnel";

const request = { kind: "port", name: "kiosk7", port: 22 } as const;
const origin = { host: "192.0.2.1", port: 4711 };
const { signal } = new AbortController();

async function start(
  sameKey: "newest" | "pool" = "newest",
): Promise<{ store: DeviceStore; registry: TunnelRegistry; device: Device }> {
  const store = openMemoryStore();
  const device = deviceOf("one", { name: "kiosk7", ports: [22, 80] });
  await store.insert(device, 1);
  return {
    store,
    device,
    registry: new TunnelRegistry({ store, clock: new FakeClock(), log: silentLog, sameKey }),
  };
}

test("what is held is opened by name, and by port", async () => {
  const { registry, device } = await start();
  const stream = new PassThrough();
  const asked: unknown[] = [];
  const connection = {
    ...connectionOf(device),
    open: (...args: readonly unknown[]) => {
      asked.push(args.slice(0, 2));
      return Promise.resolve(stream);
    },
  };
  const lease = registry.hold(connection, request, 22);
  assert.equal(await registry.open("KIOSK7", 22, origin, signal), stream);
  assert.equal(await registry.open("kiosk7", undefined, origin, signal), stream);
  assert.deepEqual(asked[0], [request, origin]);
  await assert.rejects(registry.open("kiosk7", 80, origin, signal), { code: "UPSTREAM_DEVICE_OFFLINE" });
  await assert.rejects(registry.open("kiosk8", 22, origin, signal), { code: "UPSTREAM_DEVICE_OFFLINE" });
  assert.deepEqual(registry.list(), [
    { device: "one", name: "kiosk7", port: 22, from: "192.0.2.7", sinceMs: 0, tags: [] },
  ]);
  lease[Symbol.dispose]();
  lease[Symbol.dispose]();
  assert.equal(registry.isOnline("one"), false);
  await assert.rejects(registry.open("kiosk7", 22, origin, signal), { code: "UPSTREAM_DEVICE_OFFLINE" });
});

test("a name alone means SSH's port where a device offers several", async () => {
  const { registry, device } = await start();
  const opened: number[] = [];
  const connection = {
    ...connectionOf(device),
    open: (asked: TunnelRequest) => {
      opened.push(asked.kind === "port" ? asked.port : -1);
      return Promise.resolve(new PassThrough());
    },
  };
  registry.hold(connection, { ...request, port: 80 }, 80);
  await registry.open("kiosk7", undefined, origin, signal);
  registry.hold(connection, request, 22);
  await registry.open("kiosk7", undefined, origin, signal);
  assert.deepEqual(opened, [80, 22]);
});

test("the same device coming back takes its tunnels over, and the dead connection is dropped", async () => {
  const { registry, device } = await start();
  const [old, anew] = [connectionOf(device), connectionOf(device)];
  const lease = registry.hold(old, request, 22);
  registry.hold(old, { ...request, port: 80 }, 80);
  registry.hold(anew, request, 22);
  assert.deepEqual(old.dropped, ["the same device has connected anew"]);
  // Its end is noticed later, and must not take what is the new one's.
  lease[Symbol.dispose]();
  registry.leave(old);
  assert.deepEqual(
    registry.list().map(({ port }) => port),
    [22],
  );
  assert.deepEqual(anew.dropped, []);
});

test("one connection may ask twice for the same", async () => {
  const { registry, device } = await start();
  const connection = connectionOf(device);
  registry.hold(connection, request, 22);
  registry.hold(connection, request, 22);
  assert.equal(registry.list().length, 1);
  assert.deepEqual(connection.dropped, []);
});

test("a pool gives each connection its turn", async () => {
  const { registry, device } = await start("pool");
  const turns: string[] = [];
  for (const name of ["a", "b"])
    registry.hold(
      {
        ...connectionOf(device),
        open: () => {
          turns.push(name);
          return Promise.resolve(new PassThrough());
        },
      },
      request,
      22,
    );
  for (let n = 0; n < 4; n++) await registry.open("kiosk7", 22, origin, signal);
  assert.deepEqual(turns, ["a", "b", "a", "b"]);
});

const changes: readonly [string, (device: Device) => Device, RegExp][] = [
  ["revoked", (device) => ({ ...device, state: "revoked" }), /withdrawn/],
  ["renamed", (device) => ({ ...device, name: "kiosk9" }), /renamed to kiosk9/],
  ["given fewer ports", (device) => ({ ...device, ports: [22] }), /less than before/],
];
for (const [what, change, why] of changes)
  test(`a device that is ${what} is cut at once`, async () => {
    const { registry, device, store } = await start();
    const connection = connectionOf(device);
    registry.hold(connection, request, 22);
    await store.change(device.id, change);
    await registry[Symbol.asyncDispose]();
    assert.equal(connection.dropped.length, 1);
    assert.match(connection.dropped[0] ?? "", why);
    assert.deepEqual(registry.list(), []);
  });

test("a device that is given more, or was only seen, stays", async () => {
  const { registry, device, store } = await start();
  const connection = connectionOf(device);
  registry.hold(connection, request, 22);
  await store.change(device.id, (now) => ({ ...now, ports: [22, 80, 443], tags: ["shop"], lastSeenMs: 5 }));
  await registry[Symbol.asyncDispose]();
  assert.deepEqual(connection.dropped, []);
});

test("a device that is removed is cut", async () => {
  const { registry, device, store } = await start();
  const connection = connectionOf(device);
  registry.hold(connection, request, 22);
  await store.remove(device.id);
  await registry[Symbol.asyncDispose]();
  assert.equal(connection.dropped.length, 1);
});

test("devices that are away are known by name and told of, with the time they were last seen", async () => {
  const { registry, store, device } = await start();
  const settled = async (): Promise<void> => await new Promise((done) => setImmediate(done));
  await settled();
  assert.equal(registry.known("KIOSK7")?.id, device.id);
  assert.equal(registry.find("kiosk7"), undefined);
  assert.deepEqual(
    registry.all().map(({ device: { name }, online }) => [name, online]),
    [["kiosk7", false]],
  );
  await assert.rejects(registry.open("kiosk7", 22, origin, signal), {
    code: "UPSTREAM_DEVICE_OFFLINE",
    user: "kiosk7 is not connected now; it has never been.",
  });
  await store.seen([{ device: device.id, atMs: 86_400_000, from: "192.0.2.7", online: false }]);
  await assert.rejects(registry.open("kiosk7", 22, origin, signal), {
    user: "kiosk7 is not connected now; it was last seen at 1970-01-02 00:00:00 UTC.",
  });
  registry.hold(connectionOf(device), request, 22);
  await assert.rejects(registry.open("kiosk7", 80, origin, signal), {
    user: "kiosk7 is connected, but does not offer port 80 now: it offers 22.",
  });
});

test("a tag that is changed counts at once for who is there, and cuts nobody", async () => {
  const { registry, store, device } = await start();
  const connection = connectionOf(device);
  registry.hold(connection, request, 22);
  await store.change(device.id, (now) => ({ ...now, tags: ["hall2"] }));
  await new Promise((done) => setImmediate(done));
  assert.deepEqual(registry.find("kiosk7")?.tags, ["hall2"]);
  assert.deepEqual(registry.list()[0]?.tags, ["hall2"]);
  assert.deepEqual(connection.dropped, []);
});

test("who joins while the others are being read is not cut", async () => {
  const { registry, store } = await start();
  const late = deviceOf("late", { name: "kiosk8" });
  await store.insert(late, 1);
  const connection = connectionOf(late);
  registry.hold(connection, { ...request, name: "kiosk8" }, 22);
  await new Promise((done) => setImmediate(done));
  assert.deepEqual(connection.dropped, []);
});
