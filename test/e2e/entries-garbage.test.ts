/** Strangers on a port that takes everything: what they send, or do not send, costs bounded memory and time. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { connect as connectTls } from "node:tls";
import type { Socket } from "node:net";
import { selfSigned } from "#test/support/certificates";
import { dialGateway, type EntryWorld, read, startEntryWorld } from "#test/support/entries";
import { memoryBelow } from "#test/support/gateway";
import { missing } from "#test/support/strangers";
import { tempDir, type TempDir } from "#test/support/temp-dir";

const skip = missing("ssh", "sshd", "openssl");
let folder: TempDir;
let world: EntryWorld;

before(async () => {
  if (skip !== false) return;
  folder = await tempDir();
  world = await startEntryWorld({
    listener: {
      entries: ["ssh", "version", "tls", "http", "websocket", "host", "address"],
      silentSeconds: "1s",
    },
    config: {
      tls: { certificates: [await selfSigned(folder, "gate", "gate", "web1")], gatewayNames: ["gate"] },
      limits: {
        startups: { start: 1000, full: 1000 },
        maxStartupsPerSource: 1000,
        handshakeSeconds: 3,
      },
    },
    more: [{ name: "site", host: "127.0.0.1", port: 1, http: true }],
    rules: [{ name: "here", mode: "splice", match: { from: ["127.0.0.0/8"] }, targets: ["web1", "site"] }],
  });
});
after(async () => {
  await world?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

const big = "x".repeat(1_000_000);
const upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n";
const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const headers = Array.from({ length: 10_000 }, (_, at) => `X-${at}: y\r\n`).join("");
const ignore = (size: number, rest: string): string => {
  const head = Buffer.alloc(10);
  head.writeUInt32BE(size);
  head.writeUInt8(4, 4);
  head.writeUInt8(2, 5);
  head.writeUInt32BE(size, 6);
  return head.toString("latin1") + rest;
};

/** What is sent as it is, and once more inside of TLS of the gateway's own. */
const abuses: Readonly<Record<string, string>> = {
  nothing: "",
  "one byte": "S",
  "half a method": "CONN",
  "a version line of a megabyte": `SSH-2.0-${big}\r\n`,
  "a comment of a megabyte": `SSH-2.0-a Host: ${big}\r\n`,
  "a version line without end": "SSH-2.0-a Host: web",
  "HTTP's form of a version line, and no packet": "SSH-2.0-a / HTTP/1.1\r\n",
  "HTTP's form, and a packet that never ends": `SSH-2.0-a / HTTP/1.1\r\n${ignore(4000, "x".repeat(99))}`,
  "HTTP's form, and a packet too long": `SSH-2.0-a / HTTP/1.1\r\n${ignore(0x7fff_ffff, big)}`,
  "a CONNECT of 10,000 headers": `CONNECT web1:22 HTTP/1.1\r\n${headers}\r\n`,
  "a WebSocket of 10,000 headers": `GET /ssh/web1 HTTP/1.1\r\nHost: a\r\n${upgrade}${key}${headers}\r\n`,
  "a Host of a megabyte": `GET / HTTP/1.1\r\nHost: ${big}\r\n\r\n`,
  "a path of a megabyte": `GET /ssh/${big} HTTP/1.1\r\nHost: a\r\n${upgrade}${key}\r\n`,
  "a target of CONNECT of a megabyte": `CONNECT ${big}:22 HTTP/1.1\r\n\r\n`,
  "a password of a megabyte": `CONNECT web1:22 HTTP/1.1\r\nProxy-Authorization: Basic ${big}\r\n\r\n`,
  "half a head": "GET / HTTP/1.1\r\nHost: site\r\nX-",
  "a WebSocket without a key": `GET /ssh/web1 HTTP/1.1\r\nHost: a\r\n${upgrade}\r\n`,
  "a body of a megabyte for nobody": `POST / HTTP/1.1\r\nHost: nobody\r\nContent-Length: 1000000\r\n\r\n${big}`,
  "half a TLS hello": "\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003",
  "TLS records without end": "\u0016\u0003\u0001\u0040\u0000\u0001\u0000\u003f\u00fc".padEnd(
    100_000,
    "\u0000",
  ),
  "a PROXY header from nobody": "PROXY TCP4 10.0.0.1 10.0.0.1 1 2\r\nSSH-2.0-x Host: web1\r\n",
  "bytes of no protocol": "\u0000\u0001\u0002\u0003",
};

async function insideTls(): Promise<Socket> {
  const { host, port } = world.gateway;
  const socket = connectTls({ host, port, servername: "gate", rejectUnauthorized: false });
  socket.on("error", () => {});
  return socket;
}

test("each is ended by the gateway, and leaves nothing behind", { skip, timeout: 120_000 }, async () => {
  const one = async (text: string, dial: () => Promise<Socket>): Promise<void> => {
    const client = await dial();
    client.write(text, "latin1");
    // Who never ends it, waits for the end of the test.
    await read(client);
    client.destroy();
  };
  const round = async (): Promise<void> => {
    for (const dial of [async () => await dialGateway(world.gateway), insideTls])
      await Promise.all(Object.values(abuses).map((text) => one(text, dial)));
  };
  await round();
  const before = await world.gateway.rssBytes();
  for (let at = 0; at < 2; at++) await round();
  await memoryBelow(world.gateway, before + 100 * 1024 * 1024);
  assert.ok(!world.gateway.child.stderr.includes("BUG_"), "none of it is an error of ours");
  const line = Math.max(...world.gateway.child.stderr.split("\n").map(({ length }) => length));
  assert.ok(line < 4096, `a line of the log has ${line} characters`);
});

test("everybody else is served meanwhile", { skip }, async () => {
  const silent = await Promise.all(Array.from({ length: 100 }, () => dialGateway(world.gateway)));
  const client = await dialGateway(world.gateway);
  client.write("SSH-2.0-x Host: web1\r\n");
  assert.match(await read(client, (text) => text.includes("\n")), /^SSH-2\.0-OpenSSH/);
  for (const each of [client, ...silent]) each.destroy();
});
