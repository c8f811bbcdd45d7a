/** A web address for each device: nothing without its approval, and a login in front. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { type CertificatePair, selfSigned, signedBy } from "#test/support/certificates";
import { domain, password, startWebStand, type WebStand } from "#test/support/device-web";
import { postern } from "#test/support/gateway";
import { missing } from "#test/support/strangers";

const skip = missing("ssh", "sshd", "openssl", "curl");
let web: WebStand;
let authority: CertificatePair;
let crew: CertificatePair;

before(async () => {
  if (skip !== false) return;
  web = await startWebStand({
    tls: async (folder) => {
      authority = await selfSigned(folder, "authority");
      crew = await signedBy(authority, folder, "crew-1");
      return { clientAuthorities: authority.certificate };
    },
    rules: (login) => {
      return [
        { name: "ada", mode: "splice", match: { user: "ada" }, login, targets: ["fleet"] },
        { name: "bob", mode: "splice", match: { user: "bob" }, login, targets: ["tag:hall1"] },
        { name: "crew", mode: "splice", match: { clientCertificate: ["CN:crew-*"] }, targets: ["fleet"] },
        // Asks for nothing, and so opens no page.
        { name: "near", mode: "splice", match: { from: ["127.0.0.0/8"] }, targets: ["fleet"] },
      ];
    },
  });
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

test("a client certificate, by HTTP/2 and HTTP/1.1; without one the login page", { skip }, async () => {
  for (const version of ["--http1.1", "--http2"]) {
    const { stdout, stderr } = await web.curl("kiosk7", "/cert", [
      version,
      "--cert",
      crew.certificate,
      "--key",
      crew.key,
    ]);
    assert.equal(stdout.toString(), "GET /cert\n", stderr);
  }
  assert.equal(await statusOf("kiosk7", "/cert"), "401 2");
});

test("who logs in by a form with curl gets a cookie for this host alone", { skip }, async () => {
  const jar = web.folder.at("jar");
  const form = [
    "-c",
    jar,
    "-b",
    jar,
    "--data-urlencode",
    "user=ada",
    "--data-urlencode",
    `password=${password}`,
  ];
  assert.match(
    await statusOf("kiosk7", "/.postern/login", [...form, "-d", "next=/home"]),
    /^303 2 .*\/home$/,
  );
  assert.equal(await statusOf("kiosk7", "/home", ["-b", jar]), "200 2");
  const [ticket = ""] = /__Host-postern\t(\S+)/.exec(readFileSync(jar, "utf8"))?.slice(1) ?? [];
  assert.notEqual(ticket, "");
  // Carried elsewhere by hand it is good for nothing.
  await web.device("kiosk8", "login");
  assert.equal(await statusOf("kiosk8", "/", ["-H", `Cookie: __Host-postern=${ticket}`]), "401 2");
  assert.equal(await statusOf("kiosk7", "/", ["-H", `Cookie: __Host-postern=${ticket}x`]), "401 2");
  // Another site's form is not ours.
  const foreign = ["-d", "user=ada", "-H", "Origin: https://evil.example"];
  assert.equal(await statusOf("kiosk7", "/.postern/login", foreign), "403 2");
});

test("explain says by which rule, and why not by the others", { skip }, async () => {
  const explain = async (name: string, ...more: readonly string[]): Promise<string> => {
    const { configFile } = web.stand.gateway;
    const { stdout } = await postern(["explain", `@${name}`, "--entry", "web", "-c", configFile, ...more]);
    return stdout.toString();
  };
  const ada = await explain(`kiosk7.${domain}`, "--user", "ada");
  assert.match(ada, /device "kiosk7"[^]*\* ada +matched[^]*Its pages are shown\./);
  const bob = await explain("kiosk7", "--user", "bob");
  assert.match(bob, /- bob +skipped: it lists neither the device nor one of its tags/);
  assert.match(bob, /- near +skipped: it asks for no proof/);
  assert.match(bob, /shown to nobody who comes like this/);
  assert.match(await explain("kiosk7", "--user", "bob", "--tags", "hall1"), /\* bob +matched/);
  assert.match(await explain("kiosk7", "--certificate", "CN:crew-2"), /\* crew +matched/);
});

test("the audit tells who saw which device, and no password", { skip }, async () => {
  const text = readFileSync(web.stand.folder.at("audit.jsonl"), "utf8");
  const lines = text.split("\n").filter((line) => line.includes('"event":"web"'));
  const seen = lines.map((line) => {
    const { device, by, rule, user } = JSON.parse(line) as Record<string, string | undefined>;
    return [device, by, rule, user].join(" ");
  });
  assert.deepEqual(
    [...new Set(seen)],
    ["open1 public  ", "kiosk7 password ada ada", "kiosk7 certificate crew ", "kiosk7 ticket ada ada"],
  );
  assert.match(text, /"event":"auth"[^\n]*"outcome":"refused"/);
  assert.ok(!text.includes(password));
});
