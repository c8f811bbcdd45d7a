/** A program of the operator's decides: who gets in, where to, with which credential and what for. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import type { IncomingHttpHeaders, ServerResponse } from "node:http";
import { after, before, beforeEach, test } from "node:test";
import type { AuditRecord } from "#contract";
import { auditLines } from "#test/support/audit-lines";
import { postern, type Pieces } from "#test/support/gateway";
import { bodyOf, type HttpsServer, startHttps } from "#test/support/https-server";
import { runSsh, type SshOptions } from "#test/support/ssh";
import { startSshd, type Sshd } from "#test/support/sshd";
import { missing } from "#test/support/strangers";
import { succeed, type Outcome } from "#test/support/child";
import { type KeyFiles, makeKey } from "#test/support/test-keys";
import { until } from "#test/support/waiting";
import { keyLogin, startWorld, upstreamTo, type World } from "#test/support/world";
import * as z from "zod";

const skip = missing("ssh", "sshd", "openssl");
const password = "correct horse battery staple";
const token = "a token that nobody sees";
const signing = "0123456789abcdef0123456789abcdef";

interface Asked {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly request: Readonly<Record<string, unknown>>;
}

let world: World;
let second: Sshd;
let server: HttpsServer;
let ca: KeyFiles;
let audit: string;
let asked: Asked[] = [];
/** What the webhook does next. */
let answer: (response: ServerResponse, given: Asked) => void = () => {};

const says =
  (value: unknown) =>
  (response: ServerResponse): void =>
    void response.end(JSON.stringify(value));

before(async () => {
  if (skip !== false) return;
  world = await startWorld({
    rules: () => [],
    config: { limits: { failureDelaySeconds: 0.1 } },
    sshd: { config: ["SetEnv PLACE=first", "AcceptEnv GIVEN POSTERN_*"] },
  });
  const { gateway, gatewayKey, identity } = world;
  second = await startSshd({
    authorizedKeys: [gatewayKey.publicLine],
    config: ["SetEnv PLACE=second"],
    host: "127.0.0.2",
  });
  server = await startHttps(gateway.folder, "webhook", (request, response) => {
    void bodyOf(request).then((body) => {
      const given: Asked = {
        headers: request.headers,
        body: body.toString(),
        request: JSON.parse(body.toString()) as Record<string, unknown>,
      };
      asked.push(given);
      answer(response, given);
    });
  });
  ca = makeKey(gateway.folder.at("user_ca"), "ed25519");
  audit = gateway.folder.at("audit.jsonl");
  const hook = { kind: "webhook", url: `${server.origin}/ssh`, tlsAuthorities: server.certificate };
  const upstream = upstreamTo(world);
  const rule = (name: string, login: Pieces, more: Pieces = {}): Pieces => ({
    name,
    match: { userPattern: `${name}-(?<who>[a-z]+)` },
    login: [{ ...hook, timeoutSeconds: "2s", ...login }],
    upstream,
    ...more,
  });
  await writeFile(gateway.folder.at("token"), `${token}\n`, { mode: 0o600 });
  const known = `${await readFile(world.sshd.knownHosts, "utf8")}\n${await readFile(second.knownHosts, "utf8")}`;
  await writeFile(gateway.folder.at("both_hosts"), known);
  await gateway.rewrite(
    [
      rule("key", {
        bearerToken: `\${file:${gateway.folder.at("token")}}`,
        signingSecret: signing,
        authorities: [ca.publicLine.trim()],
      }),
      rule("word", { sendPassword: true, methods: ["password"] }),
      rule("prompt", { sendPassword: true, methods: ["keyboard-interactive"] }),
      rule("kept", { whenDown: "last-answer", timeoutSeconds: "0.5s", retries: 0 }),
      rule("short", { timeoutSeconds: "0.5s", retries: 0 }),
      rule("distrustful", { tlsAuthorities: undefined, retries: 0 }),
      rule(
        "way",
        { upstreamUsers: [world.user.name, "app-*"] },
        {
          targets: ["127.0.0.*", "!127.0.0.9"],
          upstream: {
            ...upstream,
            credentials: [
              { kind: "password", password: "wrong" },
              { kind: "key", file: gatewayKey.path },
            ],
            hostKey: { knownHosts: gateway.folder.at("both_hosts") },
          },
        },
      ),
      {
        ...rule("after", { methods: ["keyboard-interactive"], whenDown: "dangerously-allow", retries: 0 }),
        login: [
          keyLogin(identity),
          {
            ...hook,
            methods: ["keyboard-interactive"],
            whenDown: "dangerously-allow",
            timeoutSeconds: "0.5s",
          },
        ],
        require: ["publickey", "webhook"],
      },
    ],
    { audit: [{ kind: "jsonl", file: audit }] },
  );
  gateway.signal("SIGHUP");
  await gateway.waitForLog("reload", ({ event }) => event === "reloaded");
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
  await second?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});
beforeEach(() => {
  asked = [];
});

async function ssh(
  user: string,
  command = "echo $PLACE",
  more: SshOptions & { readonly key?: string } = {},
): Promise<Outcome> {
  return await runSsh(world.gateway.target(user, more.key ?? world.identity.path), [command], more);
}

async function admits(user: string, command?: string, more?: SshOptions): Promise<string> {
  const { code, stdout, stderr } = await ssh(user, command, more);
  assert.equal(code, 0, stderr);
  return stdout.toString().trim();
}

async function refuses(user: string, more?: SshOptions & { readonly key?: string }): Promise<string> {
  const { code, stderr } = await ssh(user, "true", more);
  assert.equal(code, 255, stderr);
  assert.match(stderr, /Permission denied/);
  return stderr;
}

/** The audit's lines about logins under a name, once one of them is as wanted. */
async function told(user: string, wanted: (line: AuditRecord) => boolean): Promise<AuditRecord> {
  return await until(`a line about ${user}`, () =>
    auditLines(audit).findLast((line) => line.user === user && wanted(line)),
  );
}

const reasonFor = async (user: string): Promise<string> => {
  const line = await told(
    user,
    ({ event, ...rest }) => event === "auth" && "reason" in rest && rest.reason !== undefined,
  );
  return line.event === "auth" ? (line.reason ?? "") : "";
};

test("a key: the webhook is told all that is known, and asked again when the key is proven", {
  skip,
}, async () => {
  answer = says({ allow: true, subject: "ada@example.com", message: ["Welcome,", "Ada."] });
  const { stdout, stderr } = await ssh("key-ada");
  assert.equal(stdout.toString(), "first\n", stderr);
  assert.match(stderr, /Welcome,\r?\nAda\./);
  assert.deepEqual(
    asked.map(({ request }) => (request["key"] as { proven: boolean }).proven),
    [false, true],
  );
  const [, { headers, body, request } = assert.fail()] = asked;
  const expected: Readonly<Record<string, unknown>> = {
    version: 1,
    rule: "key",
    user: "key-ada",
    method: "publickey",
    passed: [],
    captures: { "0": "key-ada", "1": "ada", who: "ada", user: "key-ada" },
  };
  for (const [name, value] of Object.entries(expected)) assert.deepEqual(request[name], value, name);
  assert.equal((request["client"] as { address: string }).address, "127.0.0.1");
  assert.equal((request["listener"] as { port: number }).port, world.gateway.port);
  const { line, fingerprint } = request["key"] as { line: string; fingerprint: string };
  assert.ok(world.identity.publicLine.startsWith(line));
  assert.match(fingerprint, /^SHA256:/);
  assert.equal(headers.authorization, `Bearer ${token}`);
  const [, seconds = "", mac] =
    /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(headers["postern-signature"])) ?? [];
  assert.equal(createHmac("sha256", signing).update(`${seconds}.${body}`).digest("hex"), mac);
  const entry = await told("key-ada", (each) => each.event === "auth" && each.outcome === "accepted");
  assert.ok(entry.event === "auth" && entry.subject === "ada@example.com", JSON.stringify(entry));
  assert.equal(entry.session, request["session"]);
});

test("what is sent is as docs/webhook.schema.json says", { skip }, async () => {
  answer = says({ allow: true });
  await admits("key-ada");
  await admits("word-ada", "true", { passwords: [password] });
  const text = await readFile(new URL("../../docs/webhook.schema.json", import.meta.url), "utf8");
  const { $defs } = JSON.parse(text) as { $defs: { request: z.core.JSONSchema.JSONSchema } };
  const schema = z.fromJSONSchema($defs.request);
  assert.equal(asked.length, 3);
  for (const { request } of asked) assert.equal(schema.safeParse(request).error, undefined);
  assert.notEqual(schema.safeParse({ ...asked[0]?.request, more: 1 }).error, undefined);
});

test("a certificate: of an authority that is listed, its fields are sent and its options obeyed", {
  skip,
}, async () => {
  const sign = async (name: string, by: string, ...flags: string[]): Promise<string> => {
    const key = makeKey(world.gateway.folder.at(name), "ed25519");
    await succeed("ssh-keygen", [
      "-q",
      "-s",
      by,
      "-I",
      `id of ${name}`,
      "-n",
      "team",
      ...flags,
      `${key.path}.pub`,
    ]);
    return key.path;
  };
  answer = (response, { request }) => says({ allow: request["certificate"] !== undefined })(response);
  const good = await sign("good", ca.path, "-z", "7", "-O", "force-command=echo forced");
  const { stdout, stderr } = await ssh("key-ada", "echo mine", { key: good });
  assert.equal(stdout.toString(), "forced\n", stderr);
  const { keyId, serial, principals, criticalOptions } = (asked.at(-1)?.request["certificate"] ??
    {}) as Record<string, unknown>;
  assert.deepEqual(
    { keyId, serial, principals, criticalOptions },
    {
      keyId: "id of good",
      serial: "7",
      principals: ["team"],
      criticalOptions: ["force-command"],
    },
  );
  asked = [];
  const other = makeKey(world.gateway.folder.at("other_ca"), "ed25519");
  for (const key of [
    await sign("foreign", other.path),
    await sign("late", ca.path, "-V", "20200101:20200102"),
  ]) {
    await refuses("key-zoe", { key });
  }
  // The plain keys were asked about, the certificates were not worth a question.
  assert.ok(asked.length > 0 && asked.every(({ request }) => request["certificate"] === undefined));
});

test("a password is sent where the operator says so, and is in no log", { skip }, async () => {
  answer = (response, { request }) => says({ allow: request["password"] === password })(response);
  assert.equal(await admits("word-ada", undefined, { passwords: [password] }), "first");
  await refuses("word-ada", { passwords: ["wrong"] });
  assert.equal(await admits("prompt-ada", undefined, { passwords: [password] }), "first");
  assert.deepEqual(
    asked.map(({ request }) => [request["method"], request["password"]]),
    [
      ["password", password],
      ["password", "wrong"],
      ["keyboard-interactive", password],
    ],
  );
  answer = says({ allow: true });
  asked = [];
  await admits("key-ada");
  assert.ok(asked.every(({ request }) => !("password" in request)));
});

test("no: the client is told nothing but that, the audit why and who", { skip }, async () => {
  answer = says({ allow: false, subject: "eve@example.com", reason: "left the company" });
  const stderr = await refuses("key-eve");
  assert.ok(!stderr.includes("company"));
  assert.match(await reasonFor("key-eve"), /left the company/);
  await told("key-eve", (line) => line.event === "auth" && line.subject === "eve@example.com");
});

test("the answer leads elsewhere: another host, another user, another credential", { skip }, async () => {
  answer = says({
    allow: true,
    upstream: { host: "127.0.0.2", port: second.port, user: world.user.name },
    credentials: ["key"],
  });
  assert.equal(await admits("way-ada"), "second");
  answer = says({ allow: true, credentials: [2] });
  assert.equal(await admits("way-ada"), "first");
  const entry = await told("way-ada", ({ event }) => event === "decision");
  assert.ok(entry.event === "decision");
});

test("what the rule does not allow, the answer cannot give", { skip }, async () => {
  const port = second.port;
  const cases: readonly [string, Pieces, RegExp][] = [
    ["way-b", { upstream: { host: "localhost", port } }, /"localhost" is not among the rule's targets/],
    ["way-c", { upstream: { host: "127.0.0.9", port } }, /not among the rule's targets/],
    ["way-d", { upstream: { host: "127.2", port } }, /is no host name or address/],
    ["way-e", { upstream: { user: "root" } }, /not among upstreamUsers/],
    ["way-f", { credentials: ["agent"] }, /none of the credentials agent/],
    ["way-g", { credentials: [3] }, /none of the credentials 3/],
    ["key-h", { upstream: { host: "127.0.0.2", port } }, /not among the rule's targets/],
    ["key-i", { upstream: { user: world.user.name } }, /not among upstreamUsers/],
  ];
  for (const [user, more, reason] of cases) {
    answer = says({ allow: true, ...more });
    await refuses(user);
    assert.match(await reasonFor(user), reason, user);
  }
});

test("limits: a command, variables, no forwarding, an end", { skip }, async () => {
  answer = says({ allow: true, limits: { command: "echo only $GIVEN", environment: { GIVEN: "this" } } });
  assert.equal(await admits("key-ada", "echo mine"), "only this");
  answer = says({ allow: true, limits: { permitOpen: ["127.0.0.1:1"] } });
  const barred = await ssh("key-ada", "true", { flags: ["-W", `127.0.0.1:${world.sshd.port}`] });
  assert.match(barred.stderr, /Your login does not allow forwarding/);
  answer = says({ allow: true, limits: { seconds: 1 } });
  const ended = await ssh("key-ada", "sleep 60");
  assert.match(ended.stderr, /lasted as long as it may/);
});

const troubles: readonly [string, (response: ServerResponse) => void, RegExp][] = [
  ["answers 500", (response) => void response.writeHead(500).end(), /it answered 500/],
  ["does not answer", () => {}, /no answer in 0\.5 seconds/],
  ["begins to answer", (response) => void response.writeHead(200).write("{"), /no answer in 0\.5 seconds/],
  [
    "gives ten megabytes",
    (response) => void response.end(`{"allow":true,"x":"${"x".repeat(1e7)}"}`),
    /more than 65536/,
  ],
  ["hangs up", (response) => void response.destroy(), /socket hang up|cut off/],
  ["sends elsewhere", (response) => void response.writeHead(302, { location: "/" }).end(), /it answered 302/],
  ["talks nonsense", (response) => void response.end("yes"), /the answer is no JSON/],
  ["says yes in its own way", says({ allow: "yes" }), /allow is not as it must be|the answer: /],
  ["says more than is known", says({ allow: true, limit: { pty: false } }), /keys that are not known/],
];
for (const [at, [what, trouble, reason]] of troubles.entries()) {
  test(`a webhook that ${what}: refused in its time, told in the log; the last answer where the rule says so`, {
    skip,
  }, async () => {
    const name = "abcdefghij"[at] ?? "z";
    answer = says({ allow: true });
    await admits(`kept-${name}`, "true");
    answer = trouble;
    await refuses(`short-${name}`);
    await admits(`kept-${name}`, "true");
    await refuses(`kept-${name}x`);
    assert.match(await reasonFor(`short-${name}`), /UPSTREAM_WEBHOOK_FAILED/);
    const lines = world.gateway.events("webhook-failed").map((line) => JSON.stringify(line));
    assert.ok(
      lines.some((line) => reason.test(line) && line.includes('"rule":"short"')),
      lines.join("\n"),
    );
  });
}

test("it is asked again when it stumbles, and then it counts", { skip }, async () => {
  let left = 1;
  answer = (response) => {
    if (left-- > 0) response.writeHead(503).end();
    else says({ allow: true })(response);
  };
  await admits("key-ada", "true");
  assert.equal(asked.length, 3);
});

test("a webhook whose certificate is by nobody who is trusted", { skip }, async () => {
  answer = says({ allow: true });
  await refuses("distrustful-ada");
  assert.deepEqual(asked, []);
});

test("behind a key: it decides, and when it is down the step counts as done, where the rule says that", {
  skip,
}, async () => {
  answer = says({ allow: false });
  await ssh("after-ada", "true", { passwords: [""] });
  assert.deepEqual(
    ((asked[0]?.request["passed"] ?? []) as { method: string }[]).map(({ method }) => method),
    ["publickey"],
  );
  answer = says({ allow: true });
  assert.equal(await admits("after-ada", undefined, { passwords: [""] }), "first");
  answer = () => {};
  assert.equal(await admits("after-ada", undefined, { passwords: [""] }), "first");
});

test("a name that leads nowhere is refused with the same words, and not asked about", { skip }, async () => {
  answer = says({ allow: false });
  const known = await refuses("word-eve", { passwords: ["guess"] });
  const count = asked.length;
  const unknown = await refuses("nobody", { passwords: ["guess"] });
  assert.equal(unknown.replace("nobody", "word-eve"), known);
  assert.equal(asked.length, count);
});

test("check refuses what cannot be meant; explain knows the login", { skip }, async () => {
  const file = world.gateway.folder.at("checked.yaml");
  const check = async (login: Pieces, more: Pieces = {}): Promise<string> => {
    const rule = {
      name: "x",
      login: [{ kind: "webhook", url: server.origin, ...login }],
      upstream: upstreamTo(world),
    };
    const [host] = world.gateway.hostKeys;
    const config = { listen: [":0"], hostKeys: [host?.path], rules: [{ ...rule, ...more }] };
    await writeFile(file, JSON.stringify(config), { mode: 0o600 });
    const { stdout, stderr } = await postern(["check", "-c", file]);
    return `${stdout.toString()}${stderr}`;
  };
  assert.match(await check({ url: "http://localhost/" }), /must begin with https:\/\//);
  assert.match(await check({ methods: ["password"] }), /sendPassword/);
  assert.match(await check({ methods: ["keyboard-interactive"] }), /shows nothing/);
  assert.match(await check({ whenDown: "dangerously-allow" }), /would let anybody in/);
  assert.match(await check({ signingSecret: "short" }), /32 bytes/);
  assert.match(await check({ tlsAuthorities: world.identity.path }), /holds no certificate/);
  assert.doesNotMatch(await check({ tlsAuthorities: server.certificate }), /error/i);
  const { stdout } = await postern(["explain", "ada", "-c", file]);
  assert.match(stdout.toString(), /To log in: webhook\./);
});

test("no password and no token is in log or audit", { skip }, async () => {
  const text = JSON.stringify(world.gateway.logs()) + (await readFile(audit, "utf8"));
  for (const secret of [password, token, signing]) assert.ok(!text.includes(secret));
});
