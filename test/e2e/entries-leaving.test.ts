/** Clients that break off while their target is dialled, or in the middle of a handshake: the gateway lives, and nothing is left. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect as connectTcp, createServer, type Server, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { selfSigned } from "#test/support/certificates";
import { dialGateway, type EntryWorld, read, startEntryWorld } from "#test/support/entries";
import { missing } from "#test/support/strangers";
import { tempDir, type TempDir } from "#test/support/temp-dir";
import { until } from "#test/support/waiting";

const skip = missing("ssh", "sshd", "openssl");
let folder: TempDir;
let world: EntryWorld;
/** A proxy that takes connections and never says a word: who goes by it waits. */
let silent: Server;
const waiting = new Set<Socket>();

before(async () => {
  if (skip !== false) return;
  folder = await tempDir();
  silent = createServer({ allowHalfOpen: true }, (socket) => {
    waiting.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => waiting.delete(socket));
    // A test may have something to say to who says no more.
    socket.on("end", () => setImmediate(() => socket.end()));
    socket.resume();
  });
  silent.listen(0, "127.0.0.1");
  await once(silent, "listening");
  const via = [{ kind: "http", address: `127.0.0.1:${(silent.address() as AddressInfo).port}` }];
  // Longer than a test waits: who goes must be seen to go.
  const place = { host: "127.0.0.1", port: 9, via, connectTimeoutSeconds: "5m" };
  world = await startEntryWorld({
    listener: {},
    config: {
      listen: [
        {
          address: "0.0.0.0:0",
          entries: ["ssh", "version", "tls", "http", "websocket", "host", "address"],
          silentSeconds: "9s",
        },
      ],
      tls: {
        certificates: [await selfSigned(folder, "gate", "gate.example", "slow")],
        gatewayNames: ["gate.example"],
      },
    },
    more: [
      { name: "slow", ...place, at: ["127.0.8.1"] },
      { name: "site", ...place, http: true },
    ],
    rules: [
      { name: "here", mode: "splice", match: { from: ["127.0.0.0/8"] }, targets: ["slow", "site", "web1"] },
    ],
  });
});
after(async () => {
  silent?.close();
  for (const socket of waiting) socket.destroy();
  await world?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

const upgrade =
  "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const inside: Readonly<Record<string, string>> = {
  version: "SSH-2.0-x Host: slow\r\n",
  connect: "CONNECT slow:22 HTTP/1.1\r\nHost: a\r\n\r\n",
  websocket: `GET /ssh/slow HTTP/1.1\r\nHost: a\r\n${upgrade}\r\n`,
  host: "GET / HTTP/1.1\r\nHost: site\r\n\r\n",
  "host, with a body": "POST / HTTP/1.1\r\nHost: site\r\nContent-Length: 10\r\n\r\nhello",
  "host, WebSocket": `GET / HTTP/1.1\r\nHost: site\r\n${upgrade}\r\n`,
};

async function dial(host = "127.0.0.1"): Promise<Socket> {
  const socket = connectTcp({ host, port: world.gateway.port, allowHalfOpen: true });
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

async function secure(raw: Socket, servername: string, text: string): Promise<void> {
  const socket = connectTls({ socket: raw, servername, rejectUnauthorized: false });
  socket.on("error", () => {});
  await once(socket, "secureConnect");
  socket.write(text);
}

/** Each opens a connection that is waited for; `raw` is what is broken off. */
const ways: Readonly<Record<string, (raw: Socket) => Promise<void>>> = {
  ...Object.fromEntries(
    Object.entries(inside).flatMap(([title, text]) => [
      [title, async (raw: Socket) => void raw.write(text)],
      [`${title}, in TLS`, async (raw: Socket) => await secure(raw, "gate.example", text)],
    ]),
  ),
  "TLS, by SNI": async (raw) => await secure(raw, "slow", "hello"),
};

test("reset while the target is dialled", { skip, timeout: 120_000 }, async () => {
  const all: typeof ways = { ...ways, "destination address": async () => {} };
  for (const [title, begin] of Object.entries(all)) {
    const raw = await dial(title === "destination address" ? "127.0.8.1" : "127.0.0.1");
    await begin(raw);
    await until(`${title}: the target is dialled`, () => waiting.size === 1);
    raw.resetAndDestroy();
    await until(`${title}: it is given up`, () => waiting.size === 0);
    assert.ok(world.gateway.child.running, `${title}: the gateway lives`);
  }
  assert.ok(!world.gateway.child.stderr.includes("BUG_"));
});

test("a client that says all it has to say while its target is dialled is not gone", { skip }, async () => {
  for (const [title, begin] of [
    ["version", (raw: Socket): Socket => raw],
    ["destination address", (raw: Socket): Socket => raw],
    [
      "TLS, by SNI",
      (raw: Socket): Socket => connectTls({ socket: raw, servername: "slow", rejectUnauthorized: false }),
    ],
  ] as const) {
    const raw = await dial(title === "destination address" ? "127.0.8.1" : "127.0.0.1");
    const client = begin(raw);
    const first = title === "version" ? "SSH-2.0-x Host: slow\r\n" : "";
    client.end(`${first}${"x".repeat(100_000)}`);
    await until(`${title}: the target is dialled`, () => waiting.size === 1);
    await until(`${title}: all is sent`, () => client.writableFinished);
    const [proxy] = waiting;
    assert.ok(proxy !== undefined);
    await until(`${title}: the proxy is asked`, () => proxy.bytesRead > 0);
    let heard = 0;
    // What the gateway said to the proxy itself has been read and thrown away.
    proxy.on("data", (bytes: Buffer) => (heard += bytes.length));
    proxy.once("end", () => proxy.end(`heard ${heard}`));
    proxy.write("HTTP/1.1 200 OK\r\n\r\n");
    assert.equal(
      await read(client, (text) => /heard \d+$/.test(text)),
      `heard ${first.length + 100_000}`,
      title,
    );
    client.destroy();
    await until(`${title}: it is over`, () => waiting.size === 0);
  }
});

test("reset in the middle of whatever is said", { skip }, async () => {
  for (const text of [
    ...Object.values(inside),
    "\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003",
  ])
    for (const length of [1, Math.floor(text.length / 2), text.length - 1]) {
      const raw = await dial();
      raw.write(text.slice(0, length), "latin1");
      const tls = await dial();
      await secure(tls, "gate.example", text.slice(0, length));
      raw.resetAndDestroy();
      tls.resetAndDestroy();
    }
  const client = await dialGateway(world.gateway);
  client.write("SSH-2.0-x Host: web1\r\n");
  assert.match(await read(client, (text) => text.includes("\n")), /^SSH-2\.0-OpenSSH/);
  client.destroy();
  assert.ok(!world.gateway.child.stderr.includes("BUG_"));
});
