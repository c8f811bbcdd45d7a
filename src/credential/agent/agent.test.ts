import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLog, systemClock as clock } from "#base";
import type { ClientAgent, CredentialContext, UpstreamBinding } from "#contract";
import { createCredential, credentialKinds } from "#credential";
import { generatePrivateKey } from "#ssh/keys";

const ports = { clock, log: silentLog, files: { read: async () => undefined } };
const context: CredentialContext = { sessionId: "s", user: "ada", captures: {}, upstreamUser: "root" };
const binding: UpstreamBinding = {
  hostKey: Buffer.from("key"),
  sessionId: Buffer.from("id"),
  hostKeySignature: Buffer.from("signature"),
};

test("the client's agent is asked when its turn has come, for this upstream, with the rule's patience", async () => {
  const key = generatePrivateKey("ssh-ed25519");
  const asked: unknown[] = [];
  const clientAgent: ClientAgent = {
    keys: async (...what) => {
      asked.push(what);
      return [key];
    },
  };
  await using credential = await createCredential(
    { kind: "agent", waitSeconds: 30, timeoutSeconds: 7 },
    ports,
  );
  assert.deepEqual(credential.clientAgent, { waitMs: 30_000 });
  const [way, ...more] = await credential.ways({ ...context, clientAgent });
  assert.ok(way?.method === "publickey" && "keys" in way && more.length === 0);
  assert.deepEqual(asked, []);
  assert.deepEqual(await way.keys(binding), [key]);
  assert.deepEqual(asked, [[binding, 7000]]);
});

test("without an agent there is nothing to offer", async () => {
  await using credential = await createCredential(
    { kind: "agent", waitSeconds: 30, timeoutSeconds: 7 },
    ports,
  );
  assert.deepEqual(await credential.ways(context), []);
});

test("the configuration: nothing but patience, with defaults", () => {
  const schema = credentialKinds.find(({ kind }) => kind === "agent")?.schema;
  assert.deepEqual(schema?.parse({ kind: "agent" }), { kind: "agent", waitSeconds: 30, timeoutSeconds: 60 });
  assert.deepEqual(schema?.parse({ kind: "agent", waitSeconds: "2m" }), {
    kind: "agent",
    waitSeconds: 120,
    timeoutSeconds: 60,
  });
  for (const wrong of [{ socket: "/run/agent.sock" }, { waitSeconds: 0 }, { timeoutSeconds: "1h" }])
    assert.equal(schema?.safeParse({ kind: "agent", ...wrong }).success, false, JSON.stringify(wrong));
});
