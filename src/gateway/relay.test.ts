import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock as clock } from "#base";
import type { AuthMethod, Credential } from "#contract";
import { FakeGateway, type FakeRule, storedKey } from "#test/support/fake-gateway";
import { type FakeClient, type FakeUpstreamOptions, outcomeOf } from "#test/support/login-ends";
import type { InfoRequest } from "#ssh/messages";
import type { UserauthClient } from "#ssh/userauth";

const relayed: AuthMethod = {
  kind: "relay",
  methods: ["keyboard-interactive", "password"],
  defers: true,
  relays: true,
  givesPassword: false,
  attempt: async () => ({ kind: "deferred" }),
  [Symbol.asyncDispose]: async () => {},
};
const sent: Credential = {
  kind: "relay",
  needsClientPassword: false,
  relays: true,
  ways: async ({ clientExchange: exchange }) =>
    exchange === undefined ? [] : [{ method: "keyboard-interactive", exchange }],
  [Symbol.asyncDispose]: async () => {},
};
const rule: FakeRule = { user: "ada", login: [relayed], credentials: [sent] };

/** Rounds of questions, and what answers them; wrong ones are rejected. */
function asking(
  ...rounds: readonly (readonly [question: string, answer: string])[]
): FakeUpstreamOptions["answer"] {
  let at = 0;
  const ask = (): ReturnType<FakeUpstreamOptions["answer"]> => ({
    ask: [{ text: rounds[at]?.[0] ?? "", echo: at > 0 }],
  });
  return (attempt) => {
    if (attempt.method === "keyboard-interactive") return (at = 0), ask();
    if (attempt.method !== "responses" || attempt.responses[0] !== rounds[at]?.[1]) return "reject";
    at++;
    return at === rounds.length ? "accept" : ask();
  };
}

/** Answers each round with the next answer; how it ended, and what was asked. */
async function converse(
  client: FakeClient,
  login: UserauthClient,
  ...answers: readonly string[]
): Promise<{ outcome: string; asked: InfoRequest[] }> {
  const asked: InfoRequest[] = [];
  const left = [...answers];
  login.tryKeyboardInteractive();
  for (;;) {
    const event = await client.next();
    if (event.kind !== "prompts") return { outcome: outcomeOf(event), asked };
    asked.push(event.request);
    login.answer(event.request.prompts.map(() => Buffer.from(left.shift() ?? "")));
  }
}

test("rounds go through as they are, and the upstream's answer is the answer", async () => {
  const methods = ["keyboard-interactive"];
  await using gate = new FakeGateway({
    clock,
    rules: [rule],
    upstream: () => ({ methods, answer: asking(["Password: ", "a"], ["Code: ", "b"]), banner: "hello" }),
  });
  const client = await gate.connect();
  const login = await client.start("ada");
  const wrong = await converse(client, login, "a", "wrong");
  assert.match(wrong.outcome, /^failure/);
  assert.deepEqual(client.banners, []);
  const right = await converse(client, login, "a", "b");
  assert.equal(right.outcome, "success");
  assert.deepEqual(
    right.asked.map(({ prompts }) => prompts[0]),
    [
      { text: "Password: ", echo: false },
      { text: "Code: ", echo: true },
    ],
  );
  assert.deepEqual(client.banners, ["hello"]);
  assert.equal(gate.dialled.length, 1, "one connection for all tries");
});

test("the banner comes before the first question where the rule says so, and is not told twice", async () => {
  const methods = ["keyboard-interactive"];
  await using gate = new FakeGateway({
    clock,
    rules: [{ ...rule, login: [{ ...relayed, tellsBanner: true }] }],
    upstream: () => ({ methods, answer: asking(["Password: ", "a"]), banner: "hello" }),
  });
  const client = await gate.connect();
  const login = await client.start("ada");
  login.tryKeyboardInteractive();
  const event = await client.next();
  assert.equal(event.kind, "prompts");
  assert.deepEqual(client.banners, ["hello"]);
  login.answer([Buffer.from("a")]);
  assert.equal(outcomeOf(await client.next()), "success");
  assert.deepEqual(client.banners, ["hello"]);
});

test("what the client would rather be asked is the upstream's to read", async () => {
  const heard: string[] = [];
  const answer = asking(["Code: ", "1"]);
  await using gate = new FakeGateway({
    clock,
    rules: [rule],
    upstream: () => ({
      methods: ["keyboard-interactive"],
      answer: (attempt, user) => {
        if (attempt.method === "keyboard-interactive") heard.push(attempt.submethods);
        return answer(attempt, user);
      },
    }),
  });
  const client = await gate.connect();
  const login = await client.start("ada");
  login.tryKeyboardInteractive("pam,skey");
  assert.equal((await client.next()).kind, "prompts");
  login.answer([Buffer.from("1")]);
  assert.equal(outcomeOf(await client.next()), "success");
  assert.deepEqual(heard, ["pam,skey"]);
});

test("an upstream that asks nothing, or lets the gateway in by something else, has judged nobody", async () => {
  for (const [credentials, answer] of [
    [[sent], ({ method }: { method: string }) => (method === "keyboard-interactive" ? "accept" : "reject")],
    [[sent, storedKey()], ({ method }: { method: string }) => (method === "none" ? "accept" : "reject")],
  ] as const) {
    await using gate = new FakeGateway({
      clock,
      rules: [{ ...rule, credentials }],
      upstream: () => ({ methods: ["keyboard-interactive"], answer }),
    });
    const client = await gate.connect();
    const { outcome } = await converse(client, await client.start("ada"), "x");
    assert.match(outcome, /^failure/);
  }
});

test("the rule's own key is one of two proofs, the client's answers the other", async () => {
  let proven = false;
  const questions = asking(["Code: ", "1"]);
  await using gate = new FakeGateway({
    clock,
    rules: [{ ...rule, credentials: [storedKey(), sent] }],
    upstream: () => ({
      answer: (attempt, user) => {
        if (attempt.method !== "publickey") return proven ? questions(attempt, user) : "reject";
        if (attempt.proof === "none") return "key-ok";
        proven = true;
        return "partial";
      },
      get methods() {
        return proven ? ["keyboard-interactive"] : ["publickey"];
      },
    }),
  });
  const client = await gate.connect();
  assert.equal((await converse(client, await client.start("ada"), "1")).outcome, "success");
});

test("an exchange that is given up for another one does no harm", async () => {
  await using gate = new FakeGateway({
    clock,
    rules: [rule],
    upstream: () => ({ methods: ["keyboard-interactive", "password"], answer: asking(["Code: ", "1"]) }),
  });
  const client = await gate.connect();
  const login = await client.start("ada");
  login.tryKeyboardInteractive();
  assert.equal((await client.next()).kind, "prompts");
  assert.equal((await converse(client, login, "1")).outcome, "success");
});
