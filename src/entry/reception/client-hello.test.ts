import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { connect, type ConnectionOptions } from "node:tls";
import { type ClientHello, decodeClientHello } from "./client-hello.ts";

const code = { code: "PEER_CLIENT_HELLO" };

/** The hello of Node's own client. */
async function helloOf(options: ConnectionOptions): Promise<Buffer> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const client = connect({ ...options, host: "127.0.0.1", port });
  client.on("error", () => {});
  const [socket] = (await once(server, "connection")) as [Socket];
  const [hello] = (await once(socket, "data")) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return hello;
}

/** Whole, and cut off at every byte; what comes behind it does not matter. */
function decode(hello: Buffer): ClientHello {
  const found = decodeClientHello(hello);
  assert.ok(found !== undefined);
  for (let length = 0; length < hello.length; length++)
    assert.equal(decodeClientHello(hello.subarray(0, length)), undefined, `${length} bytes`);
  assert.deepEqual(decodeClientHello(Buffer.concat([hello, Buffer.from([1, 2, 3])])), found);
  return found;
}

/** The same message in records of so many bytes. */
function fragmented(hello: Buffer, size: number): Buffer {
  const message = hello.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    const part = message.subarray(at, at + size);
    records.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part);
  }
  return Buffer.concat(records);
}

test("the name and the protocols of a real client", async () => {
  const hello = await helloOf({ servername: "web1.gate.example", ALPNProtocols: ["ssh", "http/1.1"] });
  const expected = { serverName: "web1.gate.example", alpn: ["ssh", "http/1.1"] };
  assert.deepEqual(decode(hello), expected);
  for (const size of [150, 500]) assert.deepEqual(decode(fragmented(hello, size)), expected);
  // The header itself in pieces.
  const message = hello.subarray(5);
  const split = [message.subarray(0, 1), message.subarray(1, 3), message.subarray(3)].map((part) =>
    fragmented(Buffer.concat([hello.subarray(0, 5), part]), 20_000),
  );
  assert.deepEqual(decode(Buffer.concat(split)), expected);
  assert.throws(() => decodeClientHello(fragmented(hello, 1)), code);
  assert.deepEqual(decode(await helloOf({ servername: "" })), { alpn: [] });
  assert.equal(decode(await helloOf({ servername: "a", maxVersion: "TLSv1.2" })).serverName, "a");
});

test("what is no hello, or lies about its lengths", async () => {
  const hello = await helloOf({ servername: "web1" });
  const changed = (at: number, byte: number): Buffer => {
    const copy = Buffer.from(hello);
    copy[at] = byte;
    return copy;
  };
  for (const bytes of [
    changed(0, 23),
    changed(5, 2),
    changed(6, 255),
    Buffer.from([22, 3, 1, 0, 0]),
    // The session's length leads beyond the end of all.
    Buffer.from([22, 3, 1, 0, 39, 1, 0, 0, 35, 3, 3, ...Array<number>(32).fill(0), 255]),
  ])
    assert.throws(() => decodeClientHello(bytes), code);
});
