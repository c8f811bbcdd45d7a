import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "#base";
import { encodeGlobalRequest } from "#ssh/messages";
import { generatePrivateKey } from "#ssh/keys";
import {
  clientPassword,
  deferred,
  FakeGateway,
  type FakeRule,
  knownKey,
  knownPassword,
  storedKey,
  storedPassword,
} from "#test/support/fake-gateway";
import { gatewayErrors } from "./errors.ts";
import type { World } from "./world.ts";
import { outcomeOf, type FakeUpstreamOptions } from "#test/support/login-ends";

const clock = systemClock;
const passThrough: FakeRule = { user: "ada", login: [deferred], credentials: [clientPassword] };

/** An upstream where one password is right. */
function takes(right: string, more: Partial<FakeUpstreamOptions> = {}): FakeUpstreamOptions {
  return {
    answer: (attempt) =>
      attempt.method === "password" && Buffer.from(attempt.password).toString() === right
        ? "accept"
        : "reject",
    ...more,
  };
}

function upstreamOf(host: FakeGateway, at = 0): NonNullable<(typeof host.upstreams)[number]> {
  const upstream = host.upstreams[at];
  assert.ok(upstream, `upstream ${at}`);
  return upstream;
}

test("a password goes to the upstream, whose answer is the answer, over one connection", async () => {
  await using gate = new FakeGateway({
    clock,
    rules: [passThrough],
    upstream: () => takes("right", { banner: "welcome" }),
  });
  const client = await gate.connect();
  const login = await client.start("ada");
  assert.equal(await client.password(login, "wrong"), "failure: password");
  assert.deepEqual(client.banners, [], "nothing of the upstream is shown before the client is in");
  assert.equal(await client.password(login, "right"), "success");
  assert.deepEqual(client.banners, ["welcome"]);
  assert.deepEqual(gate.dialled, ["upstream:22"]);
  assert.deepEqual(upstreamOf(gate).attempts, ["password wrong", "password right"]);
  const request = encodeGlobalRequest({ type: "ping", wantReply: false, data: new Uint8Array() });
  client.link.send(request);
  await upstreamOf(gate).received_(1);
  assert.deepEqual(upstreamOf(gate).received[0], Uint8Array.from(request));
  const [session] = gate.gateway.sessions;
  assert.equal(session?.phase, "open");
  assert.equal(session?.upstream, "ada@upstream:22");
  client.link.disconnect(11, "bye");
  await upstreamOf(gate).closed;
  await gate.gateway.whenEmpty();
  const [end] = gate.events("session-ended");
  assert.equal(end?.["blame"], "none");
  assert.equal(end?.["session"], gate.events("session-started")[0]?.["session"], "one id through all lines");
  const lines = JSON.stringify(gate.lines);
  assert.ok(!lines.includes('wrong"') && !lines.includes("right"), "no password in the log");
});

test("a name that is not known gets the answers that a known one gets", async () => {
  await using gate = new FakeGateway({ clock, rules: [passThrough], upstream: () => takes("right") });
  const known = await gate.connect();
  const unknown = await gate.connect();
  const answers: string[][] = [];
  for (const [client, user] of [
    [known, "ada"],
    [unknown, "eve"],
  ] as const) {
    const login = await client.start(user);
    const said: string[] = [];
    login.tryNone();
    said.push(outcomeOf(await client.next()));
    login.tryKeyboardInteractive();
    said.push(outcomeOf(await client.next()));
    login.tryKey({ blob: generatePrivateKey("ssh-ed25519").publicKey.blob, algorithms: ["ssh-ed25519"] });
    said.push(outcomeOf(await client.next()));
    said.push(await client.password(login, "wrong"));
    said.push(await client.password(login, "wrong"));
    answers.push(said);
  }
  assert.deepEqual(answers[0], answers[1]);
  assert.deepEqual(gate.dialled, ["upstream:22"], "only for the name that is known");
});

test("an unknown name costs the same hash, and waits as long as upstreams lately took", async () => {
  const checked = knownPassword("x");
  const hashing: FakeRule = { user: "ada", login: [checked], credentials: [storedKey()] };
  {
    await using gate = new FakeGateway({ clock, rules: [hashing], upstream: () => takes("right") });
    const client = await gate.connect();
    const login = await client.start("eve");
    assert.equal(await client.password(login, "x"), "failure: password", "even if it is right for somebody");
    assert.equal(checked.asked, 1);
  }
  await using gate = new FakeGateway({ clock, rules: [passThrough], upstream: () => takes("right") });
  gate.delays.record("rule0", "first-password", 400);
  const client = await gate.connect();
  const login = await client.start("eve");
  const started = clock.monotonic();
  assert.equal(await client.password(login, "x"), "failure: password");
  assert.ok(clock.monotonic() - started >= 390);
});

test("a key is asked about, proven, and the upstream entered with a stored one before success is told", async () => {
  const key = generatePrivateKey("ssh-ed25519");
  const rule: FakeRule = {
    user: "ada",
    login: [knownKey(key.blob)],
    credentials: [storedKey()],
    upstreamUser: "root",
  };
  const users: string[] = [];
  await using gate = new FakeGateway({
    clock,
    rules: [rule],
    upstream: () => ({
      answer: (attempt, user) => {
        users.push(user);
        if (attempt.method !== "publickey") return "reject";
        return attempt.proof === "none" ? "key-ok" : "accept";
      },
    }),
  });
  const client = await gate.connect();
  const login = await client.start("ada");
  const other = generatePrivateKey("ssh-ed25519");
  login.tryKey(other);
  assert.equal(outcomeOf(await client.next()), "failure: publickey");
  login.tryKey(key);
  const asked = await client.next();
  assert.ok(asked.kind === "need-signature");
  assert.deepEqual(gate.dialled, [], "a question costs no upstream login");
  login.signed(key.sign(asked.algorithm, asked.data) as Uint8Array);
  assert.equal(outcomeOf(await client.next()), "success");
  assert.deepEqual(upstreamOf(gate).attempts, ["publickey valid"], "a key at hand is not asked about");
  assert.deepEqual(new Set(users), new Set(["root"]));
});

test("a wrong signature lets nobody in", async () => {
  const key = generatePrivateKey("ssh-ed25519");
  const rule: FakeRule = { user: "ada", login: [knownKey(key.blob)], credentials: [storedKey()] };
  await using gate = new FakeGateway({ clock, rules: [rule], upstream: () => takes("x") });
  const client = await gate.connect();
  const login = await client.start("ada");
  login.tryKey(key);
  const asked = await client.next();
  assert.ok(asked.kind === "need-signature");
  login.signed(key.sign("ssh-ed25519", Buffer.from("something else")) as Uint8Array);
  assert.equal(outcomeOf(await client.next()), "failure: publickey");
  assert.deepEqual(gate.dialled, []);
});

test("an upstream that lets the gateway in by a stored key proves nothing about the client's password", async () => {
  const rule: FakeRule = { user: "ada", login: [deferred], credentials: [storedKey(), clientPassword] };
  const answer: FakeUpstreamOptions["answer"] = (attempt) => {
    if (attempt.method === "publickey") return attempt.proof === "none" ? "key-ok" : "accept";
    return "reject";
  };
  await using gate = new FakeGateway({
    clock,
    rules: [rule],
    upstream: () => ({ answer, methods: ["publickey"] }),
  });
  const client = await gate.connect();
  const login = await client.start("ada");
  assert.equal(await client.password(login, "anything"), "failure: password");
  assert.equal(gate.events("auth-success").length, 0);
});

test("an upstream that asks for a key and a password gets both", async () => {
  const rule: FakeRule = { user: "ada", login: [deferred], credentials: [storedKey(), clientPassword] };
  let proven = false;
  const answer: FakeUpstreamOptions["answer"] = (attempt) => {
    if (attempt.method === "publickey") {
      if (attempt.proof === "none") return "key-ok";
      proven = true;
      return "partial";
    }
    return proven && attempt.method === "password" && Buffer.from(attempt.password).toString() === "right"
      ? "accept"
      : "reject";
  };
  await using gate = new FakeGateway({
    clock,
    rules: [rule],
    upstream: () => ({
      answer,
      get methods() {
        return proven ? ["password"] : ["publickey"];
      },
    }),
  });
  const client = await gate.connect();
  const login = await client.start("ada");
  assert.equal(await client.password(login, "wrong"), "failure: password");
  assert.equal(await client.password(login, "right"), "success");
  const attempts = ["none", "publickey valid", "password wrong", "password right"];
  assert.deepEqual(upstreamOf(gate).attempts, attempts, "the key once, and no password before its turn");
});

test("a hidden prompt of keyboard-interactive is answered with the password, others are not", async () => {
  for (const [asks, outcome] of [
    [[{ text: "Password:", echo: false }], "success"],
    [[{ text: "Token:", echo: true }], "failure: password"],
    [
      [
        { text: "a", echo: false },
        { text: "b", echo: false },
      ],
      "failure: password",
    ],
  ] as const) {
    await using gate = new FakeGateway({
      clock,
      rules: [passThrough],
      upstream: () => ({
        methods: ["keyboard-interactive"],
        answer: (attempt) => {
          if (attempt.method === "keyboard-interactive") return { ask: asks };
          return attempt.method === "responses" && attempt.responses[0] === "right" ? "accept" : "reject";
        },
      }),
    });
    const client = await gate.connect();
    const login = await client.start("ada");
    assert.equal(await client.password(login, "right"), outcome, JSON.stringify(asks));
  }
});

test("an upstream that asks nothing has not judged the password", async () => {
  await using gate = new FakeGateway({
    clock,
    rules: [passThrough],
    upstream: () => ({
      methods: ["keyboard-interactive"],
      answer: (attempt) => {
        if (attempt.method === "keyboard-interactive") return { ask: [] };
        return attempt.method === "responses" ? "accept" : "reject";
      },
    }),
  });
  const client = await gate.connect();
  const login = await client.start("ada");
  assert.equal(await client.password(login, "anything"), "failure: password");
});

test("an expired password is changed through the gateway", async () => {
  await using gate = new FakeGateway({
    clock,
    rules: [passThrough],
    upstream: () => ({
      answer: (attempt) => {
        if (attempt.method !== "password") return "reject";
        return attempt.newPassword === undefined ? { change: "expired" } : "accept";
      },
    }),
  });
  const client = await gate.connect();
  const login = await client.start("ada");
  assert.equal(await client.password(login, "old"), "password-change");
  assert.equal(await client.password(login, "old", "new"), "success");
  assert.deepEqual(upstreamOf(gate).attempts, ["password old", "password old -> new"]);
});

test("a new password that nobody asked for is refused", async () => {
  await using gate = new FakeGateway({ clock, rules: [passThrough], upstream: () => takes("old") });
  const client = await gate.connect();
  const login = await client.start("ada");
  assert.equal(await client.password(login, "old", "new"), "failure: password");
});

test("an upstream that ends the connection for too many tries is connected to anew for the next", async () => {
  let tries = 0;
  await using gate = new FakeGateway({
    clock,
    rules: [passThrough],
    upstream: () => ({ answer: () => (++tries === 1 ? "disconnect" : "accept") }),
  });
  const client = await gate.connect();
  const login = await client.start("ada");
  assert.equal(await client.password(login, "wrong"), "failure: password");
  assert.equal(await client.password(login, "right"), "success");
  assert.equal(gate.dialled.length, 2);
});

test("another name on the same connection starts anew", async () => {
  const rules = [passThrough, { ...passThrough, user: "bob", hosts: ["other"] }];
  await using gate = new FakeGateway({ clock, rules, upstream: () => takes("right") });
  const client = await gate.connect();
  const ada = await client.start("ada");
  assert.equal(await client.password(ada, "wrong"), "failure: password");
  const bob = await client.start("bob");
  assert.equal(await client.password(bob, "right"), "success");
  assert.deepEqual(gate.dialled, ["upstream:22", "other:22"]);
  await upstreamOf(gate, 0).closed;
});

test("tries are counted", async () => {
  const rules = [{ ...passThrough, login: [knownPassword("x")], credentials: [storedKey()] }];
  await using gate = new FakeGateway({
    clock,
    rules,
    upstream: () => takes("x"),
    limits: { maxAuthTries: 2 },
  });
  const client = await gate.connect();
  const login = await client.start("ada");
  assert.equal(await client.password(login, "a"), "failure: password");
  assert.equal(await client.password(login, "b"), "disconnected: Too many authentication failures.");
  await gate.gateway.whenEmpty();
  assert.equal(gate.events("session-ended")[0]?.["blame"], "DENIED");
});

test("failure to reach or enter the upstream is told in one sentence, as banner and disconnect", async () => {
  const cases: [string, FakeUpstreamOptions | undefined, string][] = [
    ["unreachable", undefined, "UPSTREAM_UNREACHABLE_BY_TEST"],
    ["refuses", { answer: () => "reject" }, "UPSTREAM_LOGIN_REFUSED"],
  ];
  for (const [why, upstream, code] of cases) {
    const rules = [{ ...passThrough, login: [knownPassword("x")], credentials: [storedPassword("stored")] }];
    await using gate = new FakeGateway({ clock, rules, upstream: () => upstream });
    const client = await gate.connect();
    const login = await client.start("ada");
    const outcome = await client.password(login, "x");
    assert.match(outcome, /^disconnected: The server behind this gateway [^.]+\./, why);
    assert.equal(`disconnected: ${client.banners.join("").trim()}`, outcome);
    await gate.gateway.whenEmpty();
    if (upstream !== undefined) assert.equal(gate.events("session-ended")[0]?.["reason"], code);
    assert.equal(gate.events("session-ended")[0]?.["blame"], "UPSTREAM");
  }
});

test("the next address is tried when one cannot be reached, but not when one shows a wrong key", async () => {
  const rules = [{ ...passThrough, hosts: ["dead", "alive"] }];
  {
    await using gate = new FakeGateway({
      clock,
      rules,
      upstream: (host) => (host === "dead" ? undefined : takes("right")),
    });
    const client = await gate.connect();
    const login = await client.start("ada");
    assert.equal(await client.password(login, "right"), "success");
    assert.deepEqual(gate.dialled, ["dead:22", "alive:22"]);
  }
  const wrong = generatePrivateKey("ssh-ed25519").publicKey;
  const record = `dead ssh-ed25519 ${Buffer.from(wrong.blob).toString("base64")}\n`;
  await using gate = new FakeGateway({
    clock,
    rules: [{ ...passThrough, hosts: ["dead", "alive"], hostKey: { knownHosts: ["/known"] } }],
    upstream: () => takes("right"),
    files: new Map([["/known", record]]),
  });
  const client = await gate.connect();
  const login = await client.start("ada");
  assert.match(
    await client.password(login, "right"),
    /^disconnected: The host key of the server behind this gateway is not/,
  );
  assert.deepEqual(gate.dialled, ["dead:22"]);
  await gate.gateway.whenEmpty();
  const detail = String((gate.events("session-failed")[0]?.["error"] as Error | undefined)?.message);
  assert.equal(detail.match(/SHA256:/g)?.length, 2, "both fingerprints are logged");
});

test("a client that leaves while the upstream is asked leaves nothing behind", async () => {
  await using gate = new FakeGateway({
    clock,
    rules: [passThrough],
    upstream: () => ({ answer: () => "silence" }),
  });
  const client = await gate.connect();
  const login = await client.start("ada");
  login.tryPassword(Buffer.from("x"));
  while (gate.upstreams.length === 0 || upstreamOf(gate).attempts.length === 0)
    await new Promise(setImmediate);
  client.link.destroy();
  await upstreamOf(gate).closed;
  await gate.gateway.whenEmpty();
  assert.equal(gate.events("session-ended")[0]?.["blame"], "none");
});

test("who does not log in within the grace time is told so, whatever it waits for", async () => {
  const slow = { ...passThrough };
  await using gate = new FakeGateway({
    clock,
    rules: [slow],
    upstream: () => ({ answer: () => "silence" }),
    limits: { loginGraceSeconds: 0.3 },
  });
  const idle = await gate.connect();
  const waiting = await gate.connect();
  await idle.start("ada");
  const login = await waiting.start("ada");
  const told = "disconnected: You took too long to log in.";
  assert.equal(await waiting.password(login, "x"), told);
  assert.equal(outcomeOf(await idle.next()), told);
  await upstreamOf(gate).closed;
  await gate.gateway.whenEmpty();
  const reasons = gate.events("session-ended").map((line) => line["reason"]);
  assert.deepEqual(reasons, ["PEER_LOGIN_GRACE", "PEER_LOGIN_GRACE"]);
});

test("an upstream that is too slow with its answer is told, in the upstream's time", async () => {
  const limits = { upstreamLoginSeconds: 0.2 };
  const upstream = (): FakeUpstreamOptions => ({ answer: () => "silence" });
  await using gate = new FakeGateway({ clock, rules: [passThrough], upstream, limits });
  const client = await gate.connect();
  const login = await client.start("ada");
  assert.match(
    await client.password(login, "x"),
    /^disconnected: The server behind this gateway took too long/,
  );
});

test("sessions that are ended here are told why, on both sides", async () => {
  await using gate = new FakeGateway({ clock, rules: [passThrough], upstream: () => takes("right") });
  const client = await gate.connect();
  const login = await client.start("ada");
  assert.equal(await client.password(login, "right"), "success");
  const [record] = gate.gateway.sessions;
  assert.equal(gate.gateway.close("none", new gatewayErrors.DENIED_BY_OPERATOR()), false);
  assert.equal(gate.gateway.close(record?.id ?? "", new gatewayErrors.DENIED_BY_OPERATOR()), true);
  const { description } = await client.closed;
  assert.equal(description, "The administrator of this gateway ended the session.");
  assert.equal((await upstreamOf(gate).closed).description, description);
  await gate.gateway.whenEmpty();
  assert.equal(gate.events("session-ended")[0]?.["reason"], "DENIED_BY_OPERATOR");
});

test("an upstream that dies in the midst is told to the client, and blamed in the log", async () => {
  await using gate = new FakeGateway({ clock, rules: [passThrough], upstream: () => takes("right") });
  const client = await gate.connect();
  const login = await client.start("ada");
  assert.equal(await client.password(login, "right"), "success");
  upstreamOf(gate).link.destroy();
  assert.match((await client.closed).description ?? "", /behind the gateway closed the connection/);
  await gate.gateway.whenEmpty();
  assert.equal(gate.events("session-ended")[0]?.["blame"], "UPSTREAM");
});

test("a world is disposed of when it was replaced and its last session has ended", async () => {
  await using gate = new FakeGateway({ clock, rules: [passThrough], upstream: () => takes("right") });
  const disposed: string[] = [];
  const named = (name: string): World => ({
    ...gate.world,
    [Symbol.asyncDispose]: async () => void disposed.push(name),
  });
  gate.gateway.replaceWorld(named("first"));
  const client = await gate.connect();
  const login = await client.start("ada");
  assert.equal(await client.password(login, "right"), "success");
  gate.gateway.replaceWorld(named("second"));
  gate.gateway.replaceWorld(named("third"));
  await Promise.resolve();
  assert.deepEqual(disposed, ["second"], "nobody was in it");
  client.link.disconnect(11, "");
  await gate.gateway.whenEmpty();
  await new Promise(setImmediate);
  assert.deepEqual(disposed, ["second", "first"]);
});
