/** `postern forward --status` on a terminal, and what systemd is told. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { Child } from "#test/support/child";
import { startClientLab } from "#test/support/client-lab";
import { program } from "#test/support/gateway";
import { freePort } from "#test/support/ports";
import { runOnPty } from "#test/support/pty";
import { missing, stranger } from "#test/support/strangers";
import { until } from "#test/support/waiting";

const skip = missing("ssh", "sshd");

test("--status paints what holds and what is open, and gives the screen back", { skip }, async () => {
  await using lab = await startClientLab();
  const port = await freePort();
  // Whatever is connected is kept open, so that the table has a row to show.
  const server = createServer((socket) => socket.on("error", () => {}));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port: far } = server.address() as AddressInfo;
  const forward = [program, "forward", ...lab.options, "--status", "-L", `${port}:127.0.0.1:${far}`];
  const shown = runOnPty(
    {
      command: [process.execPath, ...forward, lab.destination],
      rows: 12,
      columns: 100,
      steps: [
        { expect: `Forwarding 127\\.0\\.0\\.1:${port} to` },
        { expect: "connected; 0 open, 0 in all" },
        { expect: "connected; 1 open, 1 in all" },
        { expect: `\\[1\\] 127\\.0\\.0\\.1:\\d+ -> 127\\.0\\.0\\.1:${far}` },
        { resize: [8, 40] },
        { expect: "connected; 1 open, 1 in all, 0 refused;" },
        { send: "\u0003" },
      ],
    },
    { env: { HOME: lab.folder.path, SSH_AUTH_SOCK: "" } },
  );
  const client = await openWhenListening(port);
  await new Promise<void>((resolve) => server.once("connection", resolve));
  const { code, stdout, stderr } = await shown;
  client.destroy();
  server.close();
  assert.equal(code, 0, `${stderr}\n${stdout.toString()}`);
  assert.ok(stdout.toString().includes("\u001b[?1049l"), "the screen of before comes back");
});

async function openWhenListening(port: number): Promise<Socket> {
  return await until("the local port", async () => {
    const socket = connect(port, "127.0.0.1");
    return await new Promise<Socket | false>((resolve) => {
      socket.once("connect", () => resolve(socket));
      socket.once("error", () => resolve(false));
    });
  });
}

test("systemd is told when all forwardings hold", { skip: skip || missing("socat") }, async () => {
  await using lab = await startClientLab();
  const socket = lab.folder.at("notify");
  // Node cannot receive datagrams of UNIX sockets.
  await using listener = new Child(stranger("socat"), ["-u", `UNIX-RECV:${socket}`, "STDOUT"]);
  await until("the socket", () => existsSync(socket));
  await using child = lab.forward(["-L", `${await freePort()}:127.0.0.1:1`], {
    env: { NOTIFY_SOCKET: socket },
  });
  await listener.waitForStdout(/READY=1/);
  child.kill("SIGTERM");
  await child.outcome();
});
