import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parseEndpoint, parseHostPort, silentLog } from "#base";
import type { Arrival, EntryPoint, EntryPorts } from "#contract";
import { ssh } from "./ssh.ts";

const ports: EntryPorts = { log: silentLog, passedSockets: [] };

async function open(listen: string, given: EntryPorts = ports): Promise<EntryPoint> {
  return await ssh.create({ kind: "ssh", listen: parseEndpoint(listen) }, given);
}

async function arrivalAt(
  entry: EntryPoint,
  target: { host: string; port: number } | { path: string },
): Promise<Arrival> {
  const arrived = new Promise<Arrival>((resolve) => entry.start(resolve));
  const client = connect(target);
  client.on("error", () => {});
  const arrival = await arrived;
  client.destroy();
  arrival.stream.on("error", () => {});
  arrival.stream.destroy();
  return arrival;
}

test("TCP on IPv4 and IPv6, with the port that was bound", async () => {
  for (const listen of ["127.0.0.1:0", "[::1]:0"]) {
    await using entry = await open(listen);
    assert.equal(entry.addresses.length, 1);
    const target = parseHostPort(entry.addresses[0] ?? "");
    assert.notEqual(target.port, 0);
    const arrival = await arrivalAt(entry, target);
    assert.equal(arrival.from.ip, target.host);
    assert.equal(arrival.via, listen);
  }
});

test("an IPv4 client of an IPv6 listener is known by its IPv4 address", async () => {
  await using entry = await open("[::]:0");
  const { port } = parseHostPort(entry.addresses[0] ?? "");
  const arrival = await arrivalAt(entry, { host: "127.0.0.1", port });
  assert.equal(arrival.from.ip, "127.0.0.1");
});

test("a name stands for all its addresses", async () => {
  await using entry = await open("localhost:0");
  assert.ok(entry.addresses.length >= 1);
  for (const address of entry.addresses) assert.match(address, /^(127\.0\.0\.1|\[::1\]):[0-9]+$/);
});

test("what comes before the start is not lost, and nothing of it has been read", async () => {
  await using entry = await open("127.0.0.1:0");
  const client = connect(parseHostPort(entry.addresses[0] ?? ""));
  client.write("SSH-2.0-early\r\n");
  await once(client, "connect");
  const { stream } = await new Promise<Arrival>((resolve) => entry.start(resolve));
  assert.ok(stream instanceof Socket);
  assert.equal(stream.bytesRead, 0);
  assert.equal(String((await once(stream.resume(), "data"))[0]), "SSH-2.0-early\r\n");
  client.destroy();
  stream.destroy();
});

test("a UNIX socket is open to owner and group; a stale one is replaced, a live one and a plain file are not", async () => {
  const directory = mkdtempSync(join(tmpdir(), "postern-entry-"));
  const path = join(directory, "ssh.sock");
  try {
    {
      await using entry = await open(`unix:${path}`);
      assert.equal(statSync(path).mode & 0o777, 0o660);
      assert.deepEqual(entry.addresses, [`unix:${path}`]);
      assert.deepEqual((await arrivalAt(entry, { path })).from, { text: "unix" });
      await assert.rejects(open(`unix:${path}`), { code: "OPERATOR_LISTEN_FAILED" });
    }
    // A process that is killed leaves its socket file behind.
    const script = `require("node:net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
    await once(spawn(process.execPath, ["-e", script]), "exit");
    assert.ok(existsSync(path));
    {
      await using entry = await open(`unix:${path}`);
      await arrivalAt(entry, { path });
    }
    rmSync(path, { force: true });
    writeFileSync(path, "not a socket");
    await assert.rejects(open(`unix:${path}`), { code: "OPERATOR_LISTEN_FAILED" });
    assert.ok(statSync(path).isFile());
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("a socket that was passed is listened on by name", async () => {
  const holder = createServer();
  holder.listen(0, "127.0.0.1");
  await once(holder, "listening");
  const { port } = holder.address() as AddressInfo;
  // As systemd does it: a bound descriptor, number 3 in the child. The handle's number is not public, but it is what is passed.
  const { fd } = (holder as unknown as { _handle: { fd: number } })._handle;
  const script = `
    import { parseEndpoint, silentLog } from "#base";
    import { ssh } from ${JSON.stringify(new URL("./ssh.ts", import.meta.url).href)};
    const ports = { log: silentLog, passedSockets: [{ fd: 3, name: "front" }] };
    const open = (listen) => ssh.create({ kind: "ssh", listen: parseEndpoint(listen) }, ports);
    await open("systemd:back").catch((error) => console.log(error.code));
    const entry = await open("systemd:front");
    console.log(entry.addresses.join());
    process.exit();`;
  const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", script], {
    stdio: ["ignore", "pipe", "inherit", fd],
    cwd: new URL(".", import.meta.url).pathname,
  });
  const [output] = await Promise.all([child.stdout?.toArray(), once(child, "exit")]);
  holder.close();
  assert.equal(Buffer.concat(output ?? []).toString(), `OPERATOR_SOCKET_NOT_PASSED\n127.0.0.1:${port}\n`);
});

test("an address that is taken is the operator's error, and says which", async () => {
  await using entry = await open("127.0.0.1:0");
  const taken = entry.addresses[0] ?? "";
  await assert.rejects(open(taken), (error: Error & { code?: string }) => {
    return error.code === "OPERATOR_LISTEN_FAILED" && error.message.includes(taken);
  });
});
