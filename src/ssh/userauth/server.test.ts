import assert from "node:assert/strict";
import { test } from "node:test";
import { Slow } from "#ssh/algorithms";
import { generatePrivateKey, type PrivateKey } from "#ssh/keys";
import {
  decodePublicKeyOk,
  decodeUserauthFailure,
  encodeInfoResponse,
  encodeServiceRequest,
  encodeUserauthRequest,
  MSG,
  type UserauthMethod,
  type UserauthRequest,
  userauthSignedData,
} from "#ssh/messages";
import {
  type PublicKeyAttempt,
  type ServerStateName,
  serverStates,
  UserauthServer,
  type UserauthServerEvent,
} from "./server.ts";

const sessionId = new Uint8Array(32).fill(3);
const hostKey = Uint8Array.from(Buffer.from("host key blob"));
const service = "ssh-connection";
const ed25519 = generatePrivateKey("ssh-ed25519");
const rsa = generatePrivateKey("ssh-rsa");
const signatureAlgorithms = ["ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256"];

interface Bench {
  readonly server: UserauthServer;
  readonly sent: Uint8Array[];
  /** Numbers sent since the last call. */
  readonly numbers: () => number[];
  readonly ask: (method: UserauthMethod, user?: string) => UserauthServerEvent;
}

function bench(options: { maxAttempts?: number; maxKeyQueries?: number; started?: boolean } = {}): Bench {
  const sent: Uint8Array[] = [];
  const { started = true, maxAttempts = 6, ...rest } = options;
  const server = new UserauthServer({
    send: (payload) => sent.push(Uint8Array.from(payload)),
    sessionId,
    hostKey,
    signatureAlgorithms,
    maxAttempts,
    ...rest,
  });
  if (started) {
    server.receive(encodeServiceRequest("ssh-userauth"));
    sent.length = 0;
  }
  return {
    server,
    sent,
    numbers: () => sent.splice(0).map((payload) => payload[0] ?? 0),
    ask: (method, user = "alice") => {
      const event = server.receive(encodeUserauthRequest({ ...method, user, service }));
      assert(event);
      return event;
    },
  };
}

const password = (text: string): UserauthMethod => ({
  method: "password",
  password: Uint8Array.from(Buffer.from(text)),
});

async function proof(
  key: PrivateKey,
  algorithm: string,
  change: Partial<{
    user: string;
    service: string;
    sessionId: Uint8Array;
    hostKey: Uint8Array;
    signWith: PrivateKey;
  }> = {},
): Promise<Extract<UserauthRequest, { method: "publickey" }>> {
  const bound = change.hostKey === undefined ? {} : { hostKey: change.hostKey };
  const data = userauthSignedData(change.sessionId ?? sessionId, {
    user: change.user ?? "alice",
    service: change.service ?? service,
    algorithm,
    key: key.blob,
    ...bound,
  });
  const made = (change.signWith ?? key).sign(algorithm, data);
  const signature = made instanceof Slow ? await made.run() : made;
  return { user: "alice", service, method: "publickey", algorithm, key: key.blob, signature, ...bound };
}

function publicKeyAttempt(event: UserauthServerEvent): PublicKeyAttempt {
  assert(event.kind === "attempt" && event.attempt.method === "publickey");
  return event.attempt;
}

test("the service is granted, again and again for clients that ask before each attempt, but not without end", () => {
  const { server, numbers, ask } = bench({ started: false });
  server.receive(encodeServiceRequest("ssh-userauth"));
  server.receive(encodeServiceRequest("ssh-userauth"));
  ask({ method: "none" });
  server.reject(["password"]);
  server.receive(encodeServiceRequest("ssh-userauth"));
  assert.deepEqual(numbers(), [
    MSG.SERVICE_ACCEPT,
    MSG.SERVICE_ACCEPT,
    MSG.USERAUTH_FAILURE,
    MSG.SERVICE_ACCEPT,
  ]);
  assert.throws(
    () => {
      for (let n = 0; n < 100; n++) server.receive(encodeServiceRequest("ssh-userauth"));
    },
    { code: "PEER_USERAUTH_FLOODED" },
  );
});

test("another service than user authentication, or to log in for, is not available", () => {
  const { server } = bench({ started: false });
  assert.throws(() => server.receive(encodeServiceRequest("ssh-connection")), {
    code: "PEER_SERVICE_UNKNOWN",
    disconnect: 7,
  });
  const other = bench();
  const request = encodeUserauthRequest({ user: "a", service: "ssh-userauth", method: "none" });
  assert.throws(() => other.server.receive(request), { code: "PEER_SERVICE_UNKNOWN" });
});

test("each state admits the numbers of its table and no other", () => {
  const make: Record<ServerStateName, () => UserauthServer> = {
    "await-service": () => bench({ started: false }).server,
    "await-request": () => bench().server,
    "await-answer": () => {
      const { server, ask } = bench();
      ask({ method: "none" });
      return server;
    },
    "await-responses": () => {
      const { server, ask } = bench();
      ask({ method: "keyboard-interactive", submethods: "" });
      server.challenge({ name: "", instruction: "", prompts: [] });
      return server;
    },
    accepted: () => {
      const { server, ask } = bench();
      ask(password("x"));
      server.accept();
      return server;
    },
    ended: () => {
      const { server } = bench();
      server.end();
      return server;
    },
  };
  for (const [state, admitted] of Object.entries(serverStates)) {
    for (let number = 0; number < 256; number++) {
      if (admitted.includes(number)) continue;
      const server = make[state as ServerStateName]();
      assert.throws(
        () => server.receive(Uint8Array.of(number)),
        { code: "PEER_UNEXPECTED_MESSAGE" },
        `${number} in ${state}`,
      );
    }
    assert.throws(() => make[state as ServerStateName]().receive(new Uint8Array(0)), {
      code: "PEER_UNEXPECTED_MESSAGE",
    });
  }
});

test("a password is shown with the user, and wiped when it was answered", () => {
  const { server, numbers, ask } = bench();
  const event = ask(password("secret"));
  assert(event.kind === "attempt" && event.attempt.method === "password");
  assert.equal(event.user, "alice");
  assert.equal(Buffer.from(event.attempt.password).toString(), "secret");
  assert(server.busy);
  server.reject(["password", "publickey"]);
  assert.deepEqual(event.attempt.password, new Uint8Array(6));
  assert.equal(server.failures, 1);
  assert(!server.busy);
  assert.deepEqual(numbers(), [MSG.USERAUTH_FAILURE]);
});

test("a password change is asked for and its answer shown with both passwords, both wiped", () => {
  const { server, numbers, ask } = bench();
  ask(password("old"));
  server.requestPasswordChange("expired");
  const event = ask({ method: "password", password: Buffer.from("old"), newPassword: Buffer.from("new") });
  assert(event.kind === "attempt" && event.attempt.method === "password");
  assert.equal(Buffer.from(event.attempt.newPassword ?? []).toString(), "new");
  server.accept();
  assert.deepEqual(event.attempt.newPassword, new Uint8Array(3));
  assert.deepEqual(numbers(), [MSG.USERAUTH_PASSWD_CHANGEREQ, MSG.USERAUTH_SUCCESS]);
  assert(server.accepted);
});

test("the end wipes a password that was not answered", () => {
  const { server, ask } = bench();
  const event = ask(password("secret"));
  assert(event.kind === "attempt" && event.attempt.method === "password");
  server.end();
  assert.deepEqual(event.attempt.password, new Uint8Array(6));
});

test("after success further requests are ignored", () => {
  const { server, numbers, ask } = bench();
  ask(password("right"));
  server.accept();
  assert.equal(server.receive(encodeUserauthRequest({ user: "root", service, ...password("x") })), undefined);
  assert.deepEqual(numbers(), [MSG.USERAUTH_SUCCESS]);
});

test("a key query is answered by PK_OK for the same key, and counts as no failure when refused", () => {
  const { server, sent, ask } = bench({ maxAttempts: 2 });
  for (let n = 0; n < 5; n++) {
    const attempt = publicKeyAttempt(
      ask({ method: "publickey", algorithm: "ssh-ed25519", key: ed25519.blob }),
    );
    assert.equal(attempt.proof, "none");
    assert.equal(attempt.key?.type, "ssh-ed25519");
    server.reject(["publickey"]);
  }
  assert.equal(server.failures, 0);
  sent.length = 0;
  ask({ method: "publickey", algorithm: "rsa-sha2-512", key: rsa.blob });
  server.acceptKey();
  assert.deepEqual(decodePublicKeyOk(sent[0] ?? new Uint8Array(0)), {
    algorithm: "rsa-sha2-512",
    key: Uint8Array.from(rsa.blob),
  });
});

test("key queries have a bound of their own", () => {
  const { server, ask } = bench({ maxKeyQueries: 3 });
  for (let n = 0; n < 3; n++) {
    ask({ method: "publickey", algorithm: "ssh-ed25519", key: ed25519.blob });
    server.reject(["publickey"]);
  }
  assert.throws(() => ask({ method: "publickey", algorithm: "ssh-ed25519", key: ed25519.blob }), {
    code: "DENIED_TOO_MANY_ATTEMPTS",
  });
});

for (const [key, algorithm] of [
  [ed25519, "ssh-ed25519"],
  [rsa, "rsa-sha2-512"],
  [rsa, "rsa-sha2-256"],
] as const) {
  test(`a proof by ${algorithm} is valid, plain and bound to the host key`, async () => {
    const { server, ask } = bench();
    const plain = publicKeyAttempt(ask(await proof(key, algorithm)));
    assert.deepEqual([plain.proof, plain.hostbound, plain.refusal], ["valid", false, undefined]);
    server.reject(["publickey"]);
    const bound = publicKeyAttempt(ask(await proof(key, algorithm, { hostKey })));
    assert.deepEqual([bound.proof, bound.hostbound], ["valid", true]);
    server.accept();
    assert(server.accepted);
  });
}

const other = generatePrivateKey("ssh-ed25519");
const wrongProofs: readonly [string, () => Promise<UserauthMethod>][] = [
  ["of another session", () => proof(ed25519, "ssh-ed25519", { sessionId: new Uint8Array(32) })],
  ["for another user", () => proof(ed25519, "ssh-ed25519", { user: "root" })],
  ["for another service", () => proof(ed25519, "ssh-ed25519", { service: "other" })],
  ["by another key", () => proof(ed25519, "ssh-ed25519", { signWith: other })],
  ["bound to another host key", () => proof(ed25519, "ssh-ed25519", { hostKey: Uint8Array.of(1) })],
  ["by an algorithm that is not allowed", () => proof(rsa, "ssh-rsa")],
  [
    "by an algorithm of another key type",
    async () => ({ ...(await proof(ed25519, "ssh-ed25519")), algorithm: "rsa-sha2-512" }),
  ],
  [
    "by another algorithm than the request names",
    async () => ({ ...(await proof(rsa, "rsa-sha2-256")), algorithm: "rsa-sha2-512" }),
  ],
  [
    "of a plain request, shown as a bound one",
    async () => ({ ...(await proof(ed25519, "ssh-ed25519")), hostKey }),
  ],
  [
    "with an empty signature",
    async () => ({ ...(await proof(ed25519, "ssh-ed25519")), signature: new Uint8Array(0) }),
  ],
  [
    "with a key that cannot be read",
    async () => ({ ...(await proof(ed25519, "ssh-ed25519")), key: ed25519.blob.slice(0, -1) }),
  ],
];
for (const [what, make] of wrongProofs) {
  test(`a proof ${what} is invalid, and cannot be accepted by mistake`, async () => {
    const { server, numbers, ask } = bench();
    const attempt = publicKeyAttempt(ask(await make()));
    assert.equal(attempt.proof, "invalid");
    assert.notEqual(attempt.refusal, undefined);
    assert.throws(() => server.accept(), { code: "BUG_USERAUTH_CALL" });
    assert.throws(() => server.acceptKey(), { code: "BUG_USERAUTH_CALL" });
    assert.throws(() => server.reject([], true), { code: "BUG_USERAUTH_CALL" });
    server.reject(["publickey"]);
    assert.deepEqual(numbers(), [MSG.USERAUTH_FAILURE]);
    assert.equal(server.failures, 1);
  });
}

test("a query about a key or an algorithm that cannot be used has no key", () => {
  const queries = [
    { algorithm: "ssh-rsa", key: rsa.blob },
    { algorithm: "rsa-sha2-512", key: ed25519.blob },
    { algorithm: "ssh-ed25519", key: new Uint8Array(0) },
    { algorithm: "ssh-ed25519", key: ed25519.blob, hostKey: Uint8Array.of(1) },
  ];
  for (const query of queries) {
    const { server, ask } = bench();
    const attempt = publicKeyAttempt(ask({ method: "publickey", ...query }));
    assert.equal(attempt.key, undefined);
    assert.notEqual(attempt.refusal, undefined);
    assert.throws(() => server.acceptKey(), { code: "BUG_USERAUTH_CALL" });
  }
});

test("a query cannot be accepted as a proof", () => {
  const { server, ask } = bench();
  ask({ method: "publickey", algorithm: "ssh-ed25519", key: ed25519.blob });
  assert.throws(() => server.accept(), { code: "BUG_USERAUTH_CALL" });
});

test("keyboard-interactive: several rounds, one with no prompts, responses wiped", () => {
  const { server, numbers, ask } = bench();
  const start = ask({ method: "keyboard-interactive", submethods: "pam" });
  assert(start.kind === "attempt" && start.attempt.method === "keyboard-interactive");
  assert.equal(start.attempt.submethods, "pam");
  server.challenge({
    name: "",
    instruction: "",
    prompts: [
      { text: "a", echo: false },
      { text: "b", echo: true },
    ],
  });
  const first = server.receive(encodeInfoResponse([Buffer.from("one"), Buffer.from("two")]));
  assert(first?.kind === "responses");
  assert.deepEqual(
    first.responses.map((response) => Buffer.from(response).toString()),
    ["one", "two"],
  );
  server.challenge({ name: "", instruction: "wait", prompts: [] });
  assert(first.responses.every((response) => response.every((byte) => byte === 0)));
  const second = server.receive(encodeInfoResponse([]));
  assert(second?.kind === "responses" && second.user === "alice");
  server.accept();
  assert.deepEqual(numbers(), [MSG.USERAUTH_INFO_REQUEST, MSG.USERAUTH_INFO_REQUEST, MSG.USERAUTH_SUCCESS]);
});

for (const count of [0, 2, 100]) {
  test(`${count} responses to one prompt end the connection`, () => {
    const { server, ask } = bench();
    ask({ method: "keyboard-interactive", submethods: "" });
    server.challenge({ name: "", instruction: "", prompts: [{ text: "a", echo: false }] });
    const responses = Array.from({ length: count }, () => Uint8Array.of(65));
    assert.throws(() => server.receive(encodeInfoResponse(responses)), { code: "PEER_RESPONSE_COUNT" });
  });
}

test("a new request gives an exchange up, which counts as a failure without an answer of its own", () => {
  const { server, numbers, ask } = bench({ maxAttempts: 3 });
  for (let n = 0; n < 2; n++) {
    const event = ask({ method: "keyboard-interactive", submethods: "" });
    assert(event.kind === "attempt" && event.abandoned === n > 0);
    server.challenge({ name: "", instruction: "", prompts: [] });
  }
  assert.deepEqual(numbers(), [MSG.USERAUTH_INFO_REQUEST, MSG.USERAUTH_INFO_REQUEST]);
  const event = ask(password("x"));
  assert(event.kind === "attempt" && event.abandoned);
  assert.equal(server.failures, 2);
  assert.throws(() => server.receive(encodeInfoResponse([])), { code: "PEER_UNEXPECTED_MESSAGE" });
  assert.throws(() => server.reject([]), { code: "DENIED_TOO_MANY_ATTEMPTS" });
});

test("tries are used up by failures, not by a first none; then nothing is sent and nothing admitted", () => {
  const { server, numbers, ask } = bench({ maxAttempts: 2 });
  ask({ method: "none" });
  server.reject(["password"]);
  assert.equal(server.failures, 0);
  ask({ method: "none" });
  server.reject(["password"]);
  assert.equal(server.failures, 1);
  ask(password("x"));
  numbers();
  assert.throws(() => server.reject(["password"]), { code: "DENIED_TOO_MANY_ATTEMPTS", disconnect: 14 });
  assert.deepEqual(numbers(), []);
  const again = encodeUserauthRequest({ user: "alice", service, method: "none" });
  assert.throws(() => server.receive(again), { code: "PEER_UNEXPECTED_MESSAGE" });
});

test("a partial success is no failure and names what is left", () => {
  const { server, sent, ask } = bench({ maxAttempts: 1 });
  ask(password("right"));
  server.reject(["publickey"], true);
  assert.deepEqual(decodeUserauthFailure(sent[0] ?? new Uint8Array(0)), {
    methods: ["publickey"],
    partialSuccess: true,
  });
  assert.equal(server.failures, 0);
});

test("another user name is reported, and is what a proof must be made for", async () => {
  const { server, ask } = bench();
  const first = ask({ method: "none" });
  assert(first.kind === "attempt" && !first.changed);
  server.reject(["publickey"]);
  const second = ask({ method: "none" }, "bob");
  assert(second.kind === "attempt" && second.changed && second.user === "bob");
  server.reject(["publickey"]);
  const third = ask(await proof(ed25519, "ssh-ed25519", { user: "bob" }), "bob");
  assert(third.kind === "attempt" && !third.changed);
  assert.equal(publicKeyAttempt(third).proof, "valid");
});

for (const [what, user] of [
  ["a control character", "ro\u0000ot"],
  ["a line end", "a\nb"],
  ["a C1 control", "a\u009b1m"],
  ["too many bytes", "é".repeat(513)],
] as const) {
  test(`a user name with ${what} ends the connection`, () => {
    const { ask } = bench();
    assert.throws(() => ask({ method: "none" }, user), { code: "PEER_USER_NAME_INVALID" });
  });
}

test("a user name that is empty, long or of any script is for the rules to judge", () => {
  for (const user of ["", "é".repeat(512), "名前", "user+host.example:22"]) {
    const event = bench().ask({ method: "none" }, user);
    assert.equal(event.user, user);
  }
});

test("a method nobody knows is shown, and refused by a failure", () => {
  const { server, numbers, ask } = bench();
  const event = ask({ method: "other", name: "gssapi-with-mic" });
  assert(
    event.kind === "attempt" && event.attempt.method === "other" && event.attempt.name === "gssapi-with-mic",
  );
  assert.throws(() => server.accept(), { code: "BUG_USERAUTH_CALL" });
  server.reject(["password"]);
  assert.deepEqual(numbers(), [MSG.USERAUTH_FAILURE]);
});

test("banners wait for the service, have lines that end in CR LF, and come no more after success", () => {
  const { server, sent, ask } = bench({ started: false });
  server.banner("one\ntwo\r\n");
  assert.equal(sent.length, 0);
  server.receive(encodeServiceRequest("ssh-userauth"));
  assert.deepEqual(
    sent.map((payload) => payload[0]),
    [MSG.SERVICE_ACCEPT, MSG.USERAUTH_BANNER],
  );
  assert.match(Buffer.from(sent[1] ?? []).toString("latin1"), /one\r\ntwo\r\n/);
  ask(password("x"));
  server.banner("three");
  server.accept();
  assert.throws(() => server.banner("late"), { code: "BUG_USERAUTH_CALL" });
});

test("answers that were not due are mistakes of the caller", () => {
  const calls: readonly ((server: UserauthServer) => void)[] = [
    (server) => server.accept(),
    (server) => server.reject([]),
    (server) => server.acceptKey(),
    (server) => server.challenge({ name: "", instruction: "", prompts: [] }),
    (server) => server.requestPasswordChange(""),
  ];
  for (const call of calls) {
    const { server, sent, ask } = bench();
    assert.throws(() => call(server), { code: "BUG_USERAUTH_CALL" });
    ask(password("x"));
    server.reject(["password"]);
    assert.throws(() => call(server), { code: "BUG_USERAUTH_CALL" });
    assert.equal(sent.length, 1);
  }
  const { server, ask } = bench();
  ask({ method: "none" });
  assert.throws(() => server.challenge({ name: "", instruction: "", prompts: [] }), {
    code: "BUG_USERAUTH_CALL",
  });
  assert.throws(() => server.requestPasswordChange(""), { code: "BUG_USERAUTH_CALL" });
});
