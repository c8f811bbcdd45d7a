/** A web address for each device: nothing without its approval, and a login in front. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { domain, password, startWebStand, type WebStand } from "#test/support/device-web";
import { missing } from "#test/support/strangers";

const skip = missing("ssh", "sshd", "openssl", "curl");
let web: WebStand;

before(async () => {
  if (skip !== false) return;
  web = await startWebStand();
  await web.device("open1", "public");
  await web.device("shut1", "off");
  await web.device("kiosk7", "login");
});
after(async () => {
  await web?.[Symbol.asyncDispose]();
});

const status = ["-o", "/dev/null", "-w", "%{http_code} %{http_version} %{redirect_url}"];
const basic = ["-u", `ada:${password}`];

async function statusOf(name: string, path: string, flags: readonly string[] = []): Promise<string> {
  const { stdout, stderr } = await web.curl(name, path, [...status, ...flags]);
  return `${stdout.toString().trim()}${stderr}`;
}

test("a public page, by HTTP/2 and HTTP/1.1", { skip }, async () => {
  for (const [flag, version] of [
    ["--http2", "2"],
    ["--http1.1", "1.1"],
  ] as const) {
    const { stdout, stderr } = await web.curl("open1", "/a?b=c", [flag, "-w", "%{http_version}"]);
    assert.equal(stdout.toString(), `GET /a?b=c\n${version}`, stderr);
  }
});

test("off, unknown and behind a login look the same to who has not logged in", { skip }, async () => {
  for (const name of ["shut1", "nobody", "kiosk7"]) {
    assert.equal(await statusOf(name, "/x", ["--http1.1"]), "401 1.1", name);
    const visit = await statusOf(name, "/x?y", ["-H", "Accept: text/html"]);
    assert.equal(visit, `303 2 ${web.url(name, "/.postern/login?next=%2Fx%3Fy")}`, name);
    const { stdout } = await web.curl(name, "/.postern/login");
    assert.match(stdout.toString(), new RegExp(`Log in to ${name}.${domain}`));
  }
});

test("HTTP Basic for scripts; the device never sees the password", { skip }, async () => {
  const { stdout, stderr } = await web.curl("kiosk7", "/script", basic);
  assert.equal(stdout.toString(), "GET /script\n", stderr);
  const last = web.heard.at(-1);
  assert.equal(last?.headers.authorization, undefined);
  assert.equal(last?.headers["x-forwarded-user"], "ada");
  assert.equal(await statusOf("kiosk7", "/", ["-u", "ada:wrong"]), "401 2");
  assert.equal(await statusOf("kiosk7", "/", ["-u", `bob:${password}`]), "404 2");
  for (const name of ["shut1", "nobody"]) assert.equal(await statusOf(name, "/", basic), "404 2", name);
});
