/** HTTP by its Host, each request for itself, and any protocol by TLS's SNI: a virtual host for everything. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer } from "node:net";
import { after, before, test } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { selfSigned } from "#test/support/certificates";
import { Child, run } from "#test/support/child";
import { dialGateway, type EntryWorld, read, startEntryWorld } from "#test/support/entries";
import { missing, stranger } from "#test/support/strangers";
import { tempDir, type TempDir } from "#test/support/temp-dir";

const skip = missing("ssh", "sshd", "openssl", "curl");
let folder: TempDir;
let world: EntryWorld;
const servers: (Server | TcpServer)[] = [];
const sockets = new WebSocketServer({ noServer: true });
/** Heads of the requests that reached each site. */
const heard: Record<string, IncomingMessage[]> = { one: [], two: [] };

/** What a site says that is no server of ours. */
let rawAnswer = "";

async function listening(server: Server | TcpServer): Promise<number> {
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

async function site(name: string): Promise<number> {
  const server = createServer((request, response) => {
    heard[name]?.push(request);
    if (request.url === "/early") {
      response.writeHead(403, { "X-Site": name }).end("no");
      return;
    }
    let bytes = 0;
    request.on("data", (chunk: Buffer) => (bytes += chunk.length));
    request.on("end", () => {
      response.writeHead(200, {
        "X-Site": name,
        "Set-Cookie": ["a=1", "b=2"],
        Connection: "X-Hop",
        "X-Hop": "1",
      });
      response.end(`${name} ${request.method} ${request.url} ${bytes}`);
    });
  });
  server.on("upgrade", (request, socket, head) => {
    if (request.url === "/raw")
      socket.end("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nraw bytes");
    else if (request.url !== "/ws")
      socket.end("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno");
    else
      sockets.handleUpgrade(request, socket, head, (joined) => {
        joined.on("message", (data: Buffer) => joined.send(`${name} ${data.toString()}`));
      });
  });
  return await listening(server);
}

before(async () => {
  if (skip !== false) return;
  folder = await tempDir();
  const gate = await selfSigned(folder, "gate", "one.example", "gate.example", "echo.example");
  const [one, two] = [await site("one"), await site("two")];
  const echo = await listening(createTcpServer((socket) => socket.on("error", () => {}).pipe(socket)));
  const raw = await listening(
    createTcpServer((socket) =>
      socket.on("error", () => {}).once("data", () => socket.end(rawAnswer, "latin1")),
    ),
  );
  world = await startEntryWorld({
    listener: { entries: ["ssh", "tls", "http", "websocket", "host"], silentSeconds: "5s" },
    config: { tls: { certificates: [gate], gatewayNames: ["gate.example"] } },
    more: [
      { name: "one", names: ["one.example"], host: "127.0.0.1", port: one, http: true },
      // Two names at one address are two targets all the same.
      { name: "hidden", names: ["hidden.example"], host: "127.0.0.1", port: one, http: true },
      { name: "two", names: ["two.example"], host: "127.0.0.1", port: two, http: true },
      { name: "down", host: "127.0.0.1", port: 1, http: true },
      { name: "raw", host: "127.0.0.1", port: raw, http: true },
      { name: "echo", names: ["echo.example"], host: "127.0.0.1", port: echo },
    ],
    rules: [
      {
        name: "here",
        mode: "splice",
        match: { from: ["127.0.0.1"] },
        targets: ["web1", "one", "two", "down", "echo", "raw"],
      },
    ],
  });
});
after(async () => {
  for (const server of servers) server.close();
  await world?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

async function ask(text: string): Promise<string> {
  const client = await dialGateway(world.gateway);
  client.write(text);
  const answer = await read(client);
  client.destroy();
  return answer;
}

const get = (path: string, host: string, more = ""): string =>
  `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`;
const last = "Connection: close\r\n";

test("curl: a request reaches the site that its Host names, with its body", { skip }, async () => {
  const { port } = world.gateway;
  for (const name of ["one.example", "TWO.example:80"]) {
    const command = [
      "-sS",
      "--http1.1",
      "-H",
      `Host: ${name}`,
      "--data-binary",
      "@-",
      `http://127.0.0.1:${port}/x?y=z`,
    ];
    const data = Buffer.alloc(3_000_000);
    for (const more of [[], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"]]) {
      const { stdout } = await run(stranger("curl"), [...more, ...command], { stdin: { data } });
      assert.equal(stdout.toString(), `${name.slice(0, 3).toLowerCase()} POST /x?y=z 3000000`);
    }
  }
});

test("each request of a connection is decided for itself", { skip }, async () => {
  const [one = [], two = []] = [heard["one"], heard["two"]];
  const before = [one.length, two.length];
  const text = await ask(get("/1", "one") + get("/2", "two") + get("/3", "hidden") + get("/4", "two", last));
  assert.match(
    text,
    /one GET \/1 0[\s\S]*two GET \/2 0[\s\S]*HTTP\/1\.1 404 [\s\S]*There is no such target here/,
  );
  // What follows a refusal is not read any more, and a name that is not for the client never reaches the site.
  assert.deepEqual(
    [one.length, two.length - (text.includes("/4") ? 1 : 0)],
    [(before[0] ?? 0) + 1, (before[1] ?? 0) + 1],
  );
  assert.ok(one.every(({ headers }) => headers.host !== "hidden"));
});

test("requests without end, sent before their answers, end the connection", { skip }, async () => {
  const text = await ask(get("/", "one").repeat(1000));
  assert.doesNotMatch(text, /400/);
  assert.ok((text.match(/one GET/g) ?? []).length <= 32);
});

test("what a client says of itself and of its connection stays with the gateway", { skip }, async () => {
  const more =
    "X-Forwarded-For: 10.0.0.1\r\nX_Forwarded_For: 10.0.0.2\r\nX-Forwarded_Proto: https\r\nX-Forwarded-Port: 1\r\nX-Real-IP: 10.0.0.1\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\nTE: trailers\r\nX-Kept: \u00e9\r\n";
  const text = await ask(get("/", "one", more));
  assert.doesNotMatch(text, /X-Hop/i);
  assert.match(text, /Set-Cookie: a=1\r\nSet-Cookie: b=2/);
  const headers: Readonly<Record<string, unknown>> = heard["one"]?.at(-1)?.headers ?? {};
  assert.equal(headers["x-forwarded-for"], "127.0.0.1");
  assert.equal(headers["x-forwarded-proto"], "http");
  assert.equal(headers["x-kept"], "\u00c3\u00a9");
  assert.equal(headers["connection"], "close");
  for (const name of [
    "x-real-ip",
    "x-mine",
    "te",
    "x_forwarded_for",
    "x-forwarded_proto",
    "x-forwarded-port",
  ])
    assert.equal(headers[name], undefined, name);
});

test("names that lead nowhere are refused alike; a site that is down is a bad gateway", {
  skip,
}, async () => {
  const refused = await ask(get("/", "hidden", last));
  assert.match(refused, /^HTTP\/1\.1 404 /);
  for (const host of ["nowhere", "web1", "echo", "127.0.0.1", "[::1]:80", "a b", ""])
    assert.equal(await ask(get("/", host, last)), refused, host);
  for (const head of [
    "GET / HTTP/1.1\r\nHost: one\r\nHost: two\r\n\r\n",
    "GET http://one/ HTTP/1.1\r\nHost: one\r\n\r\n",
  ])
    assert.equal(await ask(head), refused, head);
  assert.match(await ask(get("/", "down", last)), /^HTTP\/1\.1 502 /);
});

test("what two parsers could read differently is refused", { skip }, async () => {
  for (const more of [
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "Content-Length: 5\r\nContent-Length: 6\r\n",
    "Transfer-Encoding: identity, chunked, x\r\n",
    "Content-Length : 5\r\n",
    "X: a\r\n b\r\n",
    "X: a\nHost: two\r\n",
    "X: \u0000\r\n",
  ]) {
    const before = heard["one"]?.length;
    assert.match(await ask(`POST / HTTP/1.1\r\nHost: one\r\n${more}\r\nhello`), /^HTTP\/1\.1 400 /, more);
    assert.equal(heard["one"]?.length, before);
  }
});

test("no header is dropped that says how long a request is, however many stand before it", {
  skip,
}, async () => {
  const many = Array.from({ length: 2500 }, () => "a:\r\n").join("");
  const smuggled = get("/smuggled", "hidden");
  for (const [length, body] of [
    [`Content-Length: ${smuggled.length}\r\n`, smuggled],
    ["Transfer-Encoding: chunked\r\n", `${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`],
  ]) {
    const text = await ask(`${get("/many", "one", `${many}${length}${last}`)}${body}`);
    // As a whole, or not at all.
    assert.match(text, new RegExp(`^HTTP/1\\.1 431 |one GET /many ${smuggled.length}$`));
  }
  assert.ok(heard["one"]?.every(({ url }) => url !== "/smuggled"));
});

test("another protocol than WebSocket is not changed to: behind that, no request would be read", {
  skip,
}, async () => {
  const h2c =
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n";
  const client = await dialGateway(world.gateway);
  client.write(get("/raw", "one", h2c));
  const first = await read(client, (text) => text.endsWith("GET /raw 0\r\n0\r\n\r\n"));
  assert.match(first, /^HTTP\/1\.1 200 /);
  client.write(get("/after", "one", last));
  assert.match(await read(client), /one GET \/after 0/);
});

test("an answer before the end of the request, and a client that goes in the middle", { skip }, async () => {
  const client = await dialGateway(world.gateway);
  client.write("POST /early HTTP/1.1\r\nHost: one\r\nContent-Length: 1000000\r\n\r\nbegin");
  assert.match(await read(client, (text) => text.includes("no")), /^HTTP\/1\.1 403 /);
  client.destroy();
  const before = heard["two"]?.length ?? 0;
  const leaving = await dialGateway(world.gateway);
  leaving.write("POST / HTTP/1.1\r\nHost: two\r\nContent-Length: 1000000\r\n\r\nbegin");
  while ((heard["two"]?.length ?? 0) === before) await new Promise((resolve) => setTimeout(resolve, 10));
  const there = heard["two"]?.at(-1);
  there?.on("error", () => {});
  const gone = new Promise((resolve) => there?.once("close", resolve));
  leaving.destroy();
  await gone;
});

test("whatever a site answers, it is passed on or a bad gateway, and the gateway lives", {
  skip,
}, async () => {
  const upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
  for (const answer of [
    "HTTP/1.1 000 Zero\r\n\r\n",
    "HTTP/1.1 099 Low\r\n\r\n",
    "HTTP/1.1 999 High\r\n\r\n",
    "HTTP/1.1 200 O\u0001K\r\n\r\nx",
    "HTTP/1.1 200 \u00e9\r\n\r\nx",
    "HTTP/1.1 200 OK\r\nX: \u0001\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX Y: z\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n1\r\na\r\n0\r\nx: y\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nx",
    "HTTP/1.1 103 Early\r\nLink: </x>\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
    "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 304 Same\r\nTransfer-Encoding: chunked\r\n\r\n",
    `HTTP/1.1 200 OK\r\n${"X: y\r\n".repeat(10_000)}\r\n`,
    `HTTP/1.1 200 ${"x".repeat(100_000)}\r\n\r\n`,
    "HTTP/2 200\r\n\r\n",
    "nonsense",
    "",
  ]) {
    rawAnswer = answer;
    for (const more of [last, upgrade]) {
      const text = await ask(get("/", "raw", more));
      assert.match(text, /^(?:HTTP\/1\.1 [1-9][0-9][0-9] |$)/, JSON.stringify(answer.slice(0, 40)));
    }
  }
  assert.match(await ask(get("/alive", "one", last)), /one GET \/alive/);
  assert.ok(!world.gateway.child.stderr.includes("BUG_"));
});

test("a WebSocket of a site, and one that it refuses", { skip }, async () => {
  const { port } = world.gateway;
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, { headers: { Host: "two.example" } });
  await once(socket, "open");
  socket.send("hello");
  const [data] = (await once(socket, "message")) as [Buffer];
  assert.equal(data.toString(), "two hello");
  socket.close();
  await once(socket, "close");
  const upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
  const before = heard["two"]?.length;
  const text = await ask(get("/other", "one", upgrade) + get("/", "two", last));
  assert.match(text, /^HTTP\/1\.1 426 [\s\S]*\r\n\r\nno$/);
  assert.equal(heard["two"]?.length, before);
});

test("the gateway's own entries are there for names that are no site", { skip }, async () => {
  const text = await ask("CONNECT web1:22 HTTP/1.1\r\nHost: one\r\n\r\nSSH-2.0-x\r\nnonsense\r\n");
  assert.match(text, /^HTTP\/1\.1 200 [\s\S]*SSH-2\.0-OpenSSH/);
  const { port } = world.gateway;
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ssh/web1`);
  const [data] = (await once(socket, "message")) as [Buffer];
  assert.match(data.toString(), /^SSH-2\.0-OpenSSH/);
  socket.terminate();
});

test("HTTPS that ends here, and any other protocol by SNI", { skip }, async () => {
  const { port } = world.gateway;
  const inside = ["--cacert", folder.at("gate.pem"), "--connect-to", `::127.0.0.1:${port}`];
  const { stdout, stderr } = await run(stranger("curl"), [
    "-sS",
    "--http1.1",
    ...inside,
    "-H",
    "Host: two.example",
    "https://gate.example/in",
  ]);
  assert.equal(stdout.toString(), "two GET /in 0", stderr);
  assert.equal(heard["two"]?.at(-1)?.headers["x-forwarded-proto"], "https");
  const client = `s_client -quiet -connect 127.0.0.1:${port} -servername echo.example`.split(" ");
  await using echoing = new Child(stranger("openssl"), client, { stdin: { data: "any bytes\n" } });
  await echoing.waitFor("the echo", () => echoing.stdout.includes("any bytes") || undefined);
});
