/** Single sign-on for devices' pages: one address of the gateway's own for the provider, and a proof that is good for one host. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { type Browser, startBrowser } from "#test/support/browser";
import { domain, pathHost, startWebStand, type WebStand } from "#test/support/device-web";
import type { Pieces } from "#test/support/gateway";
import { deviceRule } from "#test/support/device-stand";
import { FormBrowser, type Page } from "#test/support/form-browser";
import {
  callbacksAt,
  oidcLogin,
  type OpenIdProvider,
  signInHost,
  signInWith,
  startOpenId,
} from "#test/support/openid";
import { missing } from "#test/support/strangers";

const skip = missing("ssh", "sshd", "openssl", "curl");
let web: WebStand;
let provider: OpenIdProvider;
let address: string;

const people = {
  "sub-ada": { email: "ada@example.com", email_verified: true, groups: ["staff"] },
  "sub-bob": { email: "bob@example.com", email_verified: true, groups: [] },
  "sub-eve": { email: "eve@elsewhere.example", email_verified: true, groups: [] },
};

before(async () => {
  if (skip !== false) return;
  web = await startWebStand({
    web: { paths: { host: pathHost, dangerouslyOneOrigin: true } },
    handler: (asked, response) => {
      response.setHeader("Content-Type", "text/html");
      response.end(`<title>device</title><p id=said>${asked.headers.host} ${asked.url}</p>`);
    },
  });
  const { gateway } = web.stand;
  address = `https://${signInHost}:${gateway.port}`;
  provider = await startOpenId(web.folder, people, { callbacks: callbacksAt(address) });
  const rule = (name: string, target: string, more: Pieces): Pieces => ({
    name,
    mode: "splice",
    match: { entries: ["web"] },
    login: [oidcLogin(provider, more)],
    targets: [target],
  });
  await gateway.rewrite(
    [
      rule("staff", "fleet", { scopes: ["openid", "email", "groups"], allow: { groups: ["staff"] } }),
      rule("hall", "tag:hall1", {}),
      deviceRule,
    ],
    { signIn: { address } },
  );
  gateway.signal("SIGHUP");
  await gateway.waitForLog("reload", ({ event }) => event === "reloaded");
  await web.device("kiosk7", "login");
  await web.device("kiosk8", "login");
  await web.device("hall1", "login", { tags: ["hall1"] });
  await web.device("shut1", "off");
});
after(async () => {
  await provider?.[Symbol.asyncDispose]();
  await web?.[Symbol.asyncDispose]();
});

const newBrowser = (): FormBrowser =>
  new FormBrowser(
    readFileSync(web.certificate.certificate, "utf8"),
    readFileSync(provider.certificate, "utf8"),
  );

/** To the provider's question for a name. */
async function toProvider(browser: FormBrowser, name: string, path = "/"): Promise<Page> {
  const login = await browser.open(web.url(name, path));
  assert.match(login.text, new RegExp(`Log in to ${name}.${domain}`));
  assert.doesNotMatch(login.text, /type="password"/);
  return await browser.follow(login);
}

/** With the ticket for the device's host, not yet taken there. */
async function toTicket(browser: FormBrowser, name: string, login = "sub-ada"): Promise<URL> {
  const question = await toProvider(browser, name);
  browser.stopAt = /signed-in/;
  const { url } = await provider.answer(browser, question, login);
  browser.stopAt = undefined;
  assert.equal(url.pathname, "/.postern/signed-in");
  return url;
}

test("signed in at the provider, and at the page that was asked for", { skip }, async () => {
  const browser = newBrowser();
  const page = await provider.answer(browser, await toProvider(browser, "kiosk7", "/deep?a=b&c"), "sub-ada");
  assert.match(page.text, /kiosk7\.devices\.example:\d+ \/deep\?a=b&c/);
  assert.equal(page.url.href, web.url("kiosk7", "/deep?a=b&c"));
  const heard = web.heard.at(-1);
  assert.equal(heard?.headers["x-forwarded-user"], "ada");
  assert.equal(heard?.headers.cookie, undefined);
  // Another device asks for its own; the provider knows her still.
  const second = await browser.open(web.url("kiosk8"));
  assert.match(second.text, /Log in to kiosk8/);
  assert.match((await browser.follow(second)).text, /kiosk8\.devices\.example/);
  const text = readFileSync(web.stand.folder.at("audit.jsonl"), "utf8");
  assert.match(text, /"event":"auth"[^\n]*"method":"browser"[^\n]*"outcome":"accepted"/);
  assert.match(text, new RegExp(`"by":"oidc ada@example.com at ${provider.issuer}","subject":"sub-ada"`));
});

test("the rules decide who; who may not sees nothing of what there is", { skip }, async () => {
  const bob = newBrowser();
  const page = await provider.answer(bob, await toProvider(bob, "hall1"), "sub-bob");
  assert.match(page.text, /hall1\.devices\.example/);
  for (const name of ["kiosk7", "shut1", "nobody"]) {
    const there = await bob.follow(await bob.open(web.url(name)));
    assert.equal(there.status, 404, name);
    assert.match(there.text, /There is no such device, or it is not for you/);
  }
  const eve = newBrowser();
  const refused = await provider.answer(eve, await toProvider(eve, "kiosk7"), "sub-eve");
  assert.equal(refused.status, 403);
  assert.match(refused.text, /You are signed in as eve@elsewhere\.example, who may not log in here\./);
});

test("devices at paths of one host", { skip }, async () => {
  const browser = newBrowser();
  const origin = `https://${pathHost}:${web.stand.gateway.port}`;
  const login = await browser.open(`${origin}/d/kiosk7/deep?a=b`);
  assert.match(login.text, /Log in to paths\.example/);
  const page = await provider.answer(browser, await browser.follow(login), "sub-ada");
  assert.equal(page.url.href, `${origin}/d/kiosk7/deep?a=b`);
  assert.match(page.text, /paths\.example:\d+ \/deep\?a=b/);
  assert.equal(web.heard.at(-1)?.headers.cookie, undefined);
});

test("a program is not asked for a password that no rule takes", { skip }, async () => {
  const { stdout } = await web.curl("kiosk7", "/", ["-i", "-u", "ada:any"]);
  assert.match(stdout.toString(), /^HTTP\/2 401/);
  assert.match(stdout.toString(), /www-authenticate: Cookie realm/i);
  assert.doesNotMatch(stdout.toString(), /Basic/);
});

test("a ticket is good once, for its host and its browser", { skip }, async () => {
  const browser = newBrowser();
  const ticket = await toTicket(browser, "kiosk7");
  assert.match(browser.cookiesOf(ticket.host).get("__Host-postern-browser") ?? "", /^[\w-]{43}$/);
  const elsewhere = new URL(ticket);
  elsewhere.hostname = `kiosk8.${domain}`;
  // Even with the cookie carried over by hand.
  browser
    .cookiesOf(elsewhere.host)
    .set("__Host-postern-browser", browser.cookiesOf(ticket.host).get("__Host-postern-browser") ?? "");
  assert.equal((await browser.open(elsewhere)).status, 400);
  // That was its one time.
  assert.equal((await browser.open(ticket)).status, 400);
  const other = await toTicket(newBrowser(), "kiosk7");
  assert.equal((await newBrowser().open(other)).status, 400, "a link with a ticket logs nobody in");
  const own = newBrowser();
  const good = await toTicket(own, "kiosk7");
  assert.equal((await own.open(good)).status, 200);
  assert.equal((await own.open(good)).status, 400);
});

test("a sign-in begun for somebody else ends with nobody logged in", { skip }, async () => {
  // The attacker begins, and sends the victim on.
  const attacker = newBrowser();
  const login = await attacker.open(web.url("kiosk7"));
  attacker.stopAt = /\/start/;
  const { url: start } = await attacker.follow(login);
  assert.equal(start.host, new URL(address).host);
  const victim = newBrowser();
  const end = await provider.answer(victim, await victim.open(start), "sub-ada");
  assert.equal(end.status, 400);
  attacker.stopAt = undefined;
  assert.equal((await attacker.open(start)).status, 400, "begun once");
  assert.equal((await attacker.open(end.url)).status, 400, "the ticket is spent");
});

test("in a real browser", { skip: skip === false ? missing("chromium") : skip }, async () => {
  await using browser: Browser = await startBrowser(
    "example",
    web.certificate.certificate,
    provider.certificate,
  );
  await browser.visit(web.url("kiosk7", "/seen"));
  await browser.when('document.querySelector("a.go")');
  await browser.value('void document.querySelector("a.go").click()');
  await signInWith(browser, "sub-ada");
  await browser.when('document.querySelector("#said")');
  assert.match(
    await browser.value('document.querySelector("#said").textContent'),
    /^kiosk7\.devices\.example:\d+ \/seen$/,
  );
  const cookies = await browser.cookies();
  assert.deepEqual(
    cookies
      .map(({ name, httpOnly, secure, sameSite }) => [name, httpOnly, secure, sameSite].join(" "))
      .toSorted(),
    ["__Host-postern true true Lax", "__Host-postern-browser true true Lax"],
  );
  assert.ok(cookies.every(({ domain: of }) => of === `kiosk7.${domain}`));
});
