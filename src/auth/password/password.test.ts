import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLog, systemClock } from "#base";
import type { AuthContext, AuthPorts, Proof, User, Verdict } from "#contract";
import { noUsers, usersPort } from "#test/support/auth-ports";
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

/** Answers each round with this. */
const asked = (text: string, prompts: string[] = []): Proof => ({
  method: "keyboard-interactive",
  ask: async (request) => {
    prompts.push(...request.prompts.map((prompt) => `${prompt.text}${prompt.echo}`));
    return [Buffer.from(text)];
  },
});

test("asked as a prompt, the password goes with the verdict, for the upstream", async () => {
  const methods = ["keyboard-interactive"];
  const hashes = [await hashPassword("one")];
  await using here = await password.create(
    password.schema.parse({ kind: "password", hashes, methods }),
    ports,
  );
  assert.deepEqual(here.methods, methods);
  const prompts: string[] = [];
  const verdict = await here.attempt(asked("one", prompts), context);
  assert.deepEqual(verdict, { kind: "accepted", by: "password hash", password: Buffer.from("one") });
  assert.deepEqual(prompts, ["Password: false"]);
  assert.equal((await here.attempt(asked("two"), context)).kind, "denied");
  await using there = await password.create(
    password.schema.parse({ kind: "password", check: "upstream", methods }),
    ports,
  );
  const deferred = await there.attempt(asked("any"), context);
  assert.deepEqual(deferred, { kind: "deferred", password: Buffer.from("any") });
});

test("the password of a user who is listed; who is not costs as much, and is refused with a stand-in's own password", async () => {
  const user = (name: string, passwords: readonly string[]): User => ({
    name,
    passwords,
    keys: [],
    groups: [],
  });
  const ada = user("ada", [await hashPassword("one"), await hashPassword("two")]);
  const withUsers = { ...ports, users: usersPort(ada, user("bare", [])) };
  const config = password.schema.parse({ kind: "password", users: {}, dangerouslyPlain: ["spare"] });
  await using method = await password.create(config, withUsers);
  const attempt = async (name: string, text: string): Promise<Verdict> =>
    await method.attempt(proof(text), { ...context, user: name, captures: { user: name } });
  assert.deepEqual(await attempt("ada", "two"), { kind: "accepted", by: "password of ada" });
  assert.deepEqual(await attempt("ada", "wrong"), { kind: "denied", reason: "the password is wrong" });
  assert.deepEqual(await attempt("bare", "one"), { kind: "denied", reason: '"bare" has no password' });
  assert.deepEqual(await attempt("eve", "one"), { kind: "denied", reason: '"eve" is not among the users' });
  assert.equal((await attempt("eve", "spare")).kind, "accepted", "listed in the rule, for everybody");
});
