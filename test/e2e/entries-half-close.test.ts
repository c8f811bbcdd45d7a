/** A client, or a target, that says no more but still listens: through every way that joins the two unopened. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect as connectTcp, createServer, type Server, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { selfSigned } from "#test/support/certificates";
import { type EntryWorld, read, startEntryWorld } from "#test/support/entries";
import { missing } from "#test/support/strangers";
import { tempDir, type TempDir } from "#test/support/temp-dir";

const skip = missing("ssh", "sshd", "openssl");
let folder: TempDir;
let world: EntryWorld;
const servers: Server[] = [];
/** What a target that ended first still heard, told when its client ends. */
let heardLate = Promise.withResolvers<number>();

async function place(take: (socket: Socket) => void): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    take(socket);
  });
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/** Says how much it heard once its client has said all. */
function counts(socket: Socket): void {
  let bytes = 0;
  socket.on("data", (chunk: Buffer) => (bytes += chunk.length));
  socket.on("end", () => socket.end(`${"x".repeat(200_000)}heard ${bytes}`));
}

/** Ends at once, and hears the rest. */
function leaves(socket: Socket): void {
  let bytes = 0;
  socket.on("data", (chunk: Buffer) => (bytes += chunk.length));
  socket.on("end", () => heardLate.resolve(bytes));
  socket.end("bye");
}

before(async () => {
  if (skip !== false) return;
  folder = await tempDir();
  const [counting, leaving] = [await place(counts), await place(leaves)];
  world = await startEntryWorld({
    listener: {},
    config: {
      listen: [
        { address: "0.0.0.0:0", entries: ["ssh", "version", "tls", "http", "address"], silentSeconds: "9s" },
      ],
      tls: {
        certificates: [await selfSigned(folder, "gate", "gate.example", "counts", "leaves", "counts-slowly")],
        gatewayNames: ["gate.example"],
      },
    },
    more: [
      { name: "counts", host: "127.0.0.1", port: counting, at: ["127.0.1.1"] },
      { name: "leaves", host: "127.0.0.1", port: leaving, at: ["127.0.1.2"] },
      {
        name: "counts-slowly",
        host: "127.0.0.1",
        port: counting,
        at: ["127.0.1.3"],
        limits: { bytesPerSecond: "100MiB" },
      },
    ],
    rules: [
      {
        name: "all",
        mode: "splice",
        match: { from: ["127.0.0.0/8"] },
        targets: ["counts", "leaves", "counts-slowly"],
      },
    ],
  });
});
after(async () => {
  for (const server of servers) server.close();
  await world?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

const addresses: Readonly<Record<string, string>> = {
  counts: "127.0.1.1",
  leaves: "127.0.1.2",
  "counts-slowly": "127.0.1.3",
};

/** A client that is joined with the target, and how many bytes of its own beginning reach that. */
type Way = (name: string) => Promise<{ readonly socket: Socket; readonly spent: number }>;

async function byTls(servername: string): Promise<Socket> {
  const raw = await dial();
  const socket = connectTls({ socket: raw, servername, rejectUnauthorized: false });
  socket.on("error", () => {});
  await once(socket, "secureConnect");
  return socket;
}

async function byConnect(socket: Socket, name: string): Promise<Socket> {
  socket.write(`CONNECT ${name}:22 HTTP/1.1\r\nHost: ${name}\r\n\r\n`);
  let head = "";
  while (!head.includes("\r\n\r\n")) {
    await once(socket, "readable");
    for (let byte = socket.read(1) as Buffer | null; byte !== null; byte = socket.read(1) as Buffer | null) {
      head += byte.toString("latin1");
      if (head.endsWith("\r\n\r\n")) break;
    }
  }
  assert.match(head, /^HTTP\/1\.1 200 /);
  return socket;
}

const ways: Readonly<Record<string, Way>> = {
  "version string": async (name) => {
    const line = `SSH-2.0-x Host: ${name}\r\n`;
    const socket = await dial();
    socket.write(line);
    return { socket, spent: line.length };
  },
  "HTTP CONNECT": async (name) => ({ socket: await byConnect(await dial(), name), spent: 0 }),
  "destination address": async (name) => ({ socket: await dial(addresses[name]), spent: 0 }),
  "TLS, by SNI": async (name) => ({ socket: await byTls(name), spent: 0 }),
  "HTTP CONNECT in TLS": async (name) => ({
    socket: await byConnect(await byTls("gate.example"), name),
    spent: 0,
  }),
};

async function dial(host = "127.0.0.1"): Promise<Socket> {
  const socket = connectTcp({ host, port: world.gateway.port, allowHalfOpen: true });
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

const sent = Buffer.alloc(1_000_000, 7);

for (const name of ["counts", "counts-slowly"]) {
  test(`a client ends first and hears the whole answer of ${name}`, { skip }, async () => {
    for (const [title, way] of Object.entries(ways)) {
      const { socket, spent } = await way(name);
      socket.end(sent);
      const text = await read(socket);
      assert.equal(text.slice(200_000), `heard ${sent.length + spent}`, title);
      socket.destroy();
    }
  });
}

test("a target ends first and hears all that the client still says", { skip }, async () => {
  for (const [title, way] of Object.entries(ways)) {
    heardLate = Promise.withResolvers();
    const { socket, spent } = await way("leaves");
    assert.equal(await read(socket), "bye", title);
    if (!socket.destroyed) socket.end(sent);
    assert.equal(await heardLate.promise, sent.length + spent, title);
    socket.destroy();
  }
});
