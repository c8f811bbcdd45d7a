import assert from "node:assert/strict";
import { test } from "node:test";
import type { PeerAddress } from "#contract";
import { FakeClock } from "#test/support/fake-clock";
import { Attempts, maxKnownLogins, maxWaitingLogins } from "./attempts.ts";

const from = (ip: string): PeerAddress => ({ ip, text: ip });
const login = (user: string, password = "x"): { user: string; password: Uint8Array } => ({
  user,
  password: Buffer.from(password),
});

test("one after the other for each network, and others beside it; too many are turned away", async () => {
  const attempts = new Attempts(new FakeClock());
  const began: string[] = [];
  const ends: (() => void)[] = [];
  const judge = (name: string) => async (): Promise<string> => {
    began.push(name);
    await new Promise<void>((resolve) => ends.push(resolve));
    return name;
  };
  const turn = async (): Promise<void> => await new Promise((resolve) => setImmediate(resolve));
  const all = Array.from({ length: maxWaitingLogins }, (_, at) =>
    attempts.inTurn(from(at % 2 === 0 ? "2001:db8::1" : "2001:db8::2"), judge(`a${at}`)),
  );
  assert.equal(await attempts.inTurn(from("2001:db8::3"), judge("a-late")), undefined);
  const other = attempts.inTurn(from("192.0.2.1"), judge("b"));
  await turn();
  assert.deepEqual(began, ["a0", "b"]);
  for (let at = 0; at < 20; at++) {
    ends.shift()?.();
    await turn();
  }
  assert.deepEqual(await Promise.all([...all, other]), [...all.map((_, at) => `a${at}`), "b"]);
  const again = attempts.inTurn(from("2001:db8::3"), judge("a-again"));
  await turn();
  ends.shift()?.();
  assert.equal(await again, "a-again");
});

test("one that fails holds up nobody behind it", async () => {
  const attempts = new Attempts(new FakeClock());
  const bad = attempts.inTurn(from("192.0.2.1"), () => Promise.reject(new Error("bad")));
  const good = attempts.inTurn(from("192.0.2.1"), () => Promise.resolve("good"));
  await assert.rejects(bad, /bad/);
  assert.equal(await good, "good");
});

test("what was proven is remembered for a while, for this name, password and address alone", () => {
  const clock = new FakeClock();
  const attempts = new Attempts(clock);
  const proof = { user: "ada", rules: ["web"] };
  const home = from("192.0.2.1");
  attempts.remember(login("ada", "right"), home, proof);
  assert.deepEqual(attempts.known(login("ada", "right"), home), proof);
  assert.equal(attempts.known(login("ada", "wrong"), home), undefined);
  assert.equal(attempts.known(login("adar", "ight"), home), undefined);
  assert.equal(attempts.known(login("ada", "right"), from("192.0.2.2")), undefined);
  clock.advance(30_000);
  assert.equal(attempts.known(login("ada", "right"), home), undefined);
  for (let at = 0; at <= maxKnownLogins; at++) attempts.remember(login(`user${at}`), home, proof);
  assert.equal(attempts.known(login("user0"), home), undefined);
  assert.deepEqual(attempts.known(login("user1"), home), proof);
});
