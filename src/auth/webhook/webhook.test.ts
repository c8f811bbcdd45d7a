import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import { test } from "node:test";
import { type LogFields, Secret, silentLog, systemClock } from "#base";
import type { AuthContext, AuthPorts, Proof, Verdict } from "#contract";
import { generatePrivateKey } from "#ssh/keys";
import { noUsers } from "#test/support/auth-ports";
import { parseAnswer } from "./answer.ts";
import { webhookErrors } from "./errors.ts";
import { signatureOf } from "./post.ts";
import { schema, type WebhookConfig } from "./schema.ts";
import { webhook } from "./webhook.ts";

const key = generatePrivateKey("ssh-ed25519").publicKey;
const shown: Proof = { method: "publickey", algorithm: "ssh-ed25519", key, blob: key.blob, proven: true };

const answered = (value: unknown): ReturnType<typeof parseAnswer> =>
  parseAnswer(Buffer.from(JSON.stringify(value)));

test("an answer, as the gateway works with it", () => {
  assert.deepEqual(answered({ allow: true }), { allow: true, restrictions: [] });
  assert.deepEqual(answered({ allow: false, reason: "no" }), { allow: false, reason: "no" });
  assert.deepEqual(answered({ allow: true, message: [] }), { allow: true, restrictions: [] });
  const whole = answered({
    allow: true,
    subject: "ada",
    message: ["a", "b"],
    upstream: { host: "web1" },
    credentials: ["key", 1],
    limits: { seconds: 60, pty: false, permitOpen: ["db:5432", "[::1]:*"], command: "true" },
  });
  assert.ok(whole.allow);
  assert.equal(whole.message, "a\nb");
  assert.deepEqual(whole.direction, { address: { host: "web1", port: 22 }, credentials: ["key", 1] });
  const [limits] = whole.restrictions;
  assert.equal(limits?.pty, false);
  assert.equal(limits.x11Forwarding, true);
  assert.equal(limits.maxSeconds, 60);
  assert.deepEqual(limits.permitOpen, [
    { host: "db", port: 5432 },
    { host: "::1", port: "any" },
  ]);
});

test("what is no answer is the webhook's fault, and what it holds is not repeated", () => {
  const wrong: readonly unknown[] = [
    null,
    [],
    "allow",
    {},
    { allow: "true" },
    { allow: 1 },
    { allow: true, more: "hunter2" },
    { allow: false, upstream: { host: "hunter2" } },
    { allow: true, subject: "hunter2\n" },
    { allow: true, subject: "hunter2\u202e" },
    { allow: true, upstream: { port: 22 } },
    { allow: true, upstream: { host: "a", port: 0 } },
    { allow: true, credentials: [] },
    { allow: true, credentials: [0] },
    { allow: true, limits: { permitOpen: ["hunter2"] } },
    { allow: true, limits: { permitOpen: ['a:1",command="hunter2'] } },
    { allow: true, limits: { environment: { "a=b": "hunter2" } } },
    { allow: true, limits: { command: "hunter2\0" } },
    { allow: true, limits: { shell: false } },
  ];
  for (const value of wrong) {
    assert.throws(
      () => answered(value),
      (error: Error) =>
        error instanceof webhookErrors.UPSTREAM_WEBHOOK_FAILED && !error.message.includes("hunter2"),
      JSON.stringify(value),
    );
  }
  assert.throws(() => parseAnswer(Buffer.from([0x22, 0xff, 0x22])), webhookErrors.UPSTREAM_WEBHOOK_FAILED);
});

test("the signature is over time and body", () => {
  const secret = Buffer.from("key");
  assert.match(signatureOf(secret, Buffer.from("{}"), 1_700_000_000_999), /^t=1700000000,v1=[0-9a-f]{64}$/);
  assert.notEqual(signatureOf(secret, Buffer.from("{}"), 1e12), signatureOf(secret, Buffer.from("{}"), 2e12));
});

/** A webhook, and attempts at it. */
async function serving(answer: (response: ServerResponse) => void, config: Partial<WebhookConfig> = {}) {
  let asked = 0;
  const server = createServer((_, response) => {
    asked += 1;
    answer(response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const warnings: LogFields[] = [];
  const ports: AuthPorts = {
    clock: systemClock,
    log: { ...silentLog, warn: (event, fields) => void warnings.push({ event, ...fields }) },
    files: { read: async () => undefined },
    ...noUsers,
  };
  const url = `http://127.0.0.1:${port}/hook?secret=hunter2`;
  const method = await webhook.create({ kind: "webhook", url, retries: 0, ...config }, ports);
  const context: AuthContext = {
    user: "ada",
    captures: { user: "ada", absent: undefined },
    from: { ip: "192.0.2.7", port: 5, text: "192.0.2.7:5" },
    nowMs: 0,
    signal: AbortSignal.any([]),
    pretended: false,
    login: { session: "s1", rule: "web", via: "ssh", passed: [] },
  };
  return {
    warnings,
    asked: () => asked,
    attempt: (proof: Proof = shown, more: Partial<AuthContext> = {}): Promise<Verdict> =>
      method.attempt(proof, { ...context, ...more }),
    [Symbol.asyncDispose]: async () => {
      await method[Symbol.asyncDispose]();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test("a client that leaves ends the question", async () => {
  const leaving = new AbortController();
  await using hook = await serving(() => leaving.abort(new Error("left")));
  await assert.rejects(hook.attempt(shown, { signal: leaving.signal }), /left/);
});

test("what is only pretended asks nobody", async () => {
  await using hook = await serving((response) => void response.end('{"allow":true}'));
  assert.equal((await hook.attempt(shown, { pretended: true })).kind, "denied");
  assert.equal(hook.asked(), 0);
});

test("who needs no password sends none; what is no text is no password", async () => {
  await using hook = await serving((response) => void response.end('{"allow":true}'), {
    sendPassword: true,
    methods: ["password"],
  });
  for (const bytes of [Buffer.alloc(0), Buffer.from([0xff])])
    assert.equal((await hook.attempt({ method: "password", password: bytes })).kind, "denied");
  assert.equal(hook.asked(), 0);
  assert.equal((await hook.attempt({ method: "password", password: Buffer.from("x") })).kind, "accepted");
});

test("a security key that was not touched is not asked about", async () => {
  await using hook = await serving((response) => void response.end('{"allow":true}'));
  const sk = { ...key, application: "ssh:" };
  const proof: Proof = { ...shown, key: sk };
  assert.equal((await hook.attempt(proof)).kind, "denied");
  assert.equal(hook.asked(), 0);
  assert.equal((await hook.attempt({ ...proof, touched: true })).kind, "accepted");
});

test("the last answer holds when it is a no, too, and only for the same question", async () => {
  let says: string | undefined = '{"allow":true}';
  await using hook = await serving(
    (response) => (says === undefined ? response.destroy() : response.end(says)),
    { whenDown: "last-answer" },
  );
  const kinds: string[] = [];
  for (const next of ['{"allow":true}', undefined, '{"allow":false}', undefined]) {
    says = next;
    kinds.push((await hook.attempt()).kind);
  }
  assert.deepEqual(kinds, ["accepted", "accepted", "denied", "denied"]);
  says = '{"allow":true}';
  await hook.attempt();
  says = undefined;
  for (const other of [{ user: "bob" }, { from: { ip: "192.0.2.8", text: "" } }])
    assert.equal((await hook.attempt(shown, other)).kind, "denied");
});

test("the log names the address without what may be secret in it", async () => {
  await using hook = await serving((response) => response.destroy());
  await hook.attempt();
  const text = JSON.stringify(hook.warnings.map((line) => ({ ...line, error: String(line["error"]) })));
  assert.match(text, /127\.0\.0\.1:\d+\/hook/);
  assert.ok(!text.includes("hunter2"));
});

test("what the configuration may say", () => {
  const url = "https://hook.example/";
  const cases: readonly [object, RegExp | undefined][] = [
    [{ url }, undefined],
    [{ url: "http://hook.example/", dangerouslyAllowHttp: true }, undefined],
    [{ url: "http://hook.example/" }, /must begin with https/],
    [{ url: "hook.example" }, /is no address/],
    [{ url: "ftp://hook.example/" }, /cannot ask by ftp/],
    [{ url: "https://ada:secret@hook.example/" }, /no name and password/],
    [{ url, sendPassword: true }, undefined],
    [{ url, sendPassword: true, methods: ["publickey"] }, /has no effect/],
    [{ url, methods: ["password"] }, /nothing to show/],
    [{ url, staleSeconds: "1h" }, /without whenDown/],
    [{ url, sendPassword: true, whenDown: "last-answer" }, /not remembered/],
    [{ url, signingSecret: "x".repeat(31) }, /32 bytes/],
    [{ url, signingSecret: "x".repeat(32) }, undefined],
  ];
  for (const [config, problem] of cases) {
    const { error } = schema.safeParse({ kind: "webhook", ...config });
    if (problem === undefined) assert.equal(error, undefined, JSON.stringify(config));
    else assert.match(error?.issues.map(({ message }) => message).join() ?? "", problem);
  }
  assert.ok(!JSON.stringify({ secret: new Secret("hunter2") }).includes("hunter2"));
});
