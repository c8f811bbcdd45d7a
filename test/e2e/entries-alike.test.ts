/** A name that does not exist and one that is for others: the same bytes in each protocol, and neither waits for what the other does not. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect as connectTcp, createServer, type Server, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { selfSigned } from "#test/support/certificates";
import { run } from "#test/support/child";
import { type EntryWorld, read, startEntryWorld } from "#test/support/entries";
import { missing, stranger } from "#test/support/strangers";
import { tempDir, type TempDir } from "#test/support/temp-dir";
import { keyLogin } from "#test/support/world";

const skip = missing("ssh", "sshd", "openssl");
let folder: TempDir;
let world: EntryWorld;
/** Stands where targets are that are for others: it must never hear of anybody. */
let trap: Server;
let trapped = 0;

/** For others, of every sort: with one address, with several, down, of TLS, of HTTP, ending here, by a pattern. */
const hidden = ["plain", "several", "down", "tls", "http", "ends", "pattern-1"];
const nobody = ["nowhere", "pattern-x", "plain.example", "x".repeat(200)];

before(async () => {
  if (skip !== false) return;
  folder = await tempDir();
  trap = createServer((socket) => {
    trapped++;
    socket.destroy();
  });
  trap.listen(0, "127.0.0.1");
  await once(trap, "listening");
  const { port } = trap.address() as AddressInfo;
  const place = { host: "127.0.0.1", port };
  const names = [...hidden, ...nobody].filter((name) => name.length < 64);
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
        certificates: [await selfSigned(folder, "gate", "gate.example", ...names)],
        gatewayNames: ["gate.example"],
      },
    },
    more: [
      { name: "plain", ...place, at: ["127.0.7.1"] },
      { name: "several", addresses: [`127.0.0.1:${port}`, `localhost:${port}`] },
      { name: "down", host: "127.0.0.1", port: 1 },
      { name: "tls", ...place, tls: true },
      { name: "http", ...place, http: true },
      { name: "ends", ...place, mode: "terminate" },
      { name: "patterns", pattern: "pattern-[0-9]+", ...place },
    ],
    rules: (identity) => [
      { name: "others", mode: "splice", match: { from: ["192.0.2.0/24"] }, targets: ["*"] },
      { name: "here", mode: "splice", match: { from: ["127.0.0.0/8"] }, targets: ["web1"] },
      { name: "jump", match: { user: "ada" }, login: [keyLogin(identity)], serve: "jump", targets: ["web1"] },
    ],
  });
});
after(async () => {
  trap?.close();
  await world?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

async function dial(host = "127.0.0.1"): Promise<Socket> {
  const socket = connectTcp({ host, port: world.gateway.port });
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

async function said(socket: Socket, text: string): Promise<string> {
  socket.write(text);
  const answer = await read(socket);
  socket.destroy();
  return answer;
}

/** Our key exchange is different each time: cookies, and padding that is random. */
function withoutRandom(text: string): string {
  const bytes = Buffer.from(text, "latin1");
  const start = text.indexOf("\n") + 1;
  if (!text.startsWith("SSH-")) return text;
  const length = bytes.readUInt32BE(start);
  const padding = bytes[start + 4] ?? 0;
  bytes.fill(0, start + 6, start + 22);
  bytes.fill(0, start + 4 + length - padding, start + 4 + length);
  const rest = start + 4 + length;
  const restPadding = bytes[rest + 4] ?? 0;
  bytes.fill(0, bytes.length - restPadding);
  return bytes.toString("latin1");
}

const upgrade =
  "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

async function alert(servername: string): Promise<string> {
  const socket = connectTls({ socket: await dial(), servername, rejectUnauthorized: false });
  const [error] = (await once(socket, "error")) as [NodeJS.ErrnoException];
  socket.destroy();
  return error.code ?? error.message;
}

async function insideTls(text: string): Promise<string> {
  const socket = connectTls({
    socket: await dial(),
    servername: "gate.example",
    rejectUnauthorized: false,
  });
  socket.on("error", () => {});
  return await said(socket, text);
}

const protocols: Readonly<Record<string, (name: string) => Promise<string>>> = {
  "version string": async (name) => withoutRandom(await said(await dial(), `SSH-2.0-x Host: ${name}\r\n`)),
  "HTTP's form": async (name) => {
    // The packet has one length for all names.
    const packet = Buffer.alloc(4 + 512);
    packet.writeUInt32BE(512);
    packet.writeUInt8(6, 4);
    packet.writeUInt8(2, 5);
    packet.writeUInt32BE(500, 6);
    packet.write(`\r\nHost: ${name}\r\n`, 10, "latin1");
    const socket = await dial();
    socket.write("SSH-2.0-x / HTTP/1.1\r\n");
    socket.write(packet);
    return withoutRandom(await said(socket, ""));
  },
  "TLS, by SNI": alert,
  "HTTP CONNECT": async (name) => await said(await dial(), `CONNECT ${name}:22 HTTP/1.1\r\nHost: a\r\n\r\n`),
  "HTTP CONNECT in TLS": async (name) => await insideTls(`CONNECT ${name}:22 HTTP/1.1\r\nHost: a\r\n\r\n`),
  WebSocket: async (name) =>
    await said(await dial(), `GET /ssh/${name} HTTP/1.1\r\nHost: a\r\n${upgrade}\r\n`),
  "HTTP by Host": async (name) => await said(await dial(), `GET / HTTP/1.1\r\nHost: ${name}\r\n\r\n`),
  "HTTP by Host in TLS": async (name) => await insideTls(`GET / HTTP/1.1\r\nHost: ${name}\r\n\r\n`),
  jump: async (name) => {
    const { gateway, identity } = world;
    const options = ["BatchMode=yes", "IdentityAgent=none", "IdentitiesOnly=yes", "LogLevel=ERROR"];
    const own = [`UserKnownHostsFile=${gateway.knownHosts}`, "StrictHostKeyChecking=no"];
    const { stderr } = await run(stranger("ssh"), [
      "-F",
      "none",
      "-p",
      String(gateway.port),
      "-i",
      identity.path,
      "-l",
      "ada",
      ...[...options, ...own].flatMap((each) => ["-o", each]),
      "-W",
      `${name}:22`,
      "127.0.0.1",
    ]);
    return stderr.replaceAll(name, "NAME");
  },
};

for (const [title, ask] of Object.entries(protocols))
  test(`${title}: not there, and not for this client`, { skip, timeout: 60_000 }, async () => {
    const [first = "", ...others] = [...hidden, ...nobody];
    // The jump asks by a whole ssh each time.
    const asked = title === "jump" ? ["several", "ends", "pattern-1", "nowhere"] : others;
    const expected = await ask(first);
    assert.ok(expected.length > 0);
    for (const name of asked) assert.equal(await ask(name), expected, name);
    // Nobody was dialled or looked up for an answer, so there is nothing that one could take longer than the other.
    assert.equal(trapped, 0);
    assert.equal(world.gateway.events("upstream-address-failed").length, 0);
  });

test("destination address: as if nothing stood there", { skip }, async () => {
  for (const host of ["127.0.7.1", "127.0.7.2"])
    assert.match(await said(await dial(host), "SSH-2.0-x Host: nowhere\r\n"), /no such target here/);
  const [there, nothing] = await Promise.all(
    ["127.0.7.1", "127.0.7.2"].map(async (host) =>
      withoutRandom(await said(await dial(host), "SSH-2.0-x Host: a\r\n")),
    ),
  );
  assert.equal(there, nothing);
  assert.equal(trapped, 0);
});
