import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "#base";
import type { AuthMethod, Verdict } from "#contract";
import { generatePrivateKey } from "#ssh/keys";
import type { UserauthClient } from "#ssh/userauth";
import {
  clientPassword,
  deferred,
  FakeGateway,
  type FakeRule,
  knownKey,
  knownPassword,
  storedKey,
} from "#test/support/fake-gateway";
import { type FakeClient, type FakeUpstreamOptions, outcomeOf } from "#test/support/login-ends";

const clock = systemClock;
const key = generatePrivateKey("ssh-ed25519");
const anyUpstream = (): FakeUpstreamOptions => ({
  answer: (attempt) => {
    if (attempt.method === "publickey") return attempt.proof === "none" ? "key-ok" : "accept";
    return attempt.method === "password" && Buffer.from(attempt.password).toString() === "right"
      ? "accept"
      : "reject";
  },
});

interface Asking extends AuthMethod {
  /** Names it was asked about, and whether it only pretended. */
  readonly seen: string[];
}

/** Asks for one word, and takes `right`. */
function asking(prompt: string, right: string, more: Partial<AuthMethod> = {}): Asking {
  const seen: string[] = [];
  return {
    kind: "asking",
    methods: ["keyboard-interactive"],
    defers: false,
    givesPassword: false,
    attempt: async (proof, { user, pretended }): Promise<Verdict> => {
      if (proof.method !== "keyboard-interactive") return { kind: "denied", reason: "not asked" };
      seen.push(pretended ? `${user}?` : user);
      const prompts = [{ text: prompt, echo: false }];
      const [answer] = await proof.ask({ name: "", instruction: "", prompts });
      return Buffer.from(answer ?? []).toString() === right
        ? { kind: "accepted", by: prompt }
        : { kind: "denied", reason: "wrong answer" };
    },
    [Symbol.asyncDispose]: async () => {},
    ...more,
    seen,
  };
}

/** One exchange: the prompts that came, and how it ended. */
async function answer(
  client: FakeClient,
  login: UserauthClient,
  ...answers: readonly string[]
): Promise<string> {
  login.tryKeyboardInteractive();
  const said: string[] = [];
  for (;;) {
    const event = await client.next();
    if (event.kind !== "prompts") return [...said, outcomeOf(event)].join(" ");
    const at = said.length;
    said.push(...event.request.prompts.map(({ text }) => text));
    login.answer(said.slice(at).map((_prompt, n) => Buffer.from(answers[at + n] ?? "")));
  }
}

/** `partial` where the step is done and another due. */
async function prove(client: FakeClient, login: UserauthClient): Promise<string> {
  login.tryKey(key);
  const asked = await client.next();
  if (asked.kind !== "need-signature") return outcomeOf(asked);
  login.signed(key.sign(asked.algorithm, asked.data) as Uint8Array);
  const event = await client.next();
  return event.kind === "choose" && event.partialSuccess
    ? `partial: ${event.methods.join(",")}`
    : outcomeOf(event);
}

function rule(steps: readonly (readonly AuthMethod[])[], more: Partial<FakeRule> = {}): FakeRule {
  return { user: "ada", login: [], steps, credentials: [storedKey()], ...more };
}

test("each step in turn: the next is told when one is done, the upstream entered when all are", async () => {
  const code = asking("code", "1");
  await using gate = new FakeGateway({
    clock,
    rules: [rule([[knownKey(key.blob)], [code]])],
    upstream: anyUpstream,
  });
  const client = await gate.connect();
  const login = await client.start("ada");
  assert.equal(await prove(client, login), "partial: keyboard-interactive");
  assert.deepEqual(gate.dialled, []);
  assert.equal(await answer(client, login, "2"), "code failure: keyboard-interactive");
  assert.equal(await client.password(login, "x"), "failure: keyboard-interactive", "another method is due");
  assert.equal(await prove(client, login), "failure: keyboard-interactive", "the key is done");
  assert.equal(await answer(client, login, "1"), "code success");
  assert.deepEqual(gate.dialled, ["upstream:22"]);
  const [success] = gate.events("auth-success");
  assert.equal(success?.["method"], "publickey,keyboard-interactive");
  assert.equal(success?.["by"], "key, code");
});

test("the steps cannot be taken in another order, nor the first be left out", async () => {
  const code = asking("code", "1");
  await using gate = new FakeGateway({
    clock,
    rules: [rule([[knownKey(key.blob)], [code]]), rule([[asking("code", "2")]], { user: "bob" })],
    upstream: anyUpstream,
  });
  const client = await gate.connect();
  const login = await client.start("ada");
  // Asked as bob would be, since a name like ada's might as well not exist.
  assert.equal(await answer(client, login, "1"), "code failure: publickey,keyboard-interactive");
  assert.equal(await answer(client, login, "2"), "code failure: publickey,keyboard-interactive");
  assert.deepEqual(code.seen, []);
  assert.deepEqual(gate.dialled, []);
});

test("what one name has proven is worth nothing to another, nor to itself later", async () => {
  const rules = ["ada", "bob"].map((user) => rule([[knownKey(key.blob)], [asking("code", "1")]], { user }));
  await using gate = new FakeGateway({ clock, rules, upstream: anyUpstream });
  const client = await gate.connect();
  assert.equal(await prove(client, await client.start("ada")), "partial: keyboard-interactive");
  const bob = await client.start("bob");
  assert.equal(await answer(client, bob, "1"), "failure: publickey");
  const again = await client.start("ada");
  assert.equal(await answer(client, again, "1"), "failure: publickey");
  assert.deepEqual(gate.dialled, []);
});

test("a name that is not known is asked what its shadow's rule asks, and always refused", async () => {
  const code = asking("code", "1");
  const word = asking("word", "2");
  await using gate = new FakeGateway({
    clock,
    rules: [rule([[code, word]]), rule([[knownKey(key.blob)]], { user: "bob" })],
    upstream: anyUpstream,
  });
  const said: string[] = [];
  for (const user of ["ada", "eve", "bob"]) {
    const client = await gate.connect();
    const login = await client.start(user);
    said.push(await answer(client, login, "0", "0"));
    if (user !== "ada") assert.match(await answer(client, login, "1", "2"), /^code word failure: /, user);
  }
  assert.deepEqual(new Set(said), new Set(["code word failure: keyboard-interactive,publickey"]));
  assert.deepEqual(code.seen, ["ada", "eve?", "eve?", "bob?", "bob?"]);
});

test("keyboard-interactive is not even begun where no rule begins with it", async () => {
  await using gate = new FakeGateway({
    clock,
    rules: [rule([[knownKey(key.blob)], [asking("code", "1")]])],
    upstream: anyUpstream,
  });
  for (const user of ["ada", "eve"]) {
    const client = await gate.connect();
    assert.equal(await answer(client, await client.start(user), "1"), "failure: publickey");
  }
});

test("an exchange that is given up for another attempt is a failure, and the attempt is judged", async () => {
  await using gate = new FakeGateway({
    clock,
    rules: [rule([[asking("word", "1"), knownPassword("right")]])],
    upstream: anyUpstream,
  });
  const client = await gate.connect();
  const login = await client.start("ada");
  login.tryKeyboardInteractive();
  assert.equal((await client.next()).kind, "prompts");
  login.tryNone();
  assert.equal(outcomeOf(await client.next()), "failure: keyboard-interactive,password");
  assert.equal(await client.password(login, "right"), "success");
});

test("exchanges given up without end use up the tries", async () => {
  await using gate = new FakeGateway({
    clock,
    rules: [rule([[asking("word", "1")]])],
    upstream: anyUpstream,
    limits: { maxAuthTries: 3 },
  });
  const client = await gate.connect();
  const login = await client.start("ada");
  let opened = 0;
  for (;;) {
    login.tryKeyboardInteractive();
    const event = await client.next();
    if (event.kind !== "prompts") {
      assert.equal(event.kind, "disconnected");
      break;
    }
    opened += 1;
    assert.ok(opened <= 3, `${opened} exchanges`);
  }
});

test("a client that leaves in the midst of an exchange ends the session, and nothing else", async () => {
  await using gate = new FakeGateway({
    clock,
    rules: [rule([[asking("word", "1")]])],
    upstream: anyUpstream,
  });
  const client = await gate.connect();
  const login = await client.start("ada");
  login.tryKeyboardInteractive();
  assert.equal((await client.next()).kind, "prompts");
  client.link.destroy();
  await gate.gateway.whenEmpty();
  const [end] = gate.events("session-ended");
  assert.equal(end?.["blame"], "none");
});

test("a password that the upstream took is kept for the steps after it, its connection too", async () => {
  const code = asking("code", "1");
  await using gate = new FakeGateway({
    clock,
    rules: [rule([[deferred], [code]], { credentials: [clientPassword] })],
    upstream: anyUpstream,
  });
  const client = await gate.connect();
  const login = await client.start("ada");
  assert.equal(await client.password(login, "wrong"), "failure: password");
  assert.equal(await client.password(login, "right"), "failure: keyboard-interactive");
  assert.equal(await answer(client, login, "1"), "code success");
  assert.deepEqual(gate.upstreams[0]?.attempts, ["password wrong", "password right"]);
  assert.equal(gate.dialled.length, 1);
});

test("the client's password of an earlier step is there for the upstream at the end", async () => {
  await using gate = new FakeGateway({
    clock,
    rules: [rule([[knownPassword("right")], [asking("code", "1")]], { credentials: [clientPassword] })],
    upstream: anyUpstream,
  });
  const client = await gate.connect();
  const login = await client.start("ada");
  assert.equal(await client.password(login, "right"), "failure: keyboard-interactive");
  assert.deepEqual(gate.dialled, []);
  assert.equal(await answer(client, login, "1"), "code success");
  assert.deepEqual(gate.upstreams[0]?.attempts, ["password right"]);
});

/** A password asked as a prompt, which the upstream judges. */
const askedForUpstream = asking("Password", "", {
  defers: true,
  givesPassword: true,
  attempt: async (proof): Promise<Verdict> => {
    if (proof.method !== "keyboard-interactive") return { kind: "denied", reason: "not asked" };
    const prompts = [{ text: "Password", echo: false }];
    const [password] = await proof.ask({ name: "", instruction: "", prompts });
    return { kind: "deferred", ...(password === undefined ? {} : { password }) };
  },
});

test("an upstream that wants a new password has it asked for in the same exchange", async () => {
  const upstream = (): FakeUpstreamOptions => ({
    answer: (attempt) => {
      if (attempt.method !== "password") return "reject";
      return attempt.newPassword === undefined ? { change: "It has expired." } : "accept";
    },
  });
  const rules = [rule([[askedForUpstream]], { credentials: [clientPassword] })];
  await using gate = new FakeGateway({ clock, rules, upstream });
  const client = await gate.connect();
  const login = await client.start("ada");
  assert.equal(
    await answer(client, login, "old", "new", "other"),
    "Password New password:  New password again:  failure: keyboard-interactive",
  );
  assert.equal(
    await answer(client, login, "old", "new", "new"),
    "Password New password:  New password again:  success",
  );
  assert.equal(gate.upstreams.at(-1)?.attempts.at(-1), "password old -> new");
});

test("an unknown name waits where its shadow's password would be judged by the upstream", async () => {
  const rules = [rule([[askedForUpstream]], { credentials: [clientPassword] })];
  await using gate = new FakeGateway({ clock, rules, upstream: anyUpstream });
  gate.delays.record("rule0", "first-password", 400);
  const client = await gate.connect();
  const login = await client.start("eve");
  const started = clock.monotonic();
  assert.equal(await answer(client, login, "right"), "Password failure: keyboard-interactive");
  assert.ok(clock.monotonic() - started >= 390);
  assert.deepEqual(gate.dialled, []);
});

test("what each step takes from the session is taken together", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const restricted: AuthMethod = {
    ...knownKey(key.blob),
    attempt: async () => ({
      kind: "accepted",
      by: "key",
      restrictions: [
        {
          of: "key",
          pty: false,
          portForwarding: true,
          agentForwarding: true,
          x11Forwarding: true,
          environment: new Map(),
        },
      ],
    }),
  };
  await using gate = new FakeGateway({
    clock,
    rules: [rule([[restricted], [asking("code", "1")]])],
    upstream: () => {
      resolve();
      return anyUpstream();
    },
  });
  const client = await gate.connect();
  const login = await client.start("ada");
  assert.equal(await prove(client, login), "partial: keyboard-interactive");
  assert.equal(await answer(client, login, "1"), "code success");
  await promise;
  const [session] = gate.gateway.sessions;
  assert.equal(session?.method, "publickey,keyboard-interactive");
});

test("a way on cannot be chosen when the upstream was entered already", async () => {
  const choosing: AuthMethod = {
    ...asking("code", "1"),
    attempt: async () => ({ kind: "accepted", by: "code", direction: { user: "root" } }),
  };
  await using gate = new FakeGateway({
    clock,
    rules: [rule([[deferred], [choosing]], { credentials: [clientPassword] })],
    upstream: anyUpstream,
  });
  const client = await gate.connect();
  const login = await client.start("ada");
  assert.match(await client.password(login, "right"), /^partial|keyboard-interactive/);
  assert.equal(await answer(client, login), "failure: keyboard-interactive");
  assert.match(
    JSON.stringify(gate.events("auth-denied").at(-1)),
    /a way on was chosen when the upstream was entered already/,
  );
});
