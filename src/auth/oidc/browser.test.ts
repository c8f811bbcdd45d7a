/** The authorization code: whom a provider names, and what nobody is let in by. Signatures and the rest: oidc.test.ts. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { test } from "node:test";
import { silentLog, systemClock } from "#base";
import type { AuthContext, AuthPorts, SignInVisit, Verdict, WaitingLogin } from "#contract";
import { noUsers } from "#test/support/auth-ports";
import { bodyOf } from "#test/support/https-server";
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
import type { OidcConfig } from "./schema.ts";

const callback = "https://login.gate.example/callback/idp";

interface Behaviour {
  readonly metadata?: Json;
  /** Over the good claims. */
  readonly claims?: Json;
  readonly refusal?: string;
}

/** A provider that keeps to PKCE, and otherwise does as it is told; and a login method for it. */
async function standing(behaviour: Behaviour = {}, config: Partial<OidcConfig> = {}) {
  const asked: URLSearchParams[] = [];
  let visited: URLSearchParams | undefined;
  const provider = await startProvider(
    (request, response) =>
      void answer(request).then((value) => answerJson(response, value, "error" in value ? 400 : 200)),
  );
  const { issuer } = provider;

  async function answer(request: IncomingMessage): Promise<Json> {
    if (request.url === "/jwks") return signingKeys;
    if (request.url !== "/token")
      return {
        issuer,
        token_endpoint: `${issuer}/token`,
        authorization_endpoint: `${issuer}/auth`,
        jwks_uri: `${issuer}/jwks`,
        ...behaviour.metadata,
      };
    const body = new URLSearchParams((await bodyOf(request)).toString());
    asked.push(body);
    if (behaviour.refusal !== undefined) return { error: behaviour.refusal };
    const challenge = createHash("sha256")
      .update(body.get("code_verifier") ?? "")
      .digest("base64url");
    const isRight =
      challenge === visited?.get("code_challenge") &&
      body.get("redirect_uri") === visited.get("redirect_uri") &&
      body.get("code") === "c";
    if (!isRight) return { error: "invalid_grant" };
    const claims = { ...goodClaims(issuer), nonce: visited?.get("nonce"), ...behaviour.claims };
    return { access_token: "a", token_type: "Bearer", id_token: idToken(claims) };
  }

  const logins: WaitingLogin[] = [];
  let closed = 0;
  const ports: AuthPorts = {
    clock: systemClock,
    log: silentLog,
    files: { read: async () => undefined },
    ...noUsers,
    signIn: {
      open: (login) => {
        logins.push(login);
        const text = "https://login.gate.example/";
        const shown = { code: "BCDF-GHJK", address: text, addressWithCode: `${text}?code=BCDF-GHJK` };
        return { ...shown, [Symbol.dispose]: () => void (closed += 1) };
      },
    },
  };
  const method = await oidc.create(
    {
      ...oidcBasics,
      flow: "browser",
      issuer,
      user: { emailDomain: "example.com", map: { "sub:s1": ["root", "ada"], "group:x": ["eve"] } },
      ...config,
    },
    ports,
  );
  assert.ok(method.browser !== undefined);
  const { browser } = method;
  const begin = async (): Promise<SignInVisit> => {
    const visit = await browser.provider.begin(callback, browser.provider.wants);
    visited = new URL(visit.address).searchParams;
    return visit;
  };
  const words: string[] = [];
  return {
    browser,
    begin,
    asked,
    logins,
    words,
    issuer,
    closed: () => closed,
    attempt: (more: Partial<AuthContext> = {}): Promise<Verdict> =>
      method.attempt(
        {
          method: "keyboard-interactive",
          ask: async ({ instruction }) => {
            words.push(instruction);
            return [];
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

test("a browser is sent with state, nonce and the challenge of a verifier; the code is cashed in with it, once", async () => {
  await using stand = await standing();
  const visit = await stand.begin();
  const sent = new URL(visit.address);
  const { searchParams: query } = sent;
  assert.equal(`${sent.origin}${sent.pathname}`, `${stand.issuer}/auth`);
  assert.deepEqual(
    ["response_type", "client_id", "redirect_uri", "code_challenge_method", "state"].map((name) =>
      query.get(name),
    ),
    ["code", "postern", callback, "S256", visit.state],
  );
  for (const name of ["state", "nonce", "code_challenge"])
    assert.match(query.get(name) ?? "", /^[\w-]{43}$/, name);
  const identity = await visit.finish(`code=c&state=${visit.state}`);
  assert.equal(identity.who, "ada@example.com");
  assert.equal(identity.by, `oidc ada@example.com at ${stand.issuer}`);
  assert.match(stand.asked[0]?.get("code_verifier") ?? "", /^[\w-]{43,128}$/);
  await assert.rejects(visit.finish(`code=c&state=${visit.state}`), { code: "UPSTREAM_OIDC_UNTRUSTED" });
  assert.equal(stand.asked.length, 1);
  const other = await stand.begin();
  assert.notEqual(other.state, visit.state);
});

const answers: readonly [string, (state: string) => string, string][] = [
  ["with another state", () => `code=c&state=${"x".repeat(43)}`, "UPSTREAM_OIDC_UNFIT"],
  ["without a state", () => "code=c", "UPSTREAM_OIDC_UNFIT"],
  ["by another issuer", (state) => `code=c&state=${state}&iss=https%3A%2F%2Fevil`, "UPSTREAM_OIDC_UNTRUSTED"],
  ["without a code", (state) => `state=${state}`, "UPSTREAM_OIDC_UNFIT"],
  ["with two codes", (state) => `code=c&code=c&state=${state}`, "UPSTREAM_OIDC_UNFIT"],
  ["with another code", (state) => `code=d&state=${state}`, "UPSTREAM_OIDC_UNFIT"],
  ["with a token in the front", (state) => `code=c&state=${state}&response=eyJ`, "UPSTREAM_OIDC_UNTRUSTED"],
  ["that is a refusal", (state) => `error=access_denied&state=${state}`, "DENIED_OIDC_REFUSED"],
  ["that is an error", (state) => `error=server_error%1b&state=${state}`, "UPSTREAM_OIDC_UNFIT"],
];
for (const [what, query, code] of answers) {
  test(`a browser comes back ${what}: nobody`, async () => {
    await using stand = await standing();
    const visit = await stand.begin();
    await assert.rejects(visit.finish(query(visit.state)), (error: Error & { code?: string }) => {
      assert.equal(error.code, code, error.message);
      assert.ok(!error.message.includes("\u001b"));
      return true;
    });
  });
}

const lies: readonly [string, Behaviour][] = [
  ["of another login (nonce)", { claims: { nonce: "another" } }],
  ["without a nonce", { claims: { nonce: undefined } }],
  ["for another client", { claims: { aud: "another" } }],
  ["by another issuer", { claims: { iss: "http://127.0.0.1:1" } }],
  ["of an earlier time", { claims: { iat: 1 } }],
];
for (const [what, behaviour] of lies) {
  test(`a token ${what}: nobody`, async () => {
    await using stand = await standing(behaviour);
    const visit = await stand.begin();
    await assert.rejects(visit.finish(`code=c&state=${visit.state}`), { code: "UPSTREAM_OIDC_UNTRUSTED" });
  });
}

test("a code of another visit is of no use: its challenge was another", async () => {
  await using stand = await standing();
  const first = await stand.begin();
  await stand.begin();
  // The provider holds the second's challenge now.
  await assert.rejects(first.finish(`code=c&state=${first.state}`), { code: "UPSTREAM_OIDC_UNFIT" });
});

test("a provider that must say its name in the answer, and does not", async () => {
  await using stand = await standing({ metadata: { authorization_response_iss_parameter_supported: true } });
  const visit = await stand.begin();
  await assert.rejects(visit.finish(`code=c&state=${visit.state}`), { code: "UPSTREAM_OIDC_UNTRUSTED" });
});

test("a provider without an address for browsers, or with a strange one", async () => {
  for (const endpoint of [undefined, "javascript:alert(1)", "data:text/html,x"]) {
    await using stand = await standing({ metadata: { authorization_endpoint: endpoint } });
    await assert.rejects(stand.begin(), { code: "UPSTREAM_OIDC_UNFIT" });
  }
});

test("names that somebody may be meant by, and no other", async () => {
  await using stand = await standing();
  const visit = await stand.begin();
  const identity = await visit.finish(`code=c&state=${visit.state}`);
  assert.deepEqual(stand.browser.names(identity), ["ada", "root"]);
  assert.equal(stand.browser.refusal(identity, { user: "root" }), undefined);
  assert.match(stand.browser.refusal(identity, { user: "eve" }) ?? "", /may not go by the name "eve"/);
});

test("one who is asked by other means is another provider", async () => {
  await using one = await standing();
  const { issuer } = one;
  await using same = await standing({}, { issuer });
  await using other = await standing({}, { issuer, clientId: "another" });
  assert.equal(one.browser.provider.id, same.browser.provider.id);
  assert.notEqual(one.browser.provider.id, other.browser.provider.id);
});

test("ssh shows the gateway's own code, and waits for what the page says", async () => {
  await using stand = await standing();
  const visit = await stand.begin();
  const identity = await visit.finish(`code=c&state=${visit.state}`);
  const end = async (
    settle: (login: WaitingLogin) => void,
    more: Partial<AuthContext> = {},
  ): Promise<Verdict> => {
    const before = stand.logins.length;
    const verdict = stand.attempt(more);
    while (stand.logins.length === before) await new Promise((resolve) => setImmediate(resolve));
    const login = stand.logins.at(-1);
    assert.ok(login !== undefined);
    settle(login);
    return await verdict;
  };
  const good = await end((login) => {
    assert.equal(login.mayBe(identity), true);
    login.settle(identity);
  });
  assert.deepEqual(good, { kind: "accepted", by: identity.by, subject: "s1" });
  assert.equal(
    stand.words[0],
    "To log in, open https://login.gate.example/\nand enter the code BCDF-GHJK\nor open https://login.gate.example/?code=BCDF-GHJK\n",
  );
  const refused = await end((login) => login.refuse());
  assert.ok(refused.kind === "denied" && refused.reason === "DENIED_OIDC_REFUSED", JSON.stringify(refused));
  // A name that leads nowhere: whoever it is.
  const pretended = await end(
    (login) => {
      assert.equal(login.mayBe(identity), false);
      login.settle(identity);
    },
    { pretended: true },
  );
  assert.ok(pretended.kind === "denied" && /leads nowhere/.test(pretended.reason));
  const left = new AbortController();
  const gone = end(() => left.abort(new Error("left")), { signal: left.signal });
  await assert.rejects(gone, /left/);
  assert.equal(stand.closed(), 4, "no code is left behind");
});

test("nobody comes in time", async () => {
  await using stand = await standing({}, { waitSeconds: 0.05 });
  const verdict = await stand.attempt();
  assert.ok(verdict.kind === "denied" && /DENIED_OIDC_EXPIRED/.test(verdict.reason));
  assert.match(stand.words.at(-1) ?? "", /The time to sign in is over/);
});

test("without pages of the gateway there is no such login", async () => {
  const config = { kind: "oidc", flow: "browser" } as unknown as OidcConfig;
  const ports = { clock: systemClock, log: silentLog, files: { read: async () => undefined }, ...noUsers };
  await assert.rejects(oidc.create(config, ports), { code: "OPERATOR_OIDC_INVALID" });
});
