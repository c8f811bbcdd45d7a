/** Single sign-on: a code by SSH, a browser elsewhere, a real OpenID provider. */
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { after, before, beforeEach, test } from "node:test";
import { assertIn, assertRefused, toldOf } from "#test/support/signed-on";
import { postern, type Pieces } from "#test/support/gateway";
import { openIdClient, type OpenIdProvider, startOpenId } from "#test/support/openid";
import { runOnPty } from "#test/support/pty";
import { runSsh, spawnSsh, sshCommand } from "#test/support/ssh";
import { missing, stranger } from "#test/support/strangers";
import type { Child, Outcome } from "#test/support/child";
import { keyLogin, startWorld, upstreamTo, type World } from "#test/support/world";

const skip = missing("ssh", "sshd", "openssl");
let world: World;
let provider: OpenIdProvider;
let audit: string;

const people = {
  "sub-ada": {
    email: "Ada@Example.com",
    email_verified: true,
    preferred_username: "ada",
    groups: ["admins"],
  },
  "sub-bob": { email: "bob@example.com", email_verified: true, preferred_username: "bob", groups: [] },
  "sub-eve": { email: "ada@example.com", email_verified: false, preferred_username: "eve", groups: [] },
};

before(async () => {
  if (skip !== false) return;
  world = await startWorld({ rules: () => [], config: { limits: { failureDelaySeconds: 0.1 } } });
  const { gateway, identity } = world;
  provider = await startOpenId(gateway.folder, people);
  audit = gateway.folder.at("audit.jsonl");
  const signOn = {
    kind: "oidc",
    issuer: provider.issuer,
    clientId: openIdClient.id,
    clientSecret: openIdClient.secret,
    tlsAuthorities: provider.certificate,
    timeoutSeconds: "2s",
  };
  const rule = (name: string, more: Pieces, whole: Pieces = {}): Pieces => ({
    name,
    match: { userPattern: `${name}-(?<login>[a-z]+)` },
    login: [{ ...signOn, name: "{login}", ...more }],
    upstream: upstreamTo(world),
    ...whole,
  });
  const everybody = { emails: ["*"] };
  await gateway.rewrite(
    [
      rule("domain", { allow: { emails: ["*@example.com"] }, user: { emailDomain: "example.com" } }),
      rule("claim", { allow: everybody, user: { claim: "preferred_username" }, confirm: true }),
      rule("group", {
        scopes: ["openid", "groups"],
        allow: { groups: ["admins"] },
        user: { map: { "group:admins": ["root"], "sub:sub-bob": ["bob"] } },
      }),
      rule("public", {
        clientId: "public",
        clientSecret: undefined,
        allow: { subjects: ["sub-ada"] },
        user: { map: { "sub:sub-ada": ["ada"] } },
      }),
      rule("short", { waitSeconds: "2s", allow: everybody, user: { emailDomain: "example.com" } }),
      rule("wrong", { clientSecret: "another", allow: everybody, user: { emailDomain: "example.com" } }),
      rule("elsewhere", {
        issuer: `${provider.issuer}/other`,
        allow: everybody,
        user: { emailDomain: "example.com" },
      }),
      rule("distrustful", {
        tlsAuthorities: undefined,
        allow: everybody,
        user: { emailDomain: "example.com" },
      }),
      rule(
        "both",
        {},
        {
          login: [
            keyLogin(identity),
            { ...signOn, name: "{login}", allow: everybody, user: { emailDomain: "example.com" } },
          ],
          require: ["publickey", "oidc"],
        },
      ),
    ],
    { audit: [{ kind: "jsonl", file: audit }] },
  );
  gateway.signal("SIGHUP");
  await gateway.waitForLog("reload", ({ event }) => event === "reloaded");
});
after(async () => {
  await provider?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});
beforeEach(() => {
  if (provider !== undefined) provider.trouble = undefined;
});

function begin(user: string, key?: string): Child {
  const options = { passwords: [""], options: ["NumberOfPasswordPrompts=1"] };
  return spawnSsh(world.gateway.target(user, key), ["echo in"], options);
}

/** The address with the code in it that ssh shows. */
async function shown(child: Child): Promise<string> {
  const [, address = ""] = await child.waitForStderr(/or open (https:\S+user_code=\S+?)\r?\n/);
  return address;
}

async function logIn(user: string, login: string, key?: string): Promise<Outcome> {
  await using child = begin(user, key);
  const page = await provider.signIn(await shown(child), login);
  assert.match(page, /Sign-in Success/);
  return await child.outcome();
}

const told = (user: string): ReturnType<typeof toldOf> => toldOf(audit, user);

test("a code, a browser, and in: the audit says who", { skip }, async () => {
  await using child = begin("domain-ada");
  await child.waitForStderr(/To log in, open https:\S+\/device\r?\n/);
  await child.waitForStderr(/and enter the code [A-Z]{4}-[A-Z]{4}\r?\n/);
  await provider.signIn(await shown(child), "sub-ada");
  assertIn(await child.outcome());
  const line = await told("domain-ada");
  assert.equal(line.outcome, "accepted");
  assert.equal(line.subject, "sub-ada");
  assert.equal(line.by, `oidc ada@example.com at ${provider.issuer}`);
});

test("on a terminal, with a question for clients that need one", { skip }, async () => {
  const target = world.gateway.target("claim-ada");
  const options = { options: ["BatchMode=no", "NumberOfPasswordPrompts=1"] };
  let seen = 0;
  provider.trouble = ({ url }) => {
    if (url === "/token") seen += 1;
    return false;
  };
  const { stdout } = await runOnPty({
    command: [stranger("ssh"), ...sshCommand(target, ["echo in"], options)],
    steps: [{ expect: "Press Enter when you have signed in: ", send: "\x03" }],
  });
  assert.match(stdout.toString(), /and enter the code [A-Z]{4}-[A-Z]{4}/);
  assert.equal(seen, 0, "asked only when the person says so");
  await using child = begin("claim-ada");
  await provider.signIn(await shown(child), "sub-ada");
  assertIn(await child.outcome());
});

test("nobody becomes somebody else by another name; who it was is in the audit", { skip }, async () => {
  const cases: readonly [string, string, RegExp][] = [
    ["domain-root", "sub-ada", /may not go by the name "root"/],
    ["domain-ada", "sub-bob", /bob@example.com may not go by the name "ada"/],
    ["domain-ada", "sub-eve", /sub-eve is not among those who may log in here/],
    ["claim-ada", "sub-bob", /may not go by the name "ada"/],
    ["group-bob", "sub-bob", /is not among those/],
    ["group-ada", "sub-ada", /may not go by the name "ada"/],
    ["public-ada", "sub-bob", /is not among those/],
  ];
  for (const [user, login, reason] of cases) {
    assertRefused(
      await logIn(user, login),
      /You are signed in as \S+, who may not log in here by this name\./,
    );
    const line = await told(user);
    assert.match(line.reason ?? "", reason, user);
    assert.equal(line.subject, login);
  }
});

test("groups and subjects; a client without a secret", { skip }, async () => {
  assertIn(await logIn("group-root", "sub-ada"));
  assertIn(await logIn("public-ada", "sub-ada"));
});

test("a key, and then a browser", { skip }, async () => {
  assertIn(await logIn("both-ada", "sub-ada", world.identity.path));
  assertRefused(await logIn("both-ada", "sub-bob", world.identity.path), /may not log in here/);
});

test("a name that leads nowhere is shown the same, and told the same", { skip }, async () => {
  // Such a name does as one of the rules does, always the same one; not all of those here can show a code.
  for (const name of Array.from("abcdefghijklmnopqrstuvwxyz", (letter) => `nobody${letter}`)) {
    await using child = begin(name);
    const [seen] = await child.waitForStderr(/user_code=\S+\r?\n|Permission denied/);
    if (seen === "Permission denied") continue;
    const address = await shown(child);
    await provider.signIn(address, "sub-ada");
    const words = /You are signed in as (ada@example.com|sub-ada), who may not log in here by this name\./;
    assertRefused(await child.outcome(), words);
    assert.match((await told(name)).reason ?? "", /no rule lets this name in/);
    return;
  }
  assert.fail("no name was shown a code");
});

test("refused in the browser", { skip }, async () => {
  await using child = begin("domain-ada");
  await provider.signIn(await shown(child), "sub-ada", "refuse");
  assertRefused(await child.outcome(), /The sign-in was refused in the browser\./);
  assert.match((await told("domain-ada")).reason ?? "", /DENIED_OIDC_REFUSED/);
});

test("nobody signs in: the code expires", { skip }, async () => {
  await using child = begin("short-ada");
  assertRefused(await child.outcome(), /The time to sign in is over\. Try again with a new code\./);
});

test("a code counts for one login", { skip }, async () => {
  await using child = begin("domain-ada");
  const address = await shown(child);
  await provider.signIn(address, "sub-ada");
  assertIn(await child.outcome());
  await assert.rejects(provider.signIn(address, "sub-ada"));
});

test("a client that leaves ends its sign-in", { skip }, async () => {
  await using child = begin("domain-ada");
  await shown(child);
  child.kill("SIGKILL");
  await child.outcome();
  const ended = ({ event, reason }: { event?: unknown; reason?: unknown }): boolean =>
    event === "session-ended" && reason === "the client left before it had logged in";
  await world.gateway.waitForLog("end of the session", ended);
});

test("a provider that is down, slow, wrong or not trusted: refused in words", { skip }, async () => {
  const refused = async (user: string, words: RegExp, code: string): Promise<void> => {
    await using child = begin(user);
    assertRefused(await child.outcome(), words);
    assert.match((await told(user)).reason ?? "", new RegExp(code));
  };
  const unreachable = /The sign-in service cannot be reached\. Try again later\./;
  const unfit = /The sign-in service does not answer as it should\. Tell the gateway's administrator\./;
  await refused("distrustful-ada", unreachable, "UPSTREAM_OIDC_UNREACHABLE");
  await refused("elsewhere-ada", unfit, "UPSTREAM_OIDC_UNFIT");
  await refused("wrong-ada", unfit, "UPSTREAM_OIDC_UNFIT");
  for (const [name, words, code, answer] of [
    ["slow", unreachable, "UPSTREAM_OIDC_UNREACHABLE", () => {}],
    ["down", unreachable, "UPSTREAM_OIDC_UNREACHABLE", (response: { destroy(): void }) => response.destroy()],
    [
      "broken",
      unfit,
      "UPSTREAM_OIDC_UNFIT",
      (response: { writeHead(status: number): { end(): void } }) => response.writeHead(500).end(),
    ],
    [
      "flooding",
      unreachable,
      "UPSTREAM_OIDC_UNREACHABLE",
      (response: { end(text: string): void }) => response.end("x".repeat(2e6)),
    ],
  ] as const) {
    provider.trouble = ({ url }, response) => {
      if (url !== "/device/auth") return false;
      answer(response);
      return true;
    };
    await refused(`domain-${name}`, words, code);
  }
  assert.ok(
    world.gateway.events("oidc-failed").some((line) => line["level"] === "warn" || line["level"] === 40),
  );
});

test("check tells what is wrong; explain knows the login", { skip }, async () => {
  const file = world.gateway.folder.at("checked.yaml");
  const check = async (login: Pieces): Promise<string> => {
    const whole = {
      kind: "oidc",
      issuer: provider.issuer,
      clientId: "x",
      allow: { emails: ["*"] },
      ...login,
    };
    const rule = { name: "x", login: [whole], upstream: upstreamTo(world) };
    const [host] = world.gateway.hostKeys;
    const config = { listen: [":0"], hostKeys: [host?.path], rules: [rule] };
    await writeFile(file, JSON.stringify(config), { mode: 0o600 });
    const { stdout, stderr } = await postern(["check", "-c", file]);
    return `${stdout.toString()}${stderr}`;
  };
  const user = { claim: "preferred_username" };
  assert.match(await check({}), /login\[0\]\.user: is missing/);
  assert.match(await check({ user: {} }), /anybody could log in by anybody's name/);
  assert.match(await check({ user, allow: {} }), /give emails, groups or subjects/);
  assert.match(await check({ user, issuer: "http://localhost" }), /must begin with https/);
  assert.match(await check({ user, scopes: ["email"] }), /must have openid/);
  assert.match(await check({ user, name: "{login}" }), /the rule has only/);
  assert.doesNotMatch(await check({ user }), /error/i);
  const { stdout } = await postern(["explain", "ada", "-c", file]);
  assert.match(stdout.toString(), /To log in: oidc\./);
});

test("no token and no secret is in log or audit", { skip }, async () => {
  const text = JSON.stringify(world.gateway.logs()) + (await readFile(audit, "utf8"));
  assert.ok(!text.includes(openIdClient.secret));
  assert.doesNotMatch(text, /eyJ[A-Za-z0-9_-]{10}/, "a JWT");
  assert.doesNotMatch(text, /user_code|device_code|access_token/);
});

test("programs that cannot ask are refused at once", { skip }, async () => {
  const { code, stderr } = await runSsh(world.gateway.target("domain-ada"), ["true"], {
    options: ["KbdInteractiveAuthentication=no"],
  });
  assert.equal(code, 255);
  assert.match(stderr, /Permission denied/);
});
