/** Decisions about devices survive kill -9 at any moment: all that was told is there, and nothing is there by half. */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { systemClock } from "#base";
import type { Device, DeviceStore } from "#contract";
import { openSqliteStore } from "#store";
import { Child } from "#test/support/child";
import { repository } from "#test/support/gateway";
import type { Said } from "#test/support/office-at-work";
import { tempDir } from "#test/support/temp-dir";

const rounds = 30;

/** mulberry32: the same moments again for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What must have happened to a device that is in that state, and nothing else. */
function eventsOf({ state, cameBy, name, tags }: Device): readonly string[] {
  if (cameBy.startsWith("token:")) return ["joined"];
  if (state === "pending") return ["asked"];
  const steps = ["asked", "approved"];
  if (name.startsWith("q")) steps.push("renamed");
  if (tags.includes("hall1")) steps.push("changed");
  if (state === "revoked") steps.push("revoked");
  return steps;
}

/** Whatever was under way when it was killed. */
async function checkWhole(store: DeviceStore, path: string): Promise<number> {
  const database = new DatabaseSync(path);
  try {
    assert.deepEqual(
      database
        .prepare("PRAGMA integrity_check")
        .all()
        .map((row) => row["integrity_check"]),
      ["ok"],
    );
    const rows = database.prepare("SELECT id, name, fingerprint, state, code, record FROM device").all();
    const tokenUses = new Map((await store.tokens()).map(({ id, usesLeft }) => [id, usesLeft]));
    const seenUses = new Map<string, number>();
    for (const { record, ...columns } of rows) {
      const device = JSON.parse(String(record)) as Device;
      const { id, name, fingerprint, state, code = null, cameBy } = device;
      assert.deepEqual({ ...columns }, { id, name, fingerprint, state, code });
      const events = (await store.logOf(id, 100)).map(({ event }) => event).reverse();
      assert.deepEqual(events, eventsOf(device), `what was noted of ${JSON.stringify(device)}`);
      const token = cameBy.startsWith("token:") ? cameBy.slice("token:".length) : undefined;
      if (token !== undefined) seenUses.set(token, (seenUses.get(token) ?? 0) + 1);
    }
    for (const [token, usesLeft] of tokenUses)
      assert.equal(
        2 - usesLeft,
        seenUses.get(token) ?? 0,
        `uses of token ${token}, and devices that came by it`,
      );
    return rows.length;
  } finally {
    database.close();
  }
}

test("whoever works at the devices may be killed at any moment", async () => {
  const seed = Number(process.env["SEED"] ?? randomInt(2 ** 31));
  const random = randomOf(seed);
  await using folder = await tempDir();
  const path = folder.at("devices.sqlite");
  let unsaid = 0;
  for (let round = 0; round < rounds; round++) {
    const where = `SEED=${seed}, round ${round}`;
    await using child = new Child(process.execPath, [
      `${repository}/test/support/office-at-work.ts`,
      path,
      `r${round}`,
    ]);
    const wanted = 1 + Math.floor(random() * 60);
    const devices = new Map<string, Said & { id: string }>();
    const tokens = new Map<string, number | undefined>();
    let under = "";
    let count = 0;
    if (child.process.stdout === null) throw new Error("it has no stdout");
    for await (const line of createInterface(child.process.stdout)) {
      const said = JSON.parse(line) as Said;
      if ("begins" in said) under = said.begins;
      else if ("id" in said) devices.set(said.id, said);
      else tokens.set(said.token, said.usesLeft);
      if (
        ("id" in said && under.endsWith(` ${said.id}`)) ||
        ("token" in said && under.endsWith(` ${said.token}`))
      )
        under = "";
      if (++count === wanted) child.kill("SIGKILL");
    }
    const { signal, stderr } = await child.outcome();
    assert.equal(signal, "SIGKILL", `${where}: ${stderr}`);
    await using store = openSqliteStore({ path, clock: systemClock });
    await checkWhole(store, path).catch((error: unknown) => {
      throw new Error(`${where}, killed at "${under}"`, { cause: error });
    });
    for (const [id, { device, events }] of devices as Map<string, Extract<Said, { id: string }>>) {
      const found = await store.byId(id);
      // The act that was under way may be there, as a whole; checkWhole has looked at it.
      if (under.endsWith(` ${id}`)) {
        unsaid += 1;
        const now = (await store.logOf(id, 100)).map(({ event }) => event).reverse();
        assert.deepEqual(now.slice(0, events.length), events, `${where}, killed at "${under}"`);
        assert.ok(now.length <= events.length + 1, where);
      } else assert.deepEqual(found, device, `${where}, killed at "${under}"`);
    }
    const found = new Map((await store.tokens()).map(({ id, usesLeft }) => [id, usesLeft]));
    for (const [token, usesLeft] of tokens)
      if (!under.endsWith(` ${token}`)) assert.equal(found.get(token), usesLeft, where);
  }
  assert.ok(unsaid > 0, `SEED=${seed}: no round was killed within an act`);
});
