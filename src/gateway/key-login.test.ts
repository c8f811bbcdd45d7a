/** Logins by key whose rule the key itself chooses, and those that are looked up only once they are proven. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "#base";
import type { AuthContext, AuthMethod, Proof } from "#contract";
import { formatPublicKey, generatePrivateKey } from "#ssh/keys";
import { FakeGateway, type FakeRule, storedKey } from "#test/support/fake-gateway";
import { type FakeClient, outcomeOf } from "#test/support/login-ends";

const clock = systemClock;
const ada = generatePrivateKey("ssh-ed25519");
const bob = generatePrivateKey("ssh-ed25519");

/** Takes what its rule was chosen by. */
const matched: AuthMethod = method(async (_, { matchedKey }) =>
  matchedKey === true ? { kind: "accepted", by: "match" } : { kind: "denied", reason: "not matched" },
);

function method(attempt: AuthMethod["attempt"]): AuthMethod {
  const fixed = { kind: "publickey", methods: ["publickey"], defers: false, givesPassword: false } as const;
  return { ...fixed, attempt, [Symbol.asyncDispose]: async () => {} };
}

type Login = Awaited<ReturnType<FakeClient["start"]>>;

/** Asks about a key, and proves it if it would do: what the gateway said. */
async function tryKey(client: FakeClient, login: Login, key: typeof ada): Promise<string> {
  login.tryKey(key);
  const event = await client.next();
  if (event.kind !== "need-signature") return outcomeOf(event);
  const made = key.sign(event.algorithm, event.data);
  assert.ok(made instanceof Uint8Array);
  login.signed(made);
  return `asked, ${outcomeOf(await client.next())}`;
}

test("the key decides, once it is proven", async () => {
  const rule = (name: string, key: typeof ada): FakeRule => ({
    name,
    user: "git",
    match: { keys: [formatPublicKey(key.blob)] },
    login: [matched],
    credentials: [storedKey()],
    hosts: [`${name}.lan`],
  });
  await using gate = new FakeGateway({
    clock,
    rules: [rule("one", ada), rule("two", bob)],
    upstream: () => ({ answer: () => "accept", methods: ["publickey"] }),
  });
  const client = await gate.connect();
  const login = await client.start("git");
  assert.equal(await tryKey(client, login, generatePrivateKey("ssh-ed25519")), "failure: publickey");
  login.tryKey(ada);
  assert.equal((await client.next()).kind, "need-signature");
  assert.deepEqual(gate.dialled, [], "a question leads nowhere");
  assert.equal(await tryKey(client, login, bob), "asked, success");
  assert.deepEqual(gate.dialled, ["two.lan:22"]);
});

test("what is looked up after the proof alone: names that lead nowhere are answered alike", async () => {
  const seen: (Pick<AuthContext, "pretended"> & { readonly proven: boolean; readonly mayRead: boolean })[] =
    [];
  const late = method(async (proof: Proof, { pretended, upstreamFiles }) => {
    const proven = proof.method === "publickey" && proof.proven;
    seen.push({ pretended, proven, mayRead: upstreamFiles !== undefined });
    return proven ? { kind: "denied", reason: "not there" } : { kind: "undecided" };
  });
  await using gate = new FakeGateway({
    clock,
    rules: [{ user: "ada", login: [late], credentials: [storedKey()] }],
    upstream: () => undefined,
  });
  for (const user of ["ada", "nobody"]) {
    const client = await gate.connect();
    const login = await client.start(user);
    assert.equal(await tryKey(client, login, ada), "asked, failure: publickey", user);
  }
  assert.deepEqual(gate.dialled, []);
  assert.deepEqual(seen, [
    { pretended: false, proven: false, mayRead: false },
    { pretended: false, proven: true, mayRead: true },
    { pretended: true, proven: false, mayRead: false },
    { pretended: true, proven: true, mayRead: false },
  ]);
});

test("10,000 keys: no more are looked at than the limit says", async () => {
  let looked = 0;
  const counting = method(async () => {
    looked++;
    return { kind: "denied", reason: "not listed" };
  });
  await using gate = new FakeGateway({
    clock,
    rules: [{ user: "ada", login: [counting], credentials: [storedKey()] }],
    upstream: () => undefined,
  });
  const client = await gate.connect();
  const login = await client.start("ada");
  let said = "";
  for (let at = 0; at < 10_000 && !said.startsWith("disconnected"); at++) {
    login.tryKey(ada);
    said = outcomeOf(await client.next());
  }
  assert.match(said, /^disconnected/);
  assert.ok(looked <= 49, `${looked}`);
});
