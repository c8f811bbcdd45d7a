import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { systemClock } from "#base";
import type { DeviceStore } from "#contract";
import { deviceOf, deviceStoreContract } from "#test/contract/device-store";
import { tempDir } from "#test/support/temp-dir";
import { openSqliteStore } from "./index.ts";

const clock = systemClock;

deviceStoreContract("sqlite", async () => {
  const folder = await tempDir();
  const store = openSqliteStore({ path: folder.at("devices.sqlite"), clock });
  const close = store[Symbol.asyncDispose].bind(store);
  store[Symbol.asyncDispose] = async (): Promise<void> => {
    await close();
    await folder[Symbol.asyncDispose]();
  };
  return store;
});

test("what another process changes is seen, and told to who watches", async () => {
  await using folder = await tempDir();
  const path = folder.at("devices.sqlite");
  await using one = openSqliteStore({ path, clock });
  await using other = openSqliteStore({ path, clock });
  const told = Promise.withResolvers<void>();
  // The look at the clock is not for ever: somebody must keep the process alive meanwhile.
  const alive = setInterval(() => {}, 1000);
  using _ = one.watch(() => told.resolve());
  await other.insert(deviceOf("a"), 10);
  await told.promise;
  clearInterval(alive);
  assert.equal((await one.byName("a"))?.id, "a");
});

test("two processes take a token's last use once", async () => {
  await using folder = await tempDir();
  const path = folder.at("devices.sqlite");
  const stores: DeviceStore[] = [openSqliteStore({ path, clock }), openSqliteStore({ path, clock })];
  await stores[0]?.insertToken({
    id: "t",
    hash: "h",
    usesLeft: 3,
    expiresAtMs: 10,
    tags: [],
    ports: [],
    web: "off",
    names: "*",
    createdAtMs: 1,
  });
  const uses = await Promise.all(
    Array.from(
      { length: 10 },
      async (_, n) => await stores[n % 2]?.insert(deviceOf(`d${n}`), 10, { token: { hash: "h", nowMs: 1 } }),
    ),
  );
  assert.equal(uses.filter((result) => result === "inserted").length, 3);
  for (const store of stores) await store[Symbol.asyncDispose]();
});

test("after kill -9, all that was promised is there, whole", async () => {
  await using folder = await tempDir();
  const path = folder.at("devices.sqlite");
  const program = `
    import { openSqliteStore } from "#store";
    import { systemClock } from "#base";
    import { deviceOf } from "#test/contract/device-store";
    const store = openSqliteStore({ path: ${JSON.stringify(path)}, clock: systemClock });
    for (let n = 0; ; n++) {
      const id = \`d\${process.pid}-\${n}\`;
      await store.insert(deviceOf(id, { tags: ["x".repeat(n % 500)] }), 10);
      await store.log({ atMs: n, device: id, event: "joined", by: "test" });
      process.stdout.write(id + "\\n");
    }`;
  for (let round = 1; round <= 5; round++) {
    const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const promised: string[] = [];
    for await (const line of createInterface(child.stdout)) {
      promised.push(line);
      if (promised.length === 20 * round) child.kill("SIGKILL");
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    assert.equal(child.signalCode, "SIGKILL");
    await using store = openSqliteStore({ path, clock });
    for (const id of promised) {
      assert.equal((await store.byId(id))?.fingerprint, `SHA256:${id}`);
      assert.equal((await store.logOf(id, 10)).length, 1);
    }
  }
});

test("a copy holds all, and does not overwrite", async () => {
  await using folder = await tempDir();
  await using store = openSqliteStore({ path: folder.at("devices.sqlite"), clock });
  await store.insert(deviceOf("a"), 10);
  await store.backup(folder.at("copy.sqlite"));
  await using copy = openSqliteStore({ path: folder.at("copy.sqlite"), clock });
  assert.equal((await copy.byName("a"))?.id, "a");
  writeFileSync(folder.at("there"), "x");
  await assert.rejects(store.backup(folder.at("there")), { code: "OPERATOR_STORE_BACKUP" });
});

test("a file that is no database, or of a newer version, is refused and left alone", async () => {
  await using folder = await tempDir();
  writeFileSync(
    folder.at("text"),
    "this is no database, but it is long enough to be taken for one at first".repeat(20),
  );
  assert.throws(() => openSqliteStore({ path: folder.at("text"), clock }), {
    code: "OPERATOR_STORE_UNUSABLE",
  });
  assert.throws(() => openSqliteStore({ path: folder.at("no", "where"), clock }), {
    code: "OPERATOR_STORE_UNUSABLE",
  });
  const newer = new DatabaseSync(folder.at("newer"));
  newer.exec("PRAGMA user_version = 99");
  newer.close();
  assert.throws(() => openSqliteStore({ path: folder.at("newer"), clock }), { code: "OPERATOR_STORE_NEWER" });
  assert.ok(existsSync(folder.at("newer")));
});
