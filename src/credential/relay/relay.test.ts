import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLog, systemClock as clock } from "#base";
import type { CredentialContext } from "#contract";
import { createCredential } from "#credential";

const context: CredentialContext = { sessionId: "s", user: "ada", captures: {}, upstreamUser: "root" };

test("what the client gives is what is sent on: its exchange, or its password, or nothing", async () => {
  const ports = { clock, log: silentLog, files: { read: async () => undefined } };
  await using credential = await createCredential({ kind: "relay" }, ports);
  assert.equal(credential.relays, true);
  assert.deepEqual(await credential.ways(context), []);
  const clientPassword = Buffer.from("secret");
  assert.deepEqual(await credential.ways({ ...context, clientPassword }), [
    { method: "password", password: clientPassword, whose: "client", relayed: true },
  ]);
  const clientExchange = { ask: async () => [] };
  assert.deepEqual(await credential.ways({ ...context, clientExchange }), [
    { method: "keyboard-interactive", exchange: clientExchange },
  ]);
});
