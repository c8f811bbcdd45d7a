/** What every store of devices promises: called from the test of each. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Along, Device, DeviceLogEntry, DeviceStore, JoinToken } from "#contract";

export function deviceOf(id: string, other: Partial<Device> = {}): Device {
  return {
    id,
    name: id,
    fingerprint: `SHA256:${id}`,
    key: `ssh-ed25519 ${id}`,
    state: "approved",
    tags: [],
    ports: [22],
    web: "off",
    createdAtMs: 1000,
    cameBy: "pending",
    ...other,
  };
}

function tokenOf(id: string, other: Partial<JoinToken> = {}): JoinToken {
  return {
    id,
    hash: `hash of ${id}`,
    usesLeft: 1,
    expiresAtMs: 5000,
    tags: ["shop"],
    ports: [22, 80],
    web: "login",
    names: "kiosk*",
    createdAtMs: 1000,
    ...other,
  };
}

/** `open` gives an empty store each time. */
export function deviceStoreContract(name: string, open: () => Promise<DeviceStore> | DeviceStore): void {
  const promise = (what: string, run: (store: DeviceStore) => Promise<void>): void => {
    void test(`${name}: ${what}`, async () => {
      await using store = await open();
      await run(store);
    });
  };

  promise("what is inserted is found, by everything it is known by", async (store) => {
    const kiosk = deviceOf("kiosk7", { tags: ["shop", "north"], lastSeenMs: 7, web: "public" });
    const asking = deviceOf("new", { state: "pending", code: "ABCD-1234" });
    assert.equal(await store.insert(kiosk, 10), "inserted");
    assert.equal(await store.insert(asking, 10), "inserted");
    assert.deepEqual(await store.byId("kiosk7"), kiosk);
    assert.deepEqual(await store.byFingerprint("SHA256:kiosk7"), kiosk);
    assert.deepEqual(await store.byName("kiosk7"), kiosk);
    assert.deepEqual(await store.byCode("ABCD-1234"), asking);
    assert.equal(await store.byName("new"), undefined);
    assert.equal(await store.byId("other"), undefined);
    assert.equal(await store.byCode("other"), undefined);
  });

  promise("one key, one device; one name, one approved device", async (store) => {
    await store.insert(deviceOf("a"), 10);
    assert.equal(await store.insert(deviceOf("b", { fingerprint: "SHA256:a" }), 10), "key-known");
    assert.equal(await store.insert(deviceOf("b", { name: "a" }), 10), "name-taken");
    assert.equal(await store.byId("b"), undefined);
    assert.equal(
      await store.insert(deviceOf("b", { name: "a", state: "pending", code: "X" }), 10),
      "inserted",
    );
    assert.equal(await store.change("b", (device) => ({ ...device, state: "approved" })), "name-taken");
    assert.equal((await store.byId("b"))?.state, "pending");
    assert.equal(
      await store.change("b", (device) => ({ ...device, state: "approved", name: "b" })),
      "changed",
    );
    assert.equal(await store.change("a", (device) => ({ ...device, state: "revoked" })), "changed");
    assert.equal(await store.change("b", (device) => ({ ...device, name: "a" })), "changed");
    assert.equal((await store.byName("a"))?.id, "b");
  });

  promise("pending devices are bounded, and go with time", async (store) => {
    for (const [n, id] of ["a", "b"].entries())
      assert.equal(
        await store.insert(deviceOf(id, { state: "pending", code: id, createdAtMs: n }), 2),
        "inserted",
      );
    assert.equal(await store.insert(deviceOf("c", { state: "pending", code: "c" }), 2), "too-many");
    assert.equal(await store.insert(deviceOf("d"), 2), "inserted");
    await store.log({ atMs: 0, device: "a", event: "asked", by: "test" });
    await store.log({ atMs: 0, device: "d", event: "joined", by: "test" });
    assert.equal(await store.removePending(1), 1);
    assert.equal(await store.byId("a"), undefined);
    assert.deepEqual(await store.logOf("a", 10), []);
    assert.equal((await store.logOf("d", 10)).length, 1);
    assert.equal(await store.insert(deviceOf("c", { state: "pending", code: "c" }), 2), "inserted");
  });

  promise("a change sees what is there, and may decide against it", async (store) => {
    await store.insert(deviceOf("a"), 10);
    assert.equal(await store.change("a", () => undefined), "unchanged");
    assert.equal(await store.change("b", (device) => device), "absent");
    await Promise.all(
      ["one", "two", "three"].map(
        async (tag) => await store.change("a", (device) => ({ ...device, tags: [...device.tags, tag] })),
      ),
    );
    assert.deepEqual((await store.byId("a"))?.tags, ["one", "two", "three"]);
    await assert.rejects(
      store.change("a", () => {
        throw new Error("no");
      }),
      /no/,
    );
    assert.equal(await store.remove("a"), true);
    assert.equal(await store.remove("a"), false);
  });

  promise("pages are in the order of names, none twice, none left out", async (store) => {
    for (const id of ["3", "1", "4", "2"]) await store.insert(deviceOf(id, { name: `n${id}` }), 10);
    await store.insert(deviceOf("5", { name: "n1", state: "denied" }), 10);
    const seen: string[] = [];
    let after: Device | undefined;
    for (;;) {
      const page = await store.list({ ...(after === undefined ? {} : { after }), limit: 2 });
      assert.ok(page.length <= 2);
      seen.push(...page.map(({ id }) => id));
      after = page.at(-1);
      if (after === undefined) break;
    }
    assert.deepEqual(seen, ["1", "5", "2", "3", "4"]);
  });

  promise("a token is used as often as it may be, until it expires", async (store) => {
    await store.insertToken(tokenOf("once"));
    await store.insertToken(tokenOf("late"));
    await store.insertToken(tokenOf("twice", { usesLeft: 2, createdAtMs: 2000 }));
    const use = async (id: string, token: string, nowMs: number): Promise<string> =>
      await store.insert(deviceOf(id), 10, { token: { hash: `hash of ${token}`, nowMs } });
    const used = await Promise.all(["1", "2", "3"].map(async (id) => await use(id, "once", 4999)));
    assert.deepEqual(used.sort(), ["inserted", "token-spent", "token-spent"]);
    assert.equal((await store.list({ limit: 10 })).length, 1, "no device by a token that is used up");
    assert.equal(await use("4", "late", 5000), "token-spent");
    assert.equal(await use("5", "another", 1), "token-spent");
    assert.equal(await use("6", "twice", 1), "inserted");
    assert.equal(await use("6", "twice", 1), "key-known", "takes no use");
    assert.equal(
      await store.change("6", (device) => ({ ...device, tags: ["x"] }), {
        token: { hash: "none", nowMs: 1 },
      }),
      "token-spent",
    );
    assert.deepEqual((await store.byId("6"))?.tags, []);
    assert.deepEqual(
      (await store.tokens())
        .map(({ id, usesLeft }) => `${id} ${usesLeft}`)
        .sort((a, b) => a.localeCompare(b)),
      ["late 1", "once 0", "twice 1"],
    );
    assert.equal(await store.removeToken("late"), true);
    assert.equal(await store.removeToken("late"), false);
  });

  promise("what happened is noted with the change, and not without it", async (store) => {
    const note = (event: DeviceLogEntry["event"]): Along => ({
      note: { atMs: 1, device: "a", event, by: "test" },
    });
    const events = async (): Promise<string[]> => (await store.logOf("a", 10)).map(({ event }) => event);
    assert.equal(await store.insert(deviceOf("a"), 10, note("joined")), "inserted");
    assert.equal(await store.insert(deviceOf("a"), 10, note("asked")), "key-known");
    assert.equal(await store.change("a", () => undefined, note("changed")), "unchanged");
    assert.equal(await store.change("a", (now) => ({ ...now, tags: ["x"] }), note("changed")), "changed");
    assert.deepEqual(await events(), ["changed", "joined"]);
    assert.equal(await store.remove("a", note("removed").note), true);
    assert.equal(await store.remove("a", note("removed").note), false);
    assert.deepEqual(await events(), ["removed", "changed", "joined"]);
  });

  promise("the log of a device, the newest first, bounded", async (store) => {
    for (let n = 1; n <= 1005; n++)
      await store.log({ atMs: n, device: "a", event: "online", by: "192.0.2.1", detail: `${n}` });
    await store.log({ atMs: 1, device: "b", event: "asked", by: "192.0.2.2" });
    const entries = await store.logOf("a", 5000);
    assert.equal(entries.length, 1000);
    assert.deepEqual(
      entries.slice(0, 2).map(({ detail }) => detail),
      ["1005", "1004"],
    );
    assert.deepEqual(await store.logOf("b", 1), [{ atMs: 1, device: "b", event: "asked", by: "192.0.2.2" }]);
  });

  promise("whoever watches is told of changes, until it stops", async (store) => {
    const told = Promise.withResolvers<void>();
    const watching = store.watch(() => told.resolve());
    await store.insert(deviceOf("a"), 10);
    await told.promise;
    watching[Symbol.dispose]();
  });
}
