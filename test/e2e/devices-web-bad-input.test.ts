/** What must not pass between browsers and devices: smuggled requests, other hosts' names, nonsense, and nobody else is affected. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectHttp2, type ClientHttp2Session } from "node:http2";
import { type AddressInfo, createServer, type Server } from "node:net";
import { after, before, test } from "node:test";
import { connect } from "node:tls";
import { type Child, run } from "#test/support/child";
import { domain, password, startWebStand, type WebStand } from "#test/support/device-web";
import { missing, stranger } from "#test/support/strangers";
import { until, within } from "#test/support/waiting";

const skip = missing("ssh", "sshd", "openssl", "curl");
let web: WebStand;
let raw: Server;
/** What the raw server answers, whatever it is asked. */
let answer = "";
/** All that the raw server was sent, by connection. */
let sent: string[] = [];
let gone: Child;

before(async () => {
  if (skip !== false) return;
  raw = createServer((socket) => {
    const at = sent.push("") - 1;
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      sent[at] += chunk.toString("latin1");
      if (answer !== "") socket.end(answer);
    });
  });
  raw.listen(0, "127.0.0.1");
  await once(raw, "listening");
  web = await startWebStand({ web: { answerSeconds: "2s" } });
  await web.device("kiosk7", "login");
  await web.device("open1", "public");
  await web.device("raw1", "public", { to: (raw.address() as AddressInfo).port });
  gone = await web.device("gone1", "login");
});
after(async () => {
  raw?.close();
  await web?.[Symbol.asyncDispose]();
});

/** Sends bytes in TLS for a host, and gives all that comes back. */
async function ask(name: string, text: string, serverName = `${name}.${domain}`): Promise<string> {
  const socket = connect({
    host: "127.0.0.1",
    port: web.stand.gateway.port,
    servername: serverName,
    ALPNProtocols: ["http/1.1"],
    rejectUnauthorized: false,
  });
  let said = "";
  socket.on("data", (chunk: Buffer) => (said += chunk.toString("latin1")));
  socket.on("error", () => {});
  const over = once(socket, "close");
  await once(socket, "secureConnect");
  socket.write(text, "latin1");
  await within("the end of the connection", over);
  return said;
}

const head = (name: string, ...lines: readonly string[]): string =>
  [`POST /a HTTP/1.1`, `Host: ${name}.${domain}`, ...lines, "", ""].join("\r\n");
const firstLine = (text: string): string => text.split("\r\n")[0] ?? "";

test("requests whose end two readers could see in two places are refused", { skip }, async () => {
  const smuggled = `GET /secret HTTP/1.1\r\nHost: open1.${domain}\r\n\r\n`;
  const host = `Host: open1.${domain}`;
  const texts = [
    head("open1", "Content-Length: 4", "Transfer-Encoding: chunked") + `0\r\n\r\n${smuggled}`,
    head("open1", "Transfer-Encoding: xchunked") + smuggled,
    head("open1", "Transfer-Encoding: chunked", "Transfer-Encoding: identity") + `0\r\n\r\n${smuggled}`,
    head("open1", "Transfer-Encoding : chunked") + `0\r\n\r\n${smuggled}`,
    head("open1", "Content-Length: 4", "Content-Length: 5") + smuggled,
    head("open1", "Content-Length: +4") + smuggled,
    `POST /a HTTP/1.0\r\n${host}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    `GET /a HTTP/1.1\n${host}\n\n${smuggled}`,
    `GET /a HTTP/1.1\r\n${host}\r\nX: y\r\n z\r\n\r\n${smuggled}`,
    `GET /a HTTP/1.1\r\n${host}\r\nX: y\rContent-Length: 5\r\n\r\n${smuggled}`,
    `GET /a HTTP/1.1\r\n${host}\r\n${host}\r\n\r\n${smuggled}`,
    `GET http://kiosk7.${domain}/a HTTP/1.1\r\n${host}\r\n\r\n${smuggled}`,
    `GET /a HTTP/1.1\r\n\r\n${smuggled}`,
    `TRACE /a HTTP/1.1\r\n${host}\r\n\r\n${smuggled}`,
    `GET /a\r\n\r\n${smuggled}`,
    `GET /a HTTP/1.1\r\n${host}\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n${smuggled}`,
  ];
  for (const text of texts) {
    const before = web.heard.length;
    const said = await ask("open1", text);
    assert.match(firstLine(said), /^HTTP\/1\.1 40[05] /, text);
    assert.equal(said.match(/HTTP\/1\.1 \d/g)?.length, 1, text);
    // A chunk that is none is only seen when the head is on its way.
    assert.ok(
      web.heard.slice(before).every(({ url }) => url !== "/secret"),
      text,
    );
  }
});

test("a body stays a body, whatever Connection says of its length", { skip }, async () => {
  const smuggled = `GET /secret HTTP/1.1\r\nHost: open1.${domain}\r\nX-Forwarded-User: root\r\n\r\n`;
  for (const method of ["GET", "HEAD", "DELETE", "OPTIONS", "POST"]) {
    const before = sent.length;
    const lines = [
      `${method} /a HTTP/1.1`,
      `Host: raw1.${domain}`,
      `Content-Length: ${smuggled.length}`,
      "Connection: close, Content-Length",
    ];
    answer = "";
    const asked = ask("raw1", `${lines.join("\r\n")}\r\n\r\n${smuggled}`);
    await until("the request at the device", () => sent[before]?.includes("/secret") === true);
    assert.match(sent[before] ?? "", /^Content-Length: \d+\r$/im, method);
    await asked;
  }
});

test("a host that is not the one of the TLS, by HTTP/1.1 and HTTP/2", { skip }, async () => {
  const before = web.heard.length;
  for (const [name, server] of [
    ["open1", "kiosk7"],
    ["kiosk7", "open1"],
  ] as const) {
    const said = await ask(name, head(name, "Connection: close"), `${server}.${domain}`);
    assert.match(firstLine(said), / 421 /);
  }
  const session = connectHttp2(`https://open1.${domain}:${web.stand.gateway.port}`, {
    createConnection: () =>
      connect({
        host: "127.0.0.1",
        port: web.stand.gateway.port,
        servername: `open1.${domain}`,
        ALPNProtocols: ["h2"],
        rejectUnauthorized: false,
      }),
  });
  session.on("error", () => {});
  const own = `open1.${domain}`;
  assert.equal(await statusBy(session, { ":authority": `kiosk7.${domain}` }), 421);
  assert.equal(await statusBy(session, { ":authority": own, host: `kiosk7.${domain}` }), 400);
  assert.equal(web.heard.length, before);
  assert.equal(await statusBy(session, { ":authority": own }), 200);
  session.destroy();
});

async function statusBy(
  session: ClientHttp2Session,
  headers: Record<string, string>,
): Promise<number | undefined> {
  const stream = session.request({ ":path": "/", ...headers });
  stream.on("error", () => {});
  const [said] = (await within("an answer", once(stream, "response"))) as [{ ":status"?: number }];
  stream.resume();
  return said[":status"];
}

test("what a device answers is HTTP, or the browser is told that it is not", { skip }, async () => {
  const rows = [
    ["hello\r\n", 502],
    ["HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 502],
    ["HTTP/1.1 200 OK\nContent-Length: 0\n\n", 502],
    ["HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n", 502],
    ["HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 502],
    ["HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", 502],
    ["HTTP/1.1 099 Odd\r\n\r\n", 502],
    ["HTTP/1.1 101 Odd\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", 502],
    [`HTTP/1.1 200 OK\r\nX: ${"y".repeat(80_000)}\r\n\r\n`, 502],
    ["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200],
    ["", 504],
  ] as const;
  for (const [text, status] of rows) {
    answer = text;
    for (const version of ["--http1.1", "--http2"]) {
      const { stdout, stderr } = await web.curl("raw1", "/", [
        version,
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
      ]);
      assert.equal(stdout.toString(), String(status), `${text.slice(0, 60)} ${version} ${stderr}`);
    }
  }
});

test("an answer that is cut off does not look whole", { skip }, async () => {
  answer = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";
  for (const version of ["--http1.1", "--http2"]) {
    const { code } = await web.curl("raw1", "/", [version]);
    assert.ok([18, 52, 56, 92].includes(code ?? 0), `${version}: ${code}`);
  }
  answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
  for (const version of ["--http1.1", "--http2"]) {
    const { code } = await web.curl("raw1", "/", [version]);
    assert.ok([18, 52, 56, 92].includes(code ?? 0), `${version}: ${code}`);
  }
});

test("what reaches a device is one request, whole, and nothing behind it", { skip }, async () => {
  answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  sent = [];
  const chunked =
    head("raw1", "Transfer-Encoding: chunked") +
    "5;x=y\r\nhello\r\n0\r\nX-Trailer: 1\r\nX-Forwarded-User: root\r\n\r\n";
  const next = `GET /next HTTP/1.1\r\nHost: raw1.${domain}\r\nConnection: close\r\n\r\n`;
  const said = await ask("raw1", chunked + next);
  assert.equal(said.match(/HTTP\/1\.1 200/g)?.length, 2, said);
  assert.equal(sent.length, 2);
  assert.match(
    sent[0] ?? "",
    /^POST \/a HTTP\/1\.1\r\n[\s\S]*Transfer-Encoding: chunked\r\n[\s\S]*5\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n$/,
  );
  assert.doesNotMatch(sent[0] ?? "", /User|next|x=y/);
  assert.match(sent[1] ?? "", /^GET \/next HTTP\/1\.1\r\n/);
  assert.match(sent[1] ?? "", /Connection: close\r\n/);
});

test("a device that is offline: when it was last seen, for who is logged in", { skip }, async () => {
  gone.kill("SIGKILL");
  const basic = ["-u", `ada:${password}`];
  await until("the device to be offline", async () => {
    const { stdout } = await web.curl("gone1", "/", [...basic, "-w", "%{http_code}"]);
    return /gone1 is offline[\s\S]*Last seen: 20\d\d-[\d-]+ [\d:]+ UTC, \d+ seconds? ago[\s\S]*502$/.test(
      stdout.toString(),
    );
  });
  const { stdout } = await web.curl("gone1", "/", ["-w", "%{http_code}"]);
  assert.match(stdout.toString(), /401$/);
  assert.doesNotMatch(stdout.toString(), /offline|seen/);
});

test("revoked, or its page turned off: the next request finds nothing", { skip }, async () => {
  const status = async (): Promise<string> =>
    (await web.curl("open1", "/", ["-o", "/dev/null", "-w", "%{http_code}"])).stdout.toString();
  assert.equal(await status(), "200");
  await web.stand.office("web", "open1", "login");
  assert.equal(await status(), "401");
  await web.stand.office("web", "open1", "off");
  assert.equal(await status(), "401");
  assert.match((await web.curl("open1", "/", ["-u", `ada:${password}`])).stdout.toString(), /Nothing here/);
});

test("HTTP without TLS is sent to https, and what is no HTTP is refused", { skip }, async () => {
  const { port } = web.stand.gateway;
  const { stdout } = await web.curl("kiosk7", "/", [
    "-w",
    "%{http_code} %{redirect_url}",
    "--next",
    "-sS",
    "--noproxy",
    "*",
    "-o",
    "/dev/null",
    "-H",
    `Host: kiosk7.${domain}`,
    "-w",
    "%{http_code} %{redirect_url}",
    `http://127.0.0.1:${port}/a?b`,
  ]);
  assert.match(stdout.toString(), new RegExp(`308 https://kiosk7\\.${domain}/a\\?b`));
  const flags = ["-sS", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}"];
  const at = `http://kiosk7.${domain}:8443/a?b`;
  const ported = await run(stranger("curl"), [...flags, "--connect-to", `::127.0.0.1:${port}`, at]);
  assert.equal(ported.stdout.toString(), `308 ${at.replace("http:", "https:")}`, "the port stays");
  assert.equal(
    await ask("open1", "\u0000\u0001nonsense\r\n\r\n").then(firstLine),
    "HTTP/1.1 400 Bad Request",
  );
});
