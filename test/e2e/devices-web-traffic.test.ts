/** What passes to a device's page: big files, events, WebSockets, cookies, and who the device is told has come. */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { request } from "node:https";
import { after, before, test } from "node:test";
import { readFileSync } from "node:fs";
import { WebSocket } from "ws";
import { Child } from "#test/support/child";
import { domain, password, startWebStand, type WebStand } from "#test/support/device-web";
import { missing, stranger } from "#test/support/strangers";
import { until, within } from "#test/support/waiting";

const skip = missing("ssh", "sshd", "openssl", "curl");
const bigBytes = 200 * 1024 * 1024;
const megabyte = Buffer.alloc(1024 * 1024, "x");
let web: WebStand;
/** Answers that are written to by the tests. */
const open: ServerResponse[] = [];
/** Requests whose bodies nobody reads. */
const unread: IncomingMessage[] = [];

function site(asked: IncomingMessage, response: ServerResponse): void {
  switch (asked.url) {
    case "/upload": {
      let bytes = 0;
      asked.on("data", (chunk: Buffer) => (bytes += chunk.length));
      asked.on("end", () => response.end(`${bytes}`));
      return;
    }
    case "/big":
    case "/endless": {
      let left = asked.url === "/big" ? bigBytes / megabyte.length : Number.POSITIVE_INFINITY;
      const more = (): void => {
        while (left-- > 0) if (!response.write(megabyte)) return void response.once("drain", more);
        response.end();
      };
      more();
      return;
    }
    case "/events":
      response.writeHead(200, { "Content-Type": "text/event-stream" }).flushHeaders();
      open.push(response);
      return;
    case "/stuck":
      unread.push(asked);
      return;
    case "/cookies":
      response.writeHead(200, {
        "Set-Cookie": ["own=1; Domain=devices.example; Path=/", "__Host-postern=evil; Secure; Path=/", "b=2"],
        Connection: "X-Hop",
        "X-Hop": "1",
      });
      response.end("ok");
      return;
    default:
      asked.resume();
      response.end(JSON.stringify({ url: asked.url, headers: asked.rawHeaders }));
  }
}

before(async () => {
  if (skip !== false) return;
  web = await startWebStand({
    handler: site,
    web: { except: [{ devices: ["tag:old"], host: "localhost" }], maxRequestsPerDevice: 8 },
  });
  await web.device("kiosk7", "login");
  await web.device("open1", "public");
  await web.device("old1", "public", { tags: ["old"] });
});
after(async () => {
  await web?.[Symbol.asyncDispose]();
});

const basic = ["-u", `ada:${password}`];

test("200 MB each way by HTTP/1.1 and HTTP/2, and the memory stays flat", { skip }, async () => {
  for (const version of ["--http1.1", "--http2"]) {
    await web.curl("kiosk7", "/", [version, ...basic]);
    const before = await web.stand.gateway.rssBytes();
    let highest = before;
    await using up = new Child(
      stranger("curl"),
      ["-sS", ...web.curlFlags("kiosk7"), version, ...basic, "-T", "-", web.url("kiosk7", "/upload")],
      { stdin: "open" },
    );
    for (let sent = 0; sent < bigBytes; sent += megabyte.length) {
      if (!up.stdin.write(megabyte)) await within("curl to take it", once(up.stdin, "drain"));
      highest = Math.max(highest, await web.stand.gateway.rssBytes());
    }
    up.stdin.end();
    assert.equal((await up.outcome(120_000)).stdout.toString(), String(bigBytes), up.stderr);
    await using down = new Child(
      stranger("curl"),
      ["-sS", ...web.curlFlags("kiosk7"), version, ...basic, web.url("kiosk7", "/big")],
      { discard: true },
    );
    const { code } = await down.outcome(120_000);
    highest = Math.max(highest, await web.stand.gateway.rssBytes());
    assert.deepEqual([code, down.stdoutBytes], [0, bigBytes], down.stderr);
    const grown = (highest - before) / megabyte.length;
    assert.ok(grown < 128, `${version}: ${grown} MB more`);
  }
});

test("an answer that never ends waits for its reader, who may leave", { skip }, async () => {
  const before = await web.stand.gateway.rssBytes();
  await using reader = new Child(
    stranger("curl"),
    ["-sS", "--limit-rate", "100k", ...web.curlFlags("open1"), web.url("open1", "/endless")],
    { discard: true },
  );
  await reader.waitFor("some of it", () => reader.stdoutBytes > 200_000);
  const grown = ((await web.stand.gateway.rssBytes()) - before) / megabyte.length;
  assert.ok(grown < 60, `${grown} MB more`);
  reader.kill();
  await reader.ended;
  const { stdout } = await web.curl("open1", "/after");
  assert.match(stdout.toString(), /"\/after"/);
});

test("server-sent events come one by one", { skip }, async () => {
  await using reader = new Child(stranger("curl"), [
    "-sSN",
    ...web.curlFlags("kiosk7"),
    ...basic,
    web.url("kiosk7", "/events"),
  ]);
  const answer = await until<ServerResponse>("the request", () => open.at(-1));
  for (const word of ["one", "two"]) {
    answer.write(`data: ${word}\n\n`);
    await reader.waitFor(word, () => reader.stdout.toString().endsWith(`data: ${word}\n\n`));
  }
  // Whoever leaves is gone for the device too.
  const gone = once(answer, "close");
  reader.kill();
  await within("the device to know", gone);
});

function socket(name: string, headers: Record<string, string> = {}): WebSocket {
  return new WebSocket(`wss://${name}.${domain}:${web.stand.gateway.port}/ws`, {
    ca: readFileSync(web.certificate.certificate),
    lookup: (_name, _options, found) => found(null, [{ address: "127.0.0.1", family: 4 }]),
    headers,
  });
}

const authorization = `Basic ${Buffer.from(`ada:${password}`).toString("base64")}`;

test("a WebSocket, behind the same login", { skip }, async () => {
  web.sockets.once("connection", (joined) =>
    joined.on("message", (data, isBinary) => joined.send(data, { binary: isBinary })),
  );
  const client = socket("kiosk7", { Authorization: authorization });
  await within("the socket", once(client, "open"));
  for (const message of ["hello", Buffer.alloc(1_000_000, 7)]) {
    client.send(message);
    const [data] = (await within("the echo", once(client, "message"))) as [Buffer];
    assert.deepEqual(data, Buffer.from(message));
  }
  assert.equal(web.heard.at(-1)?.headers.authorization, undefined);
  client.close(1000);
  assert.deepEqual((await within("the end", once(client, "close")))[0], 1000);
});

test("a WebSocket without a login, and one of a stranger's page, never reach the device", {
  skip,
}, async () => {
  const before = web.heard.length;
  const refused = async (client: WebSocket): Promise<number | undefined> => {
    client.on("error", () => {});
    const [, answer] = (await within("a refusal", once(client, "unexpected-response"))) as [
      unknown,
      IncomingMessage,
    ];
    client.terminate();
    return answer.statusCode;
  };
  assert.equal(await refused(socket("kiosk7")), 401);
  assert.equal(await refused(socket("kiosk7", { Authorization: "Basic YWRhOng=" })), 401);
  assert.equal(await refused(socket("shut1", { Authorization: authorization })), 404);
  assert.equal(web.heard.length, before);
});

test("the device is told who comes, by us alone; and its cookies stay its own", { skip }, async () => {
  const lies = [
    "X-Forwarded-For: 6.6.6.6",
    "X_Forwarded_User: root",
    "X-Forwarded-User: root",
    "Forwarded: for=6",
  ];
  const { stdout } = await web.curl("open1", "/", [
    ...lies.flatMap((each) => ["-H", each]),
    "-b",
    "a=1; __Host-postern=x; c=3",
  ]);
  const { headers } = JSON.parse(stdout.toString()) as { headers: string[] };
  const text = headers.map((each, at) => (at % 2 === 0 ? `${each}: ${headers[at + 1]}` : "")).join("\n");
  const host = `open1.${domain}:${web.stand.gateway.port}`;
  assert.match(text, /^X-Forwarded-For: 127\.0\.0\.1$/m);
  assert.match(text, new RegExp(`^Forwarded: for=127.0.0.1;host="${host}";proto=https$`, "m"));
  assert.match(text, /^cookie: a=1; c=3$/im);
  assert.match(text, new RegExp(`^Host: ${host}$`, "m"));
  assert.doesNotMatch(text, /root|6\.6\.6|for=6$/);
  const old = await web.curl("old1", "/");
  assert.match(old.stdout.toString(), /"Host","localhost"/);
  const { stdout: said } = await web.curl("open1", "/cookies", ["-D", "-"]);
  const cookies = said
    .toString()
    .match(/^set-cookie: .*$/gim)
    ?.map((each) => each.trim().slice(12));
  assert.deepEqual(cookies, ["own=1; Path=/", "b=2"]);
  assert.doesNotMatch(said.toString(), /x-hop/i);
});

test("one device that is busy keeps no other waiting, and says so", { skip }, async () => {
  const asking = Array.from({ length: 8 }, () =>
    request({
      host: "127.0.0.1",
      port: web.stand.gateway.port,
      path: "/stuck",
      servername: `open1.${domain}`,
      headers: { Host: `open1.${domain}` },
      rejectUnauthorized: false,
      agent: false,
    }),
  );
  for (const each of asking) each.on("error", () => {}).end();
  await until("all of them", () => unread.length >= 8);
  const { stdout } = await web.curl("open1", "/", ["-o", "/dev/null", "-w", "%{http_code}"]);
  assert.equal(stdout.toString(), "503");
  assert.match((await web.curl("old1", "/")).stdout.toString(), /"url":"\/"/);
  for (const each of asking) each.destroy();
  await until(
    "the places",
    async () =>
      (await web.curl("open1", "/free", ["-o", "/dev/null", "-w", "%{http_code}"])).stdout.toString() ===
      "200",
  );
});
