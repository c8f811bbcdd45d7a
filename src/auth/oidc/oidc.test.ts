/** What a provider may get wrong, or somebody in its place: nobody is let in by it. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { test } from "node:test";
import { silentLog, systemClock } from "#base";
import type { AuthContext, AuthPorts, Verdict } from "#contract";
import { noUsers } from "#test/support/auth-ports";
import {
  adaLogsIn,
  answerJson,
  goodClaims,
  idToken,
  type Json,
  oidcBasics,
  signingKeys,
  startProvider,
} from "#test/support/oidc-stand";
import { oidc } from "./oidc.ts";
import { neededClaims, personOf, refusal } from "./person.ts";
import { type OidcConfig, schema } from "./schema.ts";

const others = generateKeyPairSync("rsa", { modulusLength: 2048 });

interface Behaviour {
  /** Over the good claims. */
  readonly claims?: Json;
  readonly idToken?: (good: Json) => string | undefined;
  readonly metadata?: Json;
  readonly device?: Json;
  readonly userinfo?: Json;
  readonly tokenAnswer?: (response: ServerResponse) => void;
}

/** A provider that does as it is told, and one login method for it. */
async function standing(behaviour: Behaviour = {}, config: Partial<OidcConfig> = {}) {
  const bodies: string[] = [];
  const asked: string[] = [];
  const provider = await startProvider((request, response) => void answer(request, response));
  const { issuer } = provider;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = request.url ?? "";
    asked.push(url);
    const json = (value: Json): void => answerJson(response, value);
    if (url.startsWith("/.well-known/")) {
      json({
        issuer,
        token_endpoint: `${issuer}/token`,
        authorization_endpoint: `${issuer}/auth`,
        device_authorization_endpoint: `${issuer}/device`,
        jwks_uri: `${issuer}/jwks`,
        userinfo_endpoint: `${issuer}/me`,
        ...behaviour.metadata,
      });
    } else if (url === "/jwks") {
      json(signingKeys);
    } else if (url === "/device") {
      json({
        device_code: "d",
        user_code: "ABCD-EFGH",
        verification_uri: `${issuer}/go`,
        expires_in: 60,
        interval: 0.01,
        ...behaviour.device,
      });
    } else if (url === "/me") {
      json({ sub: "s1", ...behaviour.userinfo });
    } else if (behaviour.tokenAnswer !== undefined) {
      behaviour.tokenAnswer(response);
    } else {
      const good = { ...goodClaims(issuer), ...behaviour.claims };
      const signed = behaviour.idToken === undefined ? idToken(good) : behaviour.idToken(good);
      const body = {
        access_token: "a",
        token_type: "Bearer",
        ...(signed === undefined ? {} : { id_token: signed }),
      };
      bodies.push(JSON.stringify(body));
      json(body);
    }
  }

  const logged: string[] = [];
  const note = (event: string, fields: object = {}): void =>
    void logged.push(`${event} ${JSON.stringify(fields)} ${String("error" in fields ? fields.error : "")}`);
  const ports: AuthPorts = {
    clock: systemClock,
    log: { ...silentLog, warn: note, info: note },
    files: { read: async () => undefined },
    ...noUsers,
  };
  const method = await oidc.create(
    {
      ...oidcBasics,
      issuer,
      ...config,
    },
    ports,
  );
  const words: string[] = [];
  return {
    asked,
    bodies,
    logged,
    words,
    attempt: (more: Partial<AuthContext> = {}): Promise<Verdict> =>
      method.attempt(
        {
          method: "keyboard-interactive",
          ask: async ({ instruction, prompts }) => {
            words.push(instruction);
            return prompts.map(() => new Uint8Array());
          },
        },
        { ...adaLogsIn, ...more },
      ),
    [Symbol.asyncDispose]: async () => {
      await method[Symbol.asyncDispose]();
      await provider[Symbol.asyncDispose]();
    },
  };
}

test("signed in; what the provider says of itself is asked for once", async () => {
  await using stand = await standing();
  const verdict = await stand.attempt();
  assert.ok(verdict.kind === "accepted", JSON.stringify(verdict));
  assert.equal(verdict.subject, "s1");
  assert.match(verdict.by, /^oidc ada@example\.com at http:/);
  assert.equal(stand.words.length, 1);
  assert.equal((await stand.attempt({ pretended: true })).kind, "denied");
  assert.equal(stand.asked.filter((url) => url.startsWith("/.well-known/")).length, 1);
});

const now = Math.floor(Date.now() / 1000);
const lies: readonly [string, Behaviour][] = [
  ["for another client", { claims: { aud: "another" } }],
  ["for several clients, made out to another", { claims: { aud: ["postern", "another"], azp: "another" } }],
  ["by another issuer", { claims: { iss: "http://127.0.0.1:1" } }],
  ["that has expired", { claims: { exp: now - 3600 } }],
  ["of an earlier login", { claims: { iat: now - 3600 } }],
  ["that holds only later", { claims: { nbf: now + 3600 } }],
  ["of nobody", { claims: { sub: undefined } }],
  ["signed by another key", { idToken: (good) => idToken(good, { key: others.privateKey }) }],
  ["signed by nobody", { idToken: (good) => idToken(good, { alg: "none" }) }],
  [
    "that was changed",
    {
      idToken: (good) =>
        idToken(good).replace(
          /\.[^.]+\./,
          `.${Buffer.from(JSON.stringify({ ...good, sub: "s2" })).toString("base64url")}.`,
        ),
    },
  ],
  ["that is none", { idToken: () => "nonsense" }],
  ["that is missing", { idToken: () => undefined }],
];
for (const [what, behaviour] of lies) {
  test(`a token ${what}: refused in words, and not repeated in the log`, async () => {
    await using stand = await standing(behaviour);
    const verdict = await stand.attempt();
    assert.ok(verdict.kind === "denied", what);
    assert.match(verdict.reason, /UPSTREAM_OIDC_UNTRUSTED/);
    assert.match(stand.words.at(-1) ?? "", /cannot be trusted/);
    const text = stand.logged.join("\n") + verdict.reason;
    assert.doesNotMatch(text, /eyJ/);
    assert.match(text, /oidc-failed/);
  });
}

test("a token that was used before", async () => {
  let first: string | undefined;
  await using stand = await standing({ idToken: (good) => (first ??= idToken(good)) });
  assert.equal((await stand.attempt()).kind, "accepted");
  const again = await stand.attempt();
  assert.ok(again.kind === "denied" && /used before/.test(again.reason), JSON.stringify(again));
});

test("what the token does not say is asked for, about the same person alone", async () => {
  const bare = { email: undefined, email_verified: undefined };
  const more = { email: "ada@example.com", email_verified: true };
  await using good = await standing({ claims: bare, userinfo: more });
  assert.equal((await good.attempt()).kind, "accepted");
  await using other = await standing({ claims: bare, userinfo: { ...more, sub: "s2" } });
  assert.equal((await other.attempt()).kind, "denied");
  await using known = await standing({ userinfo: { email: "bob@example.com" } });
  assert.equal((await known.attempt()).kind, "accepted");
  assert.ok(!known.asked.includes("/me"));
});

const faults: readonly [string, Behaviour, RegExp][] = [
  ["calls itself another", { metadata: { issuer: "http://127.0.0.1:1/" } }, /UNTRUSTED/],
  ["has no device flow", { metadata: { device_authorization_endpoint: undefined } }, /UNFIT.*RFC 8628/],
  ["shows what cannot be shown", { device: { user_code: "A\u001b[2J" } }, /UNFIT/],
  ["leads people to another kind of address", { device: { verification_uri: "javascript:alert" } }, /UNFIT/],
  ["refuses", { tokenAnswer: error("access_denied") }, /DENIED_OIDC_REFUSED/],
  ["says that time is over", { tokenAnswer: error("expired_token") }, /DENIED_OIDC_EXPIRED/],
  ["does not know us", { tokenAnswer: error("invalid_client\u001b") }, /UNFIT/],
  ["never answers", { tokenAnswer: () => {} }, /UNREACHABLE|UNFIT/],
  ["floods", { tokenAnswer: (response) => void response.end("x".repeat(1e6)) }, /UNREACHABLE|UNFIT/],
  ["talks nonsense", { tokenAnswer: (response) => void response.end("<html>") }, /UNFIT/],
];
function error(code: string): (response: ServerResponse) => void {
  return (response) => {
    response.writeHead(400, { "content-type": "application/json" });
    response.end(JSON.stringify({ error: code, error_description: "no" }));
  };
}
for (const [what, behaviour, reason] of faults) {
  test(`a provider that ${what}: refused in words`, async () => {
    await using stand = await standing(behaviour);
    const verdict = await stand.attempt();
    assert.ok(verdict.kind === "denied", what);
    assert.match(verdict.reason, reason);
    assert.match(stand.words.at(-1) ?? "", /^[A-Z][\x20-\x7e]*\.\n$/);
    assert.ok(!verdict.reason.includes("\u001b"));
  });
}

test("nobody comes in time; a client that leaves ends it", async () => {
  const pending = { tokenAnswer: error("authorization_pending") };
  await using late = await standing(pending, { waitSeconds: 0.2 });
  const verdict = await late.attempt();
  assert.ok(verdict.kind === "denied" && /DENIED_OIDC_EXPIRED/.test(verdict.reason), JSON.stringify(verdict));
  await using stand = await standing(pending);
  const leaving = new AbortController();
  const attempt = stand.attempt({ signal: leaving.signal });
  leaving.abort(new Error("left"));
  await assert.rejects(attempt, /left/);
});

test("who may go by which name", () => {
  const ada = {
    email: "Ada@Example.com",
    email_verified: true,
    preferred_username: "ada",
    groups: ["ops", 7],
  };
  const policy = { allow: { emails: ["*@EXAMPLE.com"] }, user: { emailDomain: "example.com" } };
  const may = (claims: Json, name: string, more: Partial<OidcConfig>): boolean => {
    const whole = { ...policy, ...more };
    return refusal(personOf(claims, "s1", whole), claims, name, whole) === undefined;
  };
  const cases: readonly [boolean, Json, string, Partial<OidcConfig>][] = [
    [true, ada, "ada", {}],
    [false, ada, "Ada", {}],
    [false, ada, "root", {}],
    [false, ada, "", {}],
    [false, { ...ada, email_verified: false }, "ada", {}],
    [false, { ...ada, email_verified: "true" }, "ada", {}],
    [true, { ...ada, email_verified: undefined }, "ada", { dangerouslyTrustEmails: true }],
    [false, { ...ada, email: "ada@example.com@example.com" }, "ada", {}],
    [false, { ...ada, email: "ada@notexample.com" }, "ada", {}],
    [false, { ...ada, email: 5 }, "ada", {}],
    [true, ada, "ada", { user: { claim: "preferred_username" } }],
    [false, ada, "constructor", { user: { claim: "preferred_username" } }],
    [false, ada, "ada", { user: { claim: "toString" } }],
    [true, ada, "ada", { allow: { groups: ["ops"] } }],
    [false, ada, "ada", { allow: { groups: ["7"] } }],
    [true, { ...ada, groups: "ops" }, "ada", { allow: { groups: ["ops"] } }],
    [true, { ...ada, roles: ["ops"] }, "ada", { allow: { groups: ["ops"] }, groupsClaim: "roles" }],
    [true, ada, "ada", { allow: { subjects: ["s1"] } }],
    [false, ada, "ada", { allow: { subjects: ["s2"] } }],
    [true, ada, "root", { user: { map: { "group:ops": ["root"] } } }],
    [true, ada, "root", { user: { map: { "ADA@example.com": ["root"] } } }],
    [true, ada, "root", { user: { map: { "sub:s1": ["x", "root"] } } }],
    [false, ada, "root", { user: { map: { s1: ["root"] } } }],
    [
      false,
      { ...ada, email_verified: false },
      "ada@x",
      { allow: { subjects: ["s1"] }, user: { claim: "email" } },
    ],
  ];
  for (const [expected, claims, name, more] of cases)
    assert.equal(may(claims, name, more), expected, `${name} ${JSON.stringify([claims, more])}`);
  assert.deepEqual(neededClaims({ allow: { subjects: ["s1"] }, user: { map: { "sub:s1": ["a"] } } }), []);
  assert.deepEqual(neededClaims({ allow: { groups: ["g"] }, user: { claim: "nick" } }), ["groups", "nick"]);
});

test("what the configuration may say", () => {
  const whole = {
    kind: "oidc",
    issuer: "https://login.example.com",
    clientId: "postern",
    allow: { emails: ["*@example.com"] },
    user: { emailDomain: "example.com" },
  };
  assert.equal(schema.safeParse(whole).error, undefined);
  for (const [more, problem] of [
    [{ issuer: "http://login.example.com" }, /must begin with https/],
    [{ issuer: "login" }, /is no address/],
    [{ scopes: ["email"] }, /must have openid/],
    [{ scopes: ["openid email"] }, /without spaces/],
    [{ allow: {} }, /give emails, groups or subjects/],
    [{ user: {} }, /anybody's name/],
    [{ user: { emailDomain: "Example.com" } }, /lower case/],
  ] as const)
    assert.match(
      schema
        .safeParse({ ...whole, ...more })
        .error?.issues.map(({ message }) => message)
        .join() ?? "",
      problem,
    );
});
