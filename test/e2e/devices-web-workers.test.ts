/** Devices' pages and API with several workers: a sign-in goes on in whichever its browser comes to, and a token's turns are counted once. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { domain, pathHost, startWebStand, type WebStand } from "#test/support/device-web";
import { deviceRule } from "#test/support/device-stand";
import { FormBrowser } from "#test/support/form-browser";
import { type Pieces, postern } from "#test/support/gateway";
import { callbacksAt, oidcLogin, type OpenIdProvider, signInHost, startOpenId } from "#test/support/openid";
import { missing } from "#test/support/strangers";

const skip = missing("ssh", "sshd", "openssl", "curl");
/** Of all that stay, so that the next one comes to the other worker. */
const busy: Socket[] = [];
const people = { "sub-ada": { email: "ada@example.com", email_verified: true } };
const turns = 5;
let web: WebStand;
let provider: OpenIdProvider;
let token: string;

before(async () => {
  if (skip !== false) return;
  web = await startWebStand({ config: { workers: 2 } });
  const { gateway } = web.stand;
  const address = `https://${signInHost}:${gateway.port}`;
  provider = await startOpenId(web.folder, people, { callbacks: callbacksAt(address) });
  const made = await postern(["device", "api-token", "console", "--json"]);
  const { entry, ...rest } = JSON.parse(made.stdout.toString()) as { token: string; entry: Pieces };
  ({ token } = rest);
  const devices = { ports: [22, 80], web: { domain } };
  await gateway.rewrite(
    [
      {
        name: "staff",
        mode: "splice",
        match: { entries: ["web"] },
        login: [oidcLogin(provider, {})],
        targets: ["fleet"],
      },
      deviceRule,
    ],
    {
      signIn: { address },
      devices: { ...devices, api: { host: pathHost, tokens: [entry], requestsPerMinute: turns } },
    },
  );
  gateway.signal("SIGHUP");
  await gateway.waitForLog("reload", ({ event }) => event === "reloaded");
  await web.device("kiosk7", "login");
});
after(async () => {
  for (const socket of busy) socket.destroy();
  await provider?.[Symbol.asyncDispose]();
  await web?.[Symbol.asyncDispose]();
});

/** A client that comes and stays: the worker that has it is not the next one's. */
async function occupy(): Promise<void> {
  const socket = connect(web.stand.gateway.port, "127.0.0.1");
  busy.push(socket);
  socket.write("SSH-2.0-Guest\r\n");
  await once(socket, "data");
}

test("each request of a sign-in comes to another worker", { skip }, async () => {
  const browser = new FormBrowser(
    readFileSync(web.certificate.certificate, "utf8"),
    readFileSync(provider.certificate, "utf8"),
  );
  for (let n = 0; n < 4; n++) {
    // Once more with one that stays for each step, so that all of them begin in the other worker too.
    await occupy();
    browser.cookiesOf(`kiosk7.${domain}:${web.stand.gateway.port}`).clear();
    const login = await browser.open(web.url("kiosk7", "/a"));
    assert.match(login.text, new RegExp(`Log in to kiosk7.${domain}`));
    browser.stopAt = /\/start\?/;
    const start = await browser.follow(login);
    await occupy();
    browser.stopAt = new RegExp(new URL(provider.issuer).host);
    const sent = await browser.open(start.url);
    browser.stopAt = /\/callback\//;
    const asked = await browser.open(sent.url);
    // The provider asks once, and knows her then.
    const back = n === 0 ? await provider.answer(browser, asked, "sub-ada") : asked;
    await occupy();
    browser.stopAt = /signed-in/;
    const ticket = await browser.open(back.url);
    assert.match(ticket.url.pathname, /signed-in/);
    await occupy();
    browser.stopAt = undefined;
    const shown = await browser.open(ticket.url);
    assert.equal(shown.text, "GET /a\n");
  }
});

test("a token has its turns once, however many workers there are", { skip }, async () => {
  const statuses: string[] = [];
  for (let n = 0; n < turns + 2; n++) {
    const flags = ["-H", `Authorization: Bearer ${token}`, "-o", "/dev/null", "-w", "%{http_code}", "-k"];
    const { stdout, stderr } = await web.curl(pathHost, "/v1/devices", flags);
    assert.notEqual(stdout.toString(), "", stderr);
    statuses.push(stdout.toString());
    await occupy();
  }
  assert.deepEqual(
    statuses.slice(0, turns),
    Array.from({ length: turns }, () => "200"),
  );
  assert.ok(statuses.slice(turns).includes("429"), statuses.join());
});
