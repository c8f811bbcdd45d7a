import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type AddressInfo, createServer, type Server } from "node:net";
import { test } from "node:test";
import { silentLog } from "#base";
import { tcp } from "./tcp.ts";

async function listening(): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => socket.end("hello"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, port: (server.address() as AddressInfo).port };
}

test("a stream comes connected, with nothing lost before it is read", async () => {
  const { server, port } = await listening();
  await using dialer = await tcp.create({ kind: "tcp" }, { log: silentLog });
  const stream = await dialer.dial(
    { host: "127.0.0.1", port },
    { timeoutMs: 5000, signal: AbortSignal.timeout(9000) },
  );
  const chunks = await stream.toArray();
  assert.equal(Buffer.concat(chunks).toString(), "hello");
  server.close();
});

/** Seconds until the kernel asks the far end of a connection to that port; undefined: it does not. */
function probeSeconds(port: number): number | undefined {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  const [, timer, ticks = ""] =
    new RegExp(`^ *\\d+: \\S+ \\S+:${hex} 01 \\S+ (\\d\\d):(\\S+)`, "m").exec(
      readFileSync("/proc/net/tcp", "utf8"),
    ) ?? [];
  return timer === "02" ? Number.parseInt(ticks, 16) / 100 : undefined;
}

test("who says that the kernel asks has it ask after half a minute", {
  skip: process.platform !== "linux",
}, async () => {
  const server = createServer(() => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await using dialer = await tcp.create({ kind: "tcp" }, { log: silentLog });
  const options = { timeoutMs: 5000, signal: AbortSignal.timeout(9000) };
  const stream = await dialer.dial({ host: "127.0.0.1", port }, options);
  const seconds = probeSeconds(port) ?? Number.POSITIVE_INFINITY;
  assert.equal(dialer.probing === true, seconds <= 30, `${seconds} s`);
  stream.destroy();
  server.close();
});

test("a port where nobody listens is the upstream's failure", async () => {
  const { server, port } = await listening();
  server.close();
  await once(server, "close");
  await using dialer = await tcp.create({ kind: "tcp" }, { log: silentLog });
  const options = { timeoutMs: 5000, signal: AbortSignal.timeout(9000) };
  await assert.rejects(dialer.dial({ host: "127.0.0.1", port }, options), { code: "UPSTREAM_UNREACHABLE" });
  await assert.rejects(dialer.dial({ host: "localhost", port }, options), { code: "UPSTREAM_UNREACHABLE" });
  await assert.rejects(dialer.dial({ host: "no-such-host.invalid", port }, options), {
    code: "UPSTREAM_UNREACHABLE",
  });
});

test("who gives up waits no longer", async () => {
  const { server, port } = await listening();
  await using dialer = await tcp.create({ kind: "tcp" }, { log: silentLog });
  const options = { timeoutMs: 5000, signal: AbortSignal.abort() };
  await assert.rejects(dialer.dial({ host: "127.0.0.1", port }, options), { code: "UPSTREAM_UNREACHABLE" });
  const controller = new AbortController();
  const dialling = dialer.dial({ host: "127.0.0.1", port }, { timeoutMs: 5000, signal: controller.signal });
  controller.abort();
  await assert.rejects(dialling, { code: "UPSTREAM_UNREACHABLE" });
  server.close();
});
