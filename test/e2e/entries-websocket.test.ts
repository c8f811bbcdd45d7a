/** Targets over WebSocket: plain, in TLS, behind nginx and HAProxy; frames, origins, pings and closes. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { WebSocket } from "ws";
import { selfSigned } from "#test/support/certificates";
import { Child, run } from "#test/support/child";
import { dialGateway, type EntryWorld, read, startEntryWorld } from "#test/support/entries";
import { postern } from "#test/support/gateway";
import { freePort } from "#test/support/ports";
import { sshSettings } from "#test/support/ssh";
import { debianPython, missing, stranger, type StrangerName } from "#test/support/strangers";
import { tempDir, type TempDir } from "#test/support/temp-dir";

const skip = missing("ssh", "sshd", "openssl");
const script = new URL("../support/python/websocket_pipe.py", import.meta.url).pathname;
let folder: TempDir;
let world: EntryWorld;

before(async () => {
  if (skip !== false) return;
  folder = await tempDir();
  const gate = await selfSigned(folder, "gate", "localhost");
  const { stdout } = await postern(["key", "hash-password"], { stdin: { data: "horse\n" } });
  const login = [{ kind: "password", hashes: [stdout.toString().trim()] }];
  world = await startEntryWorld({
    listener: {
      entries: ["ssh", "tls", "websocket"],
      silentSeconds: "5s",
      origins: ["https://shell.example.com"],
    },
    config: {
      tls: { certificates: [gate], gatewayNames: ["localhost"] },
      keepalive: { intervalSeconds: 1, maxMissed: 1 },
      limits: { startups: { start: 1000, full: 1000 }, maxStartupsPerSource: 1000, failureDelaySeconds: 0.2 },
    },
    rules: [
      { name: "here", mode: "splice", match: { from: ["127.0.0.1"] }, targets: ["web1", "web2", "gone"] },
      { name: "ada", mode: "splice", match: { user: "ada", from: ["127.0.0.9"] }, login, targets: ["web1"] },
    ],
  });
});
after(async () => {
  await world?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

function needs(...names: readonly StrangerName[]): string | false {
  return skip === false ? missing(...names) : skip;
}

async function sshThrough(url: string, name: string, bytes = 1_000_000): Promise<void> {
  const { knownHosts, identity } = world;
  const target = { host: name, port: 22, user: "root", knownHosts, identity: identity.path };
  const options = [`ProxyCommand=${debianPython} ${script} ${url} ${folder.at("gate.pem")}`];
  const command = [...sshSettings(target, { options }), "-l", process.env["USER"] ?? "root", name];
  const { stdout, stderr } = await run(
    stranger("ssh"),
    [...command, "echo $TARGET; tee /dev/stderr | wc -c"],
    {
      stdin: { data: Buffer.alloc(bytes) },
    },
  );
  // As much comes back as was sent.
  assert.equal(stdout.toString(), `${name}\n${bytes}\n`, stderr.slice(-1000));
  assert.ok(stderr.length >= bytes);
}

const url = (name: string): string => `ws://127.0.0.1:${world.gateway.port}/ssh/${name}`;

test("ssh over a WebSocket, plain and in TLS", { skip: needs("websockets") }, async () => {
  await sshThrough(url("web1"), "web1", 3_000_000);
  await sshThrough(`wss://localhost:${world.gateway.port}/ssh/web2`, "web2");
});

test("websocat", { skip: needs() || websocatMissing() }, async () => {
  const { knownHosts, identity } = world;
  const target = { host: "web1", port: 22, user: "root", knownHosts, identity: identity.path };
  const options = [`ProxyCommand=websocat --binary ${url("web1")}`];
  const command = [...sshSettings(target, { options }), "-l", process.env["USER"] ?? "root", "web1"];
  const { stdout, stderr } = await run(stranger("ssh"), [...command, "echo $TARGET"]);
  assert.equal(stdout.toString(), "web1\n", stderr);
});

function websocatMissing(): string | false {
  const found = (process.env["PATH"] ?? "").split(":").some((each) => {
    try {
      return readFileSync(`${each}/websocat`).length > 0;
    } catch {
      return false;
    }
  });
  return found ? false : "no websocat, which Debian does not have";
}

test("behind nginx and behind HAProxy, which end TLS", {
  skip: needs("websockets", "nginx", "haproxy"),
}, async () => {
  const [front, other] = [await freePort(), await freePort()];
  const port = world.gateway.port;
  const conf = folder.at("nginx.conf");
  await writeFile(
    conf,
    `daemon off; pid ${folder.at("nginx.pid")}; error_log stderr;
events {}
http {
  access_log off;
  ${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((each) => `${each}_temp_path ${folder.at(`nginx-${each}`)};`).join(" ")}
  server {
    listen 127.0.0.1:${front} ssl;
    ssl_certificate ${folder.at("gate.pem")};
    ssl_certificate_key ${folder.at("gate.key")};
    location /ssh/ {
      proxy_pass http://127.0.0.1:${port};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade";
      proxy_read_timeout 1h;
    }
  }
}
`,
  );
  const pem = folder.at("both.pem");
  await writeFile(
    pem,
    readFileSync(folder.at("gate.pem"), "utf8") + readFileSync(folder.at("gate.key"), "utf8"),
  );
  const cfg = folder.at("haproxy.cfg");
  await writeFile(
    cfg,
    `defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  timeout tunnel 1h
listen front
  bind 127.0.0.1:${other} ssl crt ${pem}
  server gate 127.0.0.1:${port}
`,
  );
  await using nginx = new Child(stranger("nginx"), ["-c", conf]);
  await using haproxy = new Child(stranger("haproxy"), ["-db", "-f", cfg]);
  for (const [child, at] of [
    [nginx, front],
    [haproxy, other],
  ] as const) {
    let up = false;
    while (!up && child.running) up = await accepts(at);
    await sshThrough(`wss://localhost:${at}/ssh/web1`, "web1");
  }
});

async function accepts(port: number): Promise<boolean> {
  const socket = await dialGateway({ ...world.gateway, port }).catch(() => undefined);
  socket?.destroy();
  if (socket === undefined) await new Promise((resolve) => setTimeout(resolve, 50));
  return socket !== undefined;
}

/** The status line's number and what the text says. */
async function handshake(path: string, headers: readonly string[] = [], from?: string): Promise<string> {
  const client = await dialGateway(world.gateway, from);
  const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
  const lines = ["Host: gate", "Upgrade: websocket", "Connection: Upgrade", key, "Sec-WebSocket-Version: 13"];
  const own = headers.map((header) => header.split(":")[0]);
  const kept = lines.filter((line) => !own.includes(line.split(":")[0]));
  client.write(`GET ${path} HTTP/1.1\r\n${[...kept, ...headers].join("\r\n")}\r\n\r\n`);
  const text = await read(client, (each) => each.includes("101 Switching") && each.includes("OpenSSH"));
  client.destroy();
  return text;
}

test("what is not there and what is not for the client are refused alike, and other requests at all", {
  skip,
}, async () => {
  assert.match(await handshake("/ssh/web1"), /^HTTP\/1\.1 101 [\s\S]*SSH-2\.0-OpenSSH/);
  assert.match(await handshake("/ssh/WEB1.?x=y"), /^HTTP\/1\.1 101 /);
  assert.match(await handshake("/ssh/gone"), /^HTTP\/1\.1 502 /);
  const refused = await handshake("/ssh/secret");
  assert.match(refused, /^HTTP\/1\.1 404 [\s\S]*There is no such target here, or it is not for you\./);
  for (const path of ["/ssh/nowhere", "/ssh/", "/", "/web1", "/ssh/web1/x", "/ssh/%", "/ssh/a%00b"])
    assert.equal(await handshake(path), refused, path);
  assert.match(await handshake("/ssh/web1", ["Sec-WebSocket-Version: 8"]), /^HTTP\/1\.1 426 /);
  assert.match(await handshake("/ssh/web1", ["Sec-WebSocket-Key: short"]), /^HTTP\/1\.1 400 /);
  assert.match(await handshake("/ssh/web1", ["Upgrade: h2c"]), /^HTTP\/1\.1 404 /);
});

test("a web page may open one only if it is listed", { skip }, async () => {
  assert.match(await handshake("/ssh/web1", ["Origin: https://shell.example.com"]), /^HTTP\/1\.1 101 /);
  for (const origin of ["https://evil.example", "https://shell.example.com.evil.example", "null", ""])
    assert.match(await handshake("/ssh/web1", [`Origin: ${origin}`]), /^HTTP\/1\.1 403 /, origin);
});

test("a name and a password, where a rule asks for them", { skip }, async () => {
  const basic = (login: string): string[] => [
    `Authorization: Basic ${Buffer.from(login).toString("base64")}`,
  ];
  const asked = await handshake("/ssh/web1", [], "127.0.0.9");
  assert.match(asked, /^HTTP\/1\.1 401 [\s\S]*\r\nWWW-Authenticate: Basic /);
  assert.equal(await handshake("/ssh/nowhere", basic("ada:wrong"), "127.0.0.9"), asked);
  assert.match(await handshake("/ssh/web1", basic("ada:horse"), "127.0.0.9"), /^HTTP\/1\.1 101 /);
  assert.match(await handshake("/ssh/web2", basic("ada:horse"), "127.0.0.9"), /^HTTP\/1\.1 404 /);
});

async function open(options: { autoPong?: boolean } = {}, protocols: string[] = []): Promise<WebSocket> {
  const socket = new WebSocket(url("web1"), protocols, options);
  socket.on("error", () => {});
  await once(socket, "open");
  return socket;
}

async function closeCode(socket: WebSocket): Promise<number> {
  const [code] = (await once(socket, "close")) as [number];
  return code;
}

test("text and messages without measure end it with the code that says so", { skip }, async () => {
  const text = await open();
  text.send("SSH-2.0-text\r\n");
  assert.equal(await closeCode(text), 1003);
  const big = await open();
  big.send(Buffer.alloc(2 * 1024 * 1024));
  assert.equal(await closeCode(big), 1009);
  const fragments = await open();
  for (let sent = 0; sent < 20; sent++) fragments.send(Buffer.alloc(100_000), { fin: false });
  assert.equal(await closeCode(fragments), 1009);
});

test("the target's end closes it in good order, and the client's end reaches the target", {
  skip,
}, async () => {
  const ended = await open({}, ["mqtt", "ssh"]);
  assert.equal(ended.protocol, "ssh");
  const texts: string[] = [];
  ended.on("message", (data: Buffer) => texts.push(data.toString("latin1")));
  ended.send(Buffer.from("nonsense\r\n"));
  assert.equal(await closeCode(ended), 1000);
  assert.match(texts.join(""), /^SSH-2\.0-OpenSSH[\s\S]*Invalid SSH identification string/);
  const leaving = await open();
  leaving.close();
  assert.equal(await closeCode(leaving), 1005);
  await world.gateway.waitForLog(
    "the end of who left",
    ({ event, reason }) => event === "session-ended" && reason === "the client closed the connection",
  );
});

test("a client that does not answer pings is dropped; one that does stays", { skip }, async () => {
  const deaf = await open({ autoPong: false });
  const alive = await open();
  assert.equal(await closeCode(deaf), 1006);
  assert.equal(alive.readyState, alive.OPEN);
  alive.terminate();
});
