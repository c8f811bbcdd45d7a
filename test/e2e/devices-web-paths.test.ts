/** Devices by paths of one host, where DNS can have no wildcard. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { after, before, test } from "node:test";
import { WebSocket } from "ws";
import { domain, password, startWebStand, type WebStand } from "#test/support/device-web";
import { missing } from "#test/support/strangers";
import { until, within } from "#test/support/waiting";

const skip = missing("ssh", "sshd", "openssl", "curl");
/** Covered by the stand's certificate, and no device's. */
const host = domain;
let web: WebStand;

function site(asked: IncomingMessage, response: ServerResponse): void {
  if (asked.url === "/moved")
    response.writeHead(302, {
      Location: "/there?a=1",
      "Set-Cookie": ["own=1; Path=/; HttpOnly", "plain=2", "__Secure-postern=evil; Path=/"],
      "Service-Worker-Allowed": "/",
    });
  if (asked.url === "/absolute") response.writeHead(302, { Location: `https://${asked.headers.host}/there` });
  asked.resume();
  response.end(JSON.stringify({ url: asked.url, headers: asked.headers }));
}

before(async () => {
  if (skip !== false) return;
  web = await startWebStand({
    handler: site,
    web: { domain: "pages.example", paths: { host, dangerouslyOneOrigin: true } },
  });
  await web.device("kiosk7", "login");
  await web.device("kiosk8", "login");
  await web.device("open1", "public");
});
after(async () => {
  await web?.[Symbol.asyncDispose]();
});

interface Heard {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

const basic = ["-u", `ada:${password}`];
/** The jar is the browser's: only it knows which cookies go to which path. */
const jar = (name: string): readonly string[] => ["-c", web.folder.at(name), "-b", web.folder.at(name)];

async function ask(path: string, ...flags: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await web.curl(host, path, ["-i", ...flags]);
  assert.equal(code, 0, stderr);
  return stdout.toString().replaceAll("\r", "");
}

const bodyOf = (text: string): Heard => JSON.parse(text.slice(text.indexOf("\n\n") + 2)) as Heard;

test("the device sees a page of its own, and is told where it is", { skip }, async () => {
  for (const version of ["--http1.1", "--http2"]) {
    const forged = ["-H", "X-Forwarded-Prefix: /evil", "-H", "X_Forwarded_Prefix: /evil"];
    const { url, headers } = bodyOf(await ask("/d/open1/a/b?c=/d/x", version, ...forged));
    assert.equal(url, "/a/b?c=/d/x");
    assert.equal(headers["x-forwarded-prefix"], "/d/open1");
    assert.equal(headers["x_forwarded_prefix"], undefined);
  }
  assert.match(await ask("/d/open1?a=1"), /^HTTP\/2 308[^]*^location: \/d\/open1\/\?a=1$/im);
  for (const path of ["/", "/d/", "/d/Open1/", "/open1/", "/d/open1%2f/"])
    assert.match(await ask(path), /^HTTP\/2 404/, path);
});

test("redirects and cookies stay at the device's path", { skip }, async () => {
  const moved = await ask("/d/kiosk7/moved", ...basic);
  assert.match(moved, /^location: \/d\/kiosk7\/there\?a=1$/im);
  assert.match(moved, /^set-cookie: own=1; Path=\/d\/kiosk7\/; HttpOnly$/im);
  assert.match(moved, /^set-cookie: plain=2; Path=\/d\/kiosk7\/$/im);
  assert.doesNotMatch(moved, /evil|service-worker/i);
  assert.match(await ask("/d/open1/absolute"), /^location: \/d\/open1\/there$/im);
  const followed = bodyOf(
    await ask("/d/kiosk7/moved", "-L", ...basic, ...jar("own")).then((text) =>
      text.slice(text.lastIndexOf("HTTP/2 200")),
    ),
  );
  assert.deepEqual(
    [followed.url, followed.headers["cookie"]?.split("; ").sort()],
    ["/there?a=1", ["own=1", "plain=2"]],
  );
  const other = bodyOf(await ask("/d/kiosk8/", ...basic, ...jar("own")));
  assert.equal(other.headers["cookie"], undefined);
});

test("the login page, a cookie for this device alone, and the way out", { skip }, async () => {
  const visit = ["-H", "Accept: text/html", ...jar("login")];
  const page = await ask("/d/kiosk7/a", "-L", ...visit);
  assert.match(page, /^location: \/d\/kiosk7\/\.postern\/login\?next=%2Fa$/im);
  assert.match(page, /action="\/d\/kiosk7\/\.postern\/login"/);
  const form = ["--data-urlencode", "user=ada", "--data-urlencode", `password=${password}`, "-d", "next=/a"];
  const welcome = await ask("/d/kiosk7/.postern/login", ...form, ...jar("login"));
  assert.match(welcome, /^HTTP\/2 303[^]*^location: \/d\/kiosk7\/a$/im);
  assert.match(welcome, /^set-cookie: __Secure-postern=[^;]+; Path=\/d\/kiosk7\/; /im);
  const seen = bodyOf(await ask("/d/kiosk7/a", ...visit));
  assert.deepEqual(
    [seen.url, seen.headers["cookie"], seen.headers["x-forwarded-user"]],
    ["/a", undefined, "ada"],
  );
  // Not for another device, even if it is sent there.
  const [, ticket = ""] = /^set-cookie: (__Secure-postern=[^;]+)/im.exec(welcome) ?? [];
  for (const cookie of [ticket, ticket.replace("__Secure-", "__Host-")])
    assert.match(
      await ask("/d/kiosk8/", "-H", "Accept: text/html", "-H", `Cookie: ${cookie}`),
      /^HTTP\/2 303/,
    );
  await ask("/d/kiosk7/.postern/logout", "-X", "POST", ...jar("login"));
  assert.match(await ask("/d/kiosk7/a", ...visit), /^HTTP\/2 303/);
});

test("off and unknown look like one with a login", { skip }, async () => {
  await web.device("dark1", "off");
  const answers = await Promise.all(
    ["kiosk7", "dark1", "nobody"].map(async (name) =>
      (await ask(`/d/${name}/a`)).replaceAll(name, "NAME").replace(/^(?:date|content-length): .*$/gim, ""),
    ),
  );
  assert.match(answers[0] ?? "", /^HTTP\/2 401/);
  assert.equal(new Set(answers).size, 1);
});

test("a WebSocket, behind the same login", { skip }, async () => {
  web.sockets.once("connection", (joined, request: IncomingMessage) => {
    joined.send(`${request.url} ${String(request.headers["x-forwarded-prefix"])}`);
  });
  const open = (headers: Record<string, string>): WebSocket =>
    new WebSocket(`wss://${host}:${web.stand.gateway.port}/d/kiosk7/ws`, {
      ca: readFileSync(web.certificate.certificate),
      lookup: (_name, _options, found) => found(null, [{ address: "127.0.0.1", family: 4 }]),
      headers,
    });
  const authorization = `Basic ${Buffer.from(`ada:${password}`).toString("base64")}`;
  const socket = open({ authorization });
  const said = await within(
    "a message",
    new Promise<string>((resolve, reject) => {
      socket.once("message", (data: Buffer) => resolve(data.toString()));
      socket.once("error", reject);
    }),
  );
  assert.equal(said, "/ws /d/kiosk7");
  socket.terminate();
  const refused = open({});
  const status = await within(
    "a refusal",
    new Promise<number | undefined>((resolve) => {
      refused.once("unexpected-response", (_asked, answer) => resolve(answer.statusCode));
      refused.once("error", () => {});
    }),
  );
  assert.equal(status, 401);
  refused.terminate();
});

test("a device by its path that is offline says so, with when it was last seen", { skip }, async () => {
  const gone = await web.device("gone1", "public");
  gone.kill();
  await gone.ended;
  const told = await until("it to be offline", async () => {
    const text = await ask("/d/gone1/");
    return text.includes("Last seen: ") ? text : undefined;
  });
  assert.match(told, /^HTTP\/2 502[^]*gone1 is offline/);
});
