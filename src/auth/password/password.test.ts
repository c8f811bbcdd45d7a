import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLog, systemClock } from "#base";
import type { AuthContext, AuthPorts, Proof } from "#contract";
import { noUsers } from "#test/support/auth-ports";
import { hashPassword } from "./hash.ts";
import { password } from "./password.ts";

const ports: AuthPorts = {
  clock: systemClock,
  log: silentLog,
  files: { read: async () => undefined },
  ...noUsers,
};
const context: AuthContext = {
  user: "x",
  captures: {},
  from: { text: "unix" },
  nowMs: 0,
  signal: AbortSignal.timeout(60_000),
  pretended: false,
};
const proof = (text: string): Proof => ({ method: "password", password: Buffer.from(text) });

test("any of several hashes will do", async () => {
  const hashes = [await hashPassword("one"), await hashPassword("two")];
  await using method = await password.create(password.schema.parse({ kind: "password", hashes }), ports);
  assert.equal(method.defers, false);
  assert.equal((await method.attempt(proof("one"), context)).kind, "accepted");
  assert.equal((await method.attempt(proof("two"), context)).kind, "accepted");
  assert.equal((await method.attempt(proof("three"), context)).kind, "denied");
});

test("an empty password never logs in, whatever was configured", async () => {
  const config = password.schema.parse({ kind: "password", dangerouslyPlain: ["", "x"] });
  await using method = await password.create(config, ports);
  assert.equal((await method.attempt(proof(""), context)).kind, "denied");
  assert.equal((await method.attempt(proof("x"), context)).kind, "accepted");
});

test("what the upstream checks is deferred to it", async () => {
  await using method = await password.create(
    password.schema.parse({ kind: "password", check: "upstream" }),
    ports,
  );
  assert.equal(method.defers, true);
  assert.deepEqual(await method.attempt(proof("anything"), context), { kind: "deferred" });
});

test("the configuration says one of the two, and nothing else", () => {
  for (const config of [
    { kind: "password" },
    { kind: "password", check: "here" },
    { kind: "password", hashes: [] },
    { kind: "password", check: "upstream", hashes: ["x"] },
    { kind: "password", check: "upstream", other: 1 },
  ]) {
    assert.equal(password.schema.safeParse(config).success, false, JSON.stringify(config));
  }
});
