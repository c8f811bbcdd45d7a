/** Single sign-on for SSH by authorization code and PKCE: a code at the gateway's own page, a browser, a real OpenID provider. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import type { AuditRecord } from "#contract";
import { selfSigned } from "#test/support/certificates";
import type { Child, Outcome } from "#test/support/child";
import { FormBrowser, type Page } from "#test/support/form-browser";
import type { Pieces } from "#test/support/gateway";
import { openIdClient, type OpenIdProvider, startOpenId } from "#test/support/openid";
import { spawnSsh } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { tempDir, type TempDir } from "#test/support/temp-dir";
import { until } from "#test/support/waiting";
import { startWorld, upstreamTo, type World } from "#test/support/world";

const skip = missing("ssh", "sshd", "openssl");
const host = "login.gate.example";
let folder: TempDir;
let world: World;
let provider: OpenIdProvider;
let other: OpenIdProvider;
let address: string;
let audit: string;
let authorities: readonly string[];

const people = {
  "sub-ada": { email: "ada@example.com", email_verified: true, preferred_username: "ada" },
  "sub-bob": { email: "bob@example.com", email_verified: true, preferred_username: "bob" },
};

before(async () => {
  if (skip !== false) return;
  folder = await tempDir();
  const certificate = await selfSigned(folder, "gate", host);
  const listen = [{ address: "127.0.0.1:0", entries: ["ssh", "web"] }];
  const config = {
    listen,
    tls: { certificates: [certificate] },
    signIn: { address: `https://${host}` },
    limits: { failureDelaySeconds: 0.1 },
  };
  world = await startWorld({ rules: () => [], config });
  const { gateway } = world;
  address = `https://${host}:${gateway.port}`;
  const callbacks = (origin: string): string[] => [`${address}/callback/${new URL(origin).host}`];
  provider = await startOpenId(folder, people, { callbacks, withoutDevices: true });
  other = await startOpenId(folder, people, { callbacks, name: "other" });
  authorities = [certificate, provider, other].map((each) => readFileSync(each.certificate, "utf8"));
  audit = folder.at("audit.jsonl");
  const login = ({ issuer, certificate: tlsAuthorities }: OpenIdProvider, more: Pieces = {}): Pieces => ({
    kind: "oidc",
    flow: "browser",
    issuer,
    clientId: openIdClient.id,
    clientSecret: openIdClient.secret,
    tlsAuthorities,
    name: "{login}",
    allow: { emails: ["*@example.com"] },
    user: { emailDomain: "example.com" },
    ...more,
  });
  const rule = (name: string, how: Pieces): Pieces => ({
    name,
    match: { userPattern: `${name}-(?<login>[a-z]+)` },
    login: [how],
    upstream: upstreamTo(world),
  });
  await gateway.rewrite(
    [
      rule("web", login(provider)),
      rule("other", login(other, { clientId: "public", clientSecret: undefined })),
      rule("short", login(provider, { waitSeconds: "2s" })),
      rule("wrong", login(provider, { clientSecret: "another" })),
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

function begin(user: string): Child {
  const options = { passwords: [""], options: ["NumberOfPasswordPrompts=1"] };
  return spawnSsh(world.gateway.target(user), ["echo in"], options);
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

async function told(user: string): Promise<AuditRecord & { readonly event: "auth" }> {
  return await until(`a line about ${user}`, async () => {
    const text = await readFile(audit, "utf8").catch(() => "");
    const lines = text.split("\n").filter((line) => line.endsWith("}"));
    const found = lines
      .map((line) => JSON.parse(line) as AuditRecord)
      .findLast(
        (line) => line.event === "auth" && line.user === user && line.method === "keyboard-interactive",
      );
    return found?.event === "auth" ? found : undefined;
  });
}

function assertIn({ stdout, stderr }: Outcome): void {
  assert.equal(stdout.toString(), "in\n", stderr);
}

function assertRefused({ code, stdout, stderr }: Outcome, words: RegExp): void {
  assert.equal(code, 255, stdout.toString());
  assert.match(stderr, words);
  assert.match(stderr, /Permission denied/);
}

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
