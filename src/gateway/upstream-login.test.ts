import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "#base";
import type { Credential, CredentialContext } from "#contract";
import { generatePrivateKey } from "#ssh/keys";
import {
  clientPassword,
  credential,
  deferred,
  FakeGateway,
  type FakeRule,
  knownPassword,
  storedPassword,
} from "#test/support/fake-gateway";
import type { FakeUpstreamOptions } from "#test/support/login-ends";
import { gatewayErrors } from "./errors.ts";

const nothing: Credential = credential(false, () => [{ method: "none" }]);
const stored = generatePrivateKey("ssh-ed25519");

/** A key whose agent is not there. */
const absent: Credential = credential(false, () => [
  {
    method: "publickey",
    key: async () => {
      throw new gatewayErrors.OPERATOR_RULE_INVALID("no agent");
    },
  },
]);

/** A key that is there, but whose agent will not sign. */
const unwilling: Credential = credential(false, () => [
  {
    method: "publickey",
    key: async () => ({
      ...stored,
      sign: async () => {
        throw new gatewayErrors.OPERATOR_RULE_INVALID("not confirmed");
      },
    }),
  },
]);

const willing: Credential = credential(false, () => [
  {
    method: "publickey",
    key: async () => ({ ...stored, sign: async (name, data) => stored.sign(name, data) as Uint8Array }),
  },
]);

/** An upstream that takes any key and one method besides. */
function upstream(more: "none" | "password" | "nothing" = "nothing"): FakeUpstreamOptions {
  return {
    answer: (attempt) => {
      if (attempt.method === "publickey") return attempt.proof === "none" ? "key-ok" : "accept";
      return attempt.method === more ? "accept" : "reject";
    },
  };
}

/** Logs in with a password that the gateway knows, or (deferred) with one for the upstream; how it went. */
async function enter(
  credentials: readonly Credential[],
  options: FakeUpstreamOptions,
  login: FakeRule["login"] = [knownPassword("x")],
): Promise<{ outcome: string; attempts: readonly string[]; gate: FakeGateway }> {
  const gate = new FakeGateway({
    clock: systemClock,
    rules: [{ user: "ada", login, credentials, upstreamUser: "root" }],
    upstream: () => options,
  });
  await using _gate = gate;
  const client = await gate.connect();
  const outcome = await client.password(await client.start("ada"), "x");
  return { outcome, attempts: gate.upstreams[0]?.attempts ?? [], gate };
}

test("none: an upstream that lets in without proof is entered so, in its turn", async () => {
  const first = await enter([nothing, storedPassword("y")], upstream("none"));
  assert.equal(first.outcome, "success");
  assert.deepEqual(first.attempts, ["none"]);
  const second = await enter([nothing, storedPassword("y")], upstream("password"));
  assert.equal(second.outcome, "success");
  assert.deepEqual(second.attempts, ["none", "password y"]);
  const refused = await enter([nothing], upstream());
  assert.match(refused.outcome, /^disconnected: The server behind this gateway refused/);
});

test("none proves nothing about the client's password", async () => {
  for (const credentials of [
    [nothing, clientPassword],
    [clientPassword, nothing],
  ]) {
    const { outcome, attempts } = await enter(credentials, upstream("none"), [deferred]);
    assert.match(outcome, /^failure/);
    assert.deepEqual(attempts, ["none"]);
  }
});

test("a key that signs elsewhere enters like any other", async () => {
  const { outcome, attempts } = await enter([willing], upstream());
  assert.equal(outcome, "success");
  assert.deepEqual(attempts, ["publickey none", "publickey valid"]);
});

test("a key that cannot be had gives way to the next credential, and is told when there is none", async () => {
  for (const [bad, asked] of [
    [absent, []],
    [unwilling, ["publickey none"]],
  ] as const) {
    const next = await enter([bad, storedPassword("y")], upstream("password"));
    assert.equal(next.outcome, "success");
    assert.deepEqual(next.attempts, [...asked, "password y"]);
    assert.equal(next.gate.events("credential-failed").length, 1);

    const alone = await enter([bad], upstream("password"));
    assert.equal(alone.outcome, "disconnected: The gateway is misconfigured.");
    const [failed] = alone.gate.events("session-failed");
    assert.equal(failed?.level, "error");
    assert.equal(alone.gate.events("session-ended")[0]?.["blame"], "OPERATOR");
  }
});

test("credentials learn the session's name and the account at the upstream", async () => {
  const seen: CredentialContext[] = [];
  const curious: Credential = {
    ...nothing,
    ways: async (context) => {
      seen.push(context);
      return [{ method: "none" }];
    },
  };
  const { gate } = await enter([curious], upstream("none"));
  const [context] = seen;
  assert.equal(context?.sessionId, gate.events("session-started")[0]?.["session"]);
  assert.equal(context?.user, "ada");
  assert.equal(context?.upstreamUser, "root");
});
