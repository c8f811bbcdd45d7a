/** The login page in a real browser: its cookie, its own pages, and what pages of other devices may not do with it. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Browser, startBrowser } from "#test/support/browser";
import { domain, password, startWebStand, type WebStand } from "#test/support/device-web";
import { missing } from "#test/support/strangers";

const skip = missing("ssh", "sshd", "openssl", "chromium");
let web: WebStand;
let browser: Browser;

before(async () => {
  if (skip !== false) return;
  web = await startWebStand({
    handler: (asked, response) => {
      if (asked.url?.startsWith("/api") === true) response.end(`api ${asked.method}`);
      else {
        response.setHeader("Content-Type", "text/html");
        response.end(`<title>device</title><p id=said>${asked.headers.host} ${asked.url}</p>`);
      }
    },
  });
  web.sockets.on("connection", (joined) => joined.send("welcome"));
  await web.device("kiosk7", "login");
  await web.device("kiosk8", "login");
  await web.device("open1", "public");
  browser = await startBrowser(domain, web.certificate.certificate);
});
after(async () => {
  await browser?.[Symbol.asyncDispose]();
  await web?.[Symbol.asyncDispose]();
});

async function logIn(name: string, path: string, with_: string): Promise<void> {
  await browser.visit(web.url(name, path));
  await browser.when('document.querySelector("form")');
  assert.equal(await browser.value("document.title"), `Log in to ${name}.${domain}`);
  await browser.type("#user", "ada");
  await browser.type("#password", with_);
  await browser.value('void document.querySelector("button").click()');
}

const said = 'document.querySelector("#said")?.textContent';

test("a wrong password is told so; the right one leads to the page that was asked for", {
  skip,
}, async () => {
  await logIn("kiosk7", "/deep/page?a=b&c", "wrong");
  await browser.when('document.querySelector("[role=alert]")');
  assert.match(await browser.value("document.body.textContent"), /That name and password are not right/);
  await browser.type("#user", "ada");
  await browser.type("#password", password);
  await browser.value('void document.querySelector("button").click()');
  await browser.when(said);
  assert.match(await browser.value(said), /^kiosk7\.devices\.example:\d+ \/deep\/page\?a=b&c$/);
});

test("the cookie is bound to the host, and no script sees it", { skip }, async () => {
  const [ticket, ...more] = await browser.cookies();
  assert.deepEqual(
    [ticket?.name, ticket?.domain, ticket?.path, ticket?.httpOnly, ticket?.secure, ticket?.sameSite, more],
    ["__Host-postern", `kiosk7.${domain}`, "/", true, true, "Lax", []],
  );
  assert.equal(await browser.value("document.cookie"), "");
  assert.equal(web.heard.at(-1)?.headers.cookie, undefined);
});

test("its own scripts and its WebSocket work, by HTTP/2 and HTTP/1.1", { skip }, async () => {
  assert.equal(await browser.value('fetch("/api").then(r => r.text())'), "api GET");
  assert.equal(
    await browser.value('fetch("/api", { method: "POST", body: "x" }).then(r => r.text())'),
    "api POST",
  );
  const message = await browser.value(
    'new Promise((yes, no) => { const s = new WebSocket("/ws"); s.onmessage = e => yes(e.data); s.onerror = () => no("error"); })',
  );
  assert.equal(message, "welcome");
  const protocol = await browser.value('performance.getEntriesByType("navigation")[0].nextHopProtocol');
  assert.equal(protocol, "h2");
});

test("each device asks for its own login, though one certificate is for both", { skip }, async () => {
  await logIn("kiosk8", "/", password);
  await browser.when(said);
  assert.match(await browser.value(said), /^kiosk8\./);
});

test("another device's page can use none of it: no script, no form, no frame, no WebSocket", {
  skip,
}, async () => {
  await browser.visit(web.url("open1"));
  await browser.when(said);
  const before = web.heard.length;
  const there = web.url("kiosk7", "/api");
  const fetched = await browser.value(
    `fetch(${JSON.stringify(there)}, { mode: "no-cors", credentials: "include", method: "POST", body: "x" }).then(r => r.type, () => "failed")`,
  );
  assert.equal(fetched, "opaque");
  const socket = await browser.value(
    `new Promise(yes => { const s = new WebSocket(${JSON.stringify(there.replace("https", "wss"))}); s.onopen = () => yes("open"); s.onerror = () => yes("refused"); })`,
  );
  assert.equal(socket, "refused");
  await browser.value(
    `new Promise(yes => { const f = document.createElement("iframe"); f.src = ${JSON.stringify(there)}; f.onload = yes; document.body.append(f); })`,
  );
  await browser.value(
    `{ const f = document.createElement("form"); f.method = "post"; f.action = ${JSON.stringify(there)}; document.body.append(f); f.submit(); }`,
  );
  await browser.when('document.title === "Refused"');
  // Nothing of all that reached the device.
  assert.deepEqual(
    web.heard
      .slice(before)
      .map(({ url, headers }) => `${headers.host} ${url}`)
      .filter((each) => /kiosk7/.test(each)),
    [],
  );
  // A link is something else: a person goes there.
  await browser.visit(web.url("open1"));
  await browser.when(said);
  await browser.value(`void (location.href = ${JSON.stringify(web.url("kiosk7", "/linked"))})`);
  await browser.when(`${said}?.includes("/linked")`);
});

test("logged out, the login is asked for again", { skip }, async () => {
  await browser.visit(web.url("kiosk7", "/.postern/logout"));
  await browser.when('document.title.startsWith("Log out")');
  await browser.value('void document.querySelector("button").click()');
  await browser.when('document.querySelector("#password")');
  await browser.visit(web.url("kiosk7", "/x"));
  await browser.when('document.querySelector("#password")');
  assert.equal((await browser.cookies()).length, 0);
});
