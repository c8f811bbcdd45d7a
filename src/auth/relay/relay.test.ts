import assert from "node:assert/strict";
import { test } from "node:test";
import { authKinds, createAuthMethod } from "#auth";
import type { AuthContext } from "#contract";
import type { InfoRequest } from "#ssh/messages";

/** It uses none of them. */
const ports = {} as Parameters<typeof createAuthMethod>[1];
const context = { user: "ada", pretended: false } as AuthContext;

test("nothing is judged here: a name that leads somewhere is asked by the upstream, another one as if", async () => {
  const schema = authKinds.find(({ kind }) => kind === "relay")?.schema;
  const config = schema?.parse({ kind: "relay", prompt: "Passcode: " });
  assert.ok(config?.kind === "relay");
  await using method = await createAuthMethod(config, ports);
  assert.deepEqual(
    [method.methods, method.defers, method.relays],
    [["keyboard-interactive", "password"], true, true],
  );
  const asked: InfoRequest[] = [];
  const proof = {
    method: "keyboard-interactive",
    ask: async (request: InfoRequest) => {
      asked.push(request);
      return [Buffer.from("x")];
    },
  } as const;
  assert.deepEqual(await method.attempt(proof, context), { kind: "deferred" });
  assert.deepEqual(asked, []);
  assert.deepEqual(await method.attempt(proof, { ...context, pretended: true }), { kind: "deferred" });
  assert.deepEqual(asked, [{ name: "", instruction: "", prompts: [{ text: "Passcode: ", echo: false }] }]);
  const password = { method: "password", password: Buffer.from("x") } as const;
  assert.deepEqual(await method.attempt(password, { ...context, pretended: true }), { kind: "deferred" });
});
