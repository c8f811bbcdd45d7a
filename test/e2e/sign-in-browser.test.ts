/** Single sign-on for SSH by authorization code and PKCE: a code at the gateway's own page, a browser, a real OpenID provider. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { assertIn, assertRefused, toldOf } from "#test/support/signed-on";
import { startBrowser } from "#test/support/browser";
import { type CertificatePair, selfSigned } from "#test/support/certificates";
import { type Child, run } from "#test/support/child";
import { FormBrowser, type Page } from "#test/support/form-browser";
import { type Pieces, postern } from "#test/support/gateway";
import {
  callbacksAt,
  oidcLogin,
  openIdClient,
  type OpenIdProvider,
  signInHost as host,
  signInWith,
  startOpenId,
} from "#test/support/openid";
import { spawnSsh } from "#test/support/ssh";
import { missing, stranger } from "#test/support/strangers";
import { tempDir, type TempDir } from "#test/support/temp-dir";
import { keyLogin, startWorld, upstreamTo, type World } from "#test/support/world";

const skip = missing("ssh", "sshd", "openssl");
let folder: TempDir;
let world: World;
let provider: OpenIdProvider;
let other: OpenIdProvider;
let address: string;
let audit: string;
let certificate: CertificatePair;
let authorities: readonly string[];

const people = {
  "sub-ada": { email: "ada@example.com", email_verified: true, preferred_username: "ada" },
  "sub-bob": { email: "bob@example.com", email_verified: true, preferred_username: "bob" },
};

before(async () => {
  if (skip !== false) return;
  folder = await tempDir();
  certificate = await selfSigned(folder, "gate", host);
  const listen = [{ address: "127.0.0.1:0", entries: ["ssh", "web"] }];
  const config = {
    listen,
    tls: { certificates: [certificate] },
    signIn: { address: `https://${host}` },
    // A browser never comes to the worker in which the login waits: that has more to do.
    workers: 2,
    limits: { failureDelaySeconds: 0.1 },
  };
  world = await startWorld({ rules: () => [], config });
  const { gateway } = world;
  address = `https://${host}:${gateway.port}`;
  provider = await startOpenId(folder, people, { callbacks: callbacksAt(address), withoutDevices: true });
  other = await startOpenId(folder, people, { callbacks: callbacksAt(address), name: "other" });
  authorities = [certificate, provider, other].map((each) => readFileSync(each.certificate, "utf8"));
  audit = folder.at("audit.jsonl");
  const rule = (name: string, at: OpenIdProvider, more: Pieces = {}): Pieces => ({
    name,
    match: { userPattern: `${name}-(?<login>[a-z]+)` },
    login: [oidcLogin(at, { flow: "browser", name: "{login}", ...more })],
    upstream: upstreamTo(world),
  });
  await gateway.rewrite(
    [
      rule("web", provider),
      rule("other", other, { clientId: "public", clientSecret: undefined }),
      {
        ...rule("both", provider),
        login: [keyLogin(world.identity), oidcLogin(provider, { flow: "browser", name: "{login}" })],
        require: ["publickey", "oidc"],
      },
      rule("near", provider, { sameNetwork: true }),
      rule("short", provider, { waitSeconds: "6s" }),
      rule("wrong", provider, { clientSecret: "another" }),
    ],
    { signIn: { address }, audit: [{ kind: "jsonl", file: audit }] },
  );
  gateway.signal("SIGHUP");
  await gateway.waitForLog("reload", ({ event }) => event === "reloaded");
});
after(async () => {
  await provider?.[Symbol.asyncDispose]();
  await other?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

function begin(user: string, key?: string): Child {
  const options = { passwords: [""], options: ["NumberOfPasswordPrompts=1"] };
  return spawnSsh(world.gateway.target(user, key), ["echo in"], options);
}

async function codeOf(child: Child): Promise<string> {
  const [, code = ""] = await child.waitForStderr(/and enter the code ([A-Z]{4}-[A-Z]{4})\r?\n/);
  return code;
}

const newBrowser = (): FormBrowser => new FormBrowser(...authorities);

/** To the provider's question for a name. */
async function toProvider(browser: FormBrowser, code: string): Promise<Page> {
  const form = await browser.open(`${address}/?code=${code}`);
  const onward = await browser.submit(form);
  assert.equal(onward.status, 200, onward.text);
  return await browser.follow(onward);
}

/** To the page that asks whether it is them. */
async function toConfirm(browser: FormBrowser, code: string, login: string): Promise<Page> {
  return await provider.answer(browser, await toProvider(browser, code), login);
}

/** With the address that the provider sends the browser back to, not yet opened. */
async function toCallback(browser: FormBrowser, code: string, login = "sub-ada"): Promise<URL> {
  browser.stopAt = /\/callback\//;
  const { url } = await toConfirm(browser, code, login);
  browser.stopAt = undefined;
  assert.match(url.pathname, /^\/callback\//);
  return url;
}

function shown(page: Page, id: string): string | undefined {
  return new RegExp(`id="${id}">([^<]*)<`).exec(page.text)?.[1];
}

const told = (user: string): ReturnType<typeof toldOf> => toldOf(audit, user);

test("a code, a browser, a question, and in: the provider has no device grant", { skip }, async () => {
  await using child = begin("web-ada");
  await child.waitForStderr(new RegExp(`To log in, open ${address}/\\r?\\n`));
  const code = await codeOf(child);
  await child.waitForStderr(new RegExp(`or open ${address}/\\?code=${code}\\r?\\n`));
  const browser = newBrowser();
  const confirm = await toConfirm(browser, code.toLowerCase().replace("-", " "), "sub-ada");
  assert.deepEqual(
    ["code", "user", "from", "who"].map((id) => shown(confirm, id)),
    [code, "web-ada", "127.0.0.1", "ada@example.com"],
  );
  assert.equal(shown(confirm, "elsewhere"), undefined);
  const done = await browser.submit(confirm, { answer: "yes" });
  assert.match(done.text, /Go back to your terminal/);
  assertIn(await child.outcome());
  const line = await told("web-ada");
  assert.equal(line.outcome, "accepted");
  assert.equal(line.subject, "sub-ada");
  assert.equal(line.by, `oidc ada@example.com at ${provider.issuer}`);
});

test("postern check says which addresses the providers must know", { skip }, async () => {
  const { code, stdout, stderr } = await postern(["check", "-c", world.gateway.configFile]);
  assert.equal(code, 0, stderr);
  const [, ...lines] = stdout.toString().trimEnd().split("\n");
  // Each once, and as the providers have them here: the logins of this file go through them.
  const lineOf = ({ issuer }: OpenIdProvider, client: string): string =>
    `${issuer}: client ${client} must know the redirect address ${callbacksAt(address)(issuer).join()}`;
  assert.deepEqual(lines, [lineOf(provider, openIdClient.id), lineOf(other, "public")]);
});

test("only from the network that the login comes from, where the rule says so", { skip }, async () => {
  await using child = begin("near-ada");
  const browser = newBrowser();
  const confirm = await toConfirm(browser, await codeOf(child), "sub-ada");
  await browser.submit(confirm, { answer: "yes" });
  assertIn(await child.outcome());
});

test("a key first: without it a code is worth nothing, if one is shown", { skip }, async () => {
  await using without = begin("both-ada");
  // As for a name that leads nowhere, it does as some rule or other does: of which one, nobody is to know.
  const [seen] = await without.waitForStderr(/and enter the code \S+\r?\n|Permission denied/);
  if (seen !== "Permission denied") {
    const victim = newBrowser();
    const question = await toProvider(victim, await codeOf(without));
    const at = question.url.host === new URL(other.issuer).host ? other : provider;
    const end = await at.answer(victim, question, "sub-ada");
    assert.ok([400, 403, 502].includes(end.status), end.text);
  }
  const { code, stdout, stderr } = await without.outcome();
  assert.deepEqual([code, stdout.toString()], [255, ""], stderr);
  await using child = begin("both-ada", world.identity.path);
  const browser = newBrowser();
  const confirm = await toConfirm(browser, await codeOf(child), "sub-ada");
  await browser.submit(confirm, { answer: "yes" });
  assertIn(await child.outcome());
});

test("somebody else, or a refusal: told at both ends", { skip }, async () => {
  await using child = begin("web-ada");
  const page = await toConfirm(newBrowser(), await codeOf(child), "sub-bob");
  const words = /You are signed in as bob@example.com, who may not log in here by this name\./;
  assert.match(page.text, words);
  assertRefused(await child.outcome(), words);
  await using second = begin("web-ada");
  const browser = newBrowser();
  const confirm = await toConfirm(browser, await codeOf(second), "sub-ada");
  assert.match((await browser.submit(confirm, { answer: "no" })).text, /The login was refused/);
  assertRefused(await second.outcome(), /The sign-in was refused in the browser\./);
});

test("an address that came back from the provider is good once, and in its own browser", {
  skip,
}, async () => {
  await using child = begin("web-ada");
  const browser = newBrowser();
  const back = await toCallback(browser, await codeOf(child));
  // Whoever has caught it has not the cookie, and cannot spoil it either.
  const thief = newBrowser();
  const elsewhere = await thief.open(back);
  assert.equal(elsewhere.status, 403);
  assert.match(elsewhere.text, /begun in another browser/);
  const confirm = await browser.open(back);
  assert.equal(shown(confirm, "user"), "web-ada");
  assert.equal((await browser.open(back)).status, 400);
  // Nor can the question be answered elsewhere.
  assert.equal((await thief.open(confirm.url)).status, 403);
  assert.equal((await thief.submit(confirm, { answer: "yes" })).status, 403);
  assert.match((await browser.submit(confirm, { answer: "yes" })).text, /Go back to your terminal/);
  assertIn(await child.outcome());
  // Nor twice.
  assert.equal((await browser.submit(confirm, { answer: "yes" })).status, 400);
});

test("a forged state, none, two, or somebody else's: nothing comes of it", { skip }, async () => {
  await using child = begin("web-ada");
  const browser = newBrowser();
  const code = await codeOf(child);
  const back = await toCallback(browser, code);
  const query = (change: (params: URLSearchParams) => void): URL => {
    const url = new URL(back);
    change(url.searchParams);
    return url;
  };
  for (const [what, url] of [
    ["forged", query((all) => all.set("state", "A".repeat(43)))],
    ["none", query((all) => all.delete("state"))],
    ["two", query((all) => all.append("state", all.get("state") ?? ""))],
  ] as const)
    assert.equal((await browser.open(url)).status, 400, what);
  // What an attacker's own sign-in gave, brought to the victim's browser.
  const attacker = newBrowser();
  const theirs = await toCallback(attacker, code, "sub-bob");
  assert.equal((await browser.open(theirs)).status, 403);
  // The attacker's code under the victim's state: the provider has another verifier for it.
  const mixed = query((all) => all.set("code", theirs.searchParams.get("code") ?? ""));
  const refused = await browser.open(mixed);
  assert.equal(refused.status, 502);
  assertRefused(await child.outcome(), /The sign-in service/);
  assert.match((await told("web-ada")).reason ?? "", /UPSTREAM_OIDC_/);
  assert.ok(world.gateway.events("sign-in-refused").length >= 4);
});

test("one provider does not speak for another", { skip }, async () => {
  await using child = begin("web-ada");
  const browser = newBrowser();
  const back = await toCallback(browser, await codeOf(child));
  // As if it came from the other one: its own address, or its name (RFC 9207).
  const elsewhere = new URL(back);
  elsewhere.pathname = `/callback/${new URL(other.issuer).host}`;
  assert.equal((await browser.open(elsewhere)).status, 400);
  await using second = begin("web-ada");
  const again = newBrowser();
  const next = await toCallback(again, await codeOf(second));
  next.searchParams.set("iss", other.issuer);
  const page = await again.open(next);
  assert.match(page.text, /cannot be trusted/);
  assertRefused(await second.outcome(), /cannot be trusted/);
  assert.match((await told("web-ada")).reason ?? "", /UPSTREAM_OIDC_UNTRUSTED/);
  child.kill("SIGKILL");
});

test("each rule has its own provider, and a client without a secret", { skip }, async () => {
  await using child = begin("other-bob");
  const browser = newBrowser();
  const confirm = await other.answer(browser, await toProvider(browser, await codeOf(child)), "sub-bob");
  assert.match((await browser.submit(confirm, { answer: "yes" })).text, /Go back to your terminal/);
  assertIn(await child.outcome());
});

test("refused at the provider; a gateway that it does not know", { skip }, async () => {
  await using child = begin("web-ada");
  const browser = newBrowser();
  const question = await toProvider(browser, await codeOf(child));
  const [, abort = ""] = /href="([^"]*\/abort)"/.exec(question.text) ?? [];
  const page = await browser.open(new URL(abort, question.url));
  assert.match(page.text, /The sign-in was refused in the browser/);
  assertRefused(await child.outcome(), /The sign-in was refused in the browser\./);
  await using second = begin("wrong-ada");
  const refused = await toConfirm(newBrowser(), await codeOf(second), "sub-ada");
  assert.equal(refused.status, 502);
  assertRefused(await second.outcome(), /does not answer as it should/);
});

test("too late, at both ends", { skip }, async () => {
  await using child = begin("short-ada");
  const browser = newBrowser();
  const code = await codeOf(child);
  const back = await toCallback(browser, code);
  assertRefused(await child.outcome(), /The time to sign in is over\. Try again with a new code\./);
  assert.match((await browser.open(back)).text, /The login at the terminal is over/);
  const gone = await browser.submit(await browser.open(`${address}/?code=${code}`));
  assert.match(gone.text, /Nobody waits with that code/);
});

test("a client that leaves takes its code along", { skip }, async () => {
  await using child = begin("web-ada");
  const browser = newBrowser();
  const confirm = await toConfirm(browser, await codeOf(child), "sub-ada");
  const before = world.gateway.events("session-ended").length;
  child.kill("SIGKILL");
  await world.gateway.waitForLog("end", () => world.gateway.events("session-ended").length > before);
  const late = await browser.submit(confirm, { answer: "yes" });
  assert.match(late.text, /The login at the terminal is over/);
});

test("another site's form enters no code, and agrees to nothing", {
  skip: skip || missing("curl"),
}, async () => {
  await using child = begin("web-ada");
  const code = await codeOf(child);
  const flags = [
    "-sS",
    "-o",
    "/dev/null",
    "-w",
    "%{http_code}",
    "--cacert",
    certificate.certificate,
    "--noproxy",
    "*",
    "--resolve",
    `${host}:${world.gateway.port}:127.0.0.1`,
  ];
  const post = async (path: string, form: string, ...headers: string[]): Promise<string> => {
    const more = headers.flatMap((each) => ["-H", each]);
    const { stdout } = await run(stranger("curl"), [...flags, ...more, "-d", form, `${address}${path}`]);
    return stdout.toString();
  };
  for (const header of ["Origin: https://evil.example", "Sec-Fetch-Site: cross-site", "Origin: null"]) {
    assert.equal(await post("/", `code=${code}`, header), "403", header);
    assert.equal(await post("/confirm", "login=x&answer=yes", header), "403", header);
  }
  assert.equal(await post("/", `code=${code}`, `Origin: ${address}`), "200");
  assert.equal(await post("/confirm", "login=x&answer=yes"), "400");
  assert.equal(await post("/", "x".repeat(10_000)), "413");
  const other = await run(stranger("curl"), [...flags, "-X", "PUT", address]);
  assert.equal(other.stdout.toString(), "405");
  child.kill("SIGKILL");
});

test("a real browser: from the address in the terminal to the shell", {
  skip: skip || missing("chromium"),
}, async () => {
  await using child = begin("web-ada");
  const code = await codeOf(child);
  const certificates = [certificate, provider].map((each) => each.certificate);
  await using browser = await startBrowser("gate.example", ...certificates);
  await browser.visit(`${address}/?code=${code}`);
  await browser.when('document.querySelector("#code")?.value.length === 9');
  await browser.value('void document.querySelector("button").click()');
  // The page in between goes on by itself.
  await signInWith(browser, "sub-ada");
  await browser.when('document.readyState === "complete" && document.querySelector("#user")');
  assert.equal(await browser.value('document.querySelector("#code").textContent'), code);
  await browser.value('void document.querySelector("button[value=yes]").click()');
  await browser.when('document.title === "Done"');
  assertIn(await child.outcome());
});

test("a reload in the midst of a sign-in changes nothing about it", { skip }, async () => {
  await using child = begin("web-ada");
  const browser = newBrowser();
  const back = await toCallback(browser, await codeOf(child));
  const before = world.gateway.events("reloaded").length;
  world.gateway.signal("SIGHUP");
  await world.gateway.waitForLog("reload", () => world.gateway.events("reloaded").length > before);
  const confirm = await browser.open(back);
  assert.match((await browser.submit(confirm, { answer: "yes" })).text, /Go back to your terminal/);
  assertIn(await child.outcome());
});

test("a name that leads nowhere is shown a code as well, and told the same", { skip }, async () => {
  // Such a name does as one of the rules does, always the same one; not all of those here have this provider.
  for (const name of Array.from("abcdefghijklmnop", (letter) => `nobody${letter}`)) {
    await using child = begin(name);
    const [seen] = await child.waitForStderr(/and enter the code \S+\r?\n|Permission denied/);
    if (seen === "Permission denied") continue;
    const browser = newBrowser();
    const question = await toProvider(browser, await codeOf(child));
    const isHere = question.url.host === new URL(provider.issuer).host;
    const page = isHere ? await provider.answer(browser, question, "sub-ada") : undefined;
    // That of another provider, of one that does not know the gateway, or one that is over soon.
    if (page?.status !== 403) {
      child.kill("SIGKILL");
      continue;
    }
    const words = /You are signed in as ada@example.com, who may not log in here by this name\./;
    assert.match(page.text, words);
    assertRefused(await child.outcome(), words);
    return;
  }
  assert.fail("no name was shown a code");
});

test("check warns of a login that ends before its sign-in", { skip }, async () => {
  const file = folder.at("checked.yaml");
  const [hostKey] = world.gateway.hostKeys;
  const rule = { name: "x", login: [oidcLogin(provider, { waitSeconds: 90 })], upstream: upstreamTo(world) };
  const config = {
    listen: [":0"],
    hostKeys: [hostKey?.path],
    limits: { loginGraceSeconds: 60 },
    rules: [rule],
  };
  await writeFile(file, JSON.stringify(config), { mode: 0o600 });
  const { code, stdout, stderr } = await postern(["check", "-c", file]);
  assert.match(
    `${stdout.toString()}${stderr}`,
    /warning: rules\[0\]\.login\[0\]\.waitSeconds: is 90s, but limits\.loginGraceSeconds ends the login after 60s/,
  );
  assert.equal(code, 0);
});

test("guessed codes: after a few, none of that network is looked at any more", { skip }, async () => {
  await using child = begin("web-ada");
  const code = await codeOf(child);
  const browser = newBrowser();
  const form = await browser.open(address);
  assert.match((await browser.submit(form, { code: "nonsense!" })).text, /That is no code/);
  let tried = 0;
  for (; tried < 60; tried++) {
    const page = await browser.submit(form, { code: "BBBB-BBBB" });
    if (page.status === 429) break;
    assert.match(page.text, /Nobody waits with that code/);
  }
  assert.ok(tried > 0 && tried <= 30, String(tried));
  assert.equal((await browser.submit(form, { code })).status, 429, "a right one either");
  child.kill("SIGKILL");
});

test("no token, no code of the provider's and no secret is in log or audit", { skip }, async () => {
  const text = JSON.stringify(world.gateway.logs()) + (await readFile(audit, "utf8"));
  assert.ok(!text.includes(openIdClient.secret));
  assert.doesNotMatch(text, /eyJ[A-Za-z0-9_-]{10}/, "a JWT");
  assert.doesNotMatch(text, /code_verifier|access_token|[?&](?:state|code)=/);
});

test("HTTP without TLS: sent to https; or served, behind a proxy that has ended it", {
  skip: skip || missing("curl"),
}, async () => {
  const { gateway } = world;
  const socket = folder.at("web.sock");
  const listen = [
    { address: "127.0.0.1:0", entries: ["ssh", "web"] },
    { address: `unix:${socket}`, entries: ["web"] },
  ];
  const ask = async (plain: string): Promise<string> => {
    const before = gateway.events("reloaded").length;
    await gateway.rewrite([], { listen, signIn: { address, plain } });
    gateway.signal("SIGHUP");
    await gateway.waitForLog("reload", () => gateway.events("reloaded").length > before);
    const flags = ["-sS", "--unix-socket", socket, "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}"];
    const { stdout, stderr } = await run(stranger("curl"), [...flags, `http://${host}/x?y`]);
    return `${stdout.toString()}${stderr}`;
  };
  // With the port of `signIn.address`, whatever was asked.
  assert.equal(await ask("redirect"), `308 ${address}/x?y`);
  assert.equal(await ask("serve"), "404 ");
});
