/** `postern forward`: each kind of forwarding against real servers, and what people are told. */
import assert from "node:assert/strict";
import { createServer, type AddressInfo, type Server } from "node:net";
import { test } from "node:test";
import { run } from "#test/support/child";
import { startClientLab } from "#test/support/client-lab";
import { freePort } from "#test/support/ports";
import { missing, stranger } from "#test/support/strangers";

const skip = missing("ssh", "sshd", "curl");

test("-L, -R and -D at once: bytes pass, each connection is told, Ctrl-C ends it with 0", {
  skip,
}, async () => {
  await using lab = await startClientLab();
  await using web = await startWeb("hello from the web");
  const dynamic = await freePort();
  await using child = lab.forward([
    "-L",
    `0:127.0.0.1:${web.port}`,
    "-D",
    String(dynamic),
    "-R",
    `0:127.0.0.1:${web.port}`,
  ]);
  const [, local] = await child.waitForStdout(
    /^Forwarding 127\.0\.0\.1:(\d+) to 127\.0\.0\.1:\d+ through \S+@127\.0\.0\.1:\d+$/m,
  );
  const [, remote] = await child.waitForStdout(
    /^Forwarding localhost:(\d+) there to 127\.0\.0\.1:\d+ here, through /m,
  );
  for (const [what, args] of [
    ["-L", [`http://127.0.0.1:${local}/`]],
    ["-R", [`http://127.0.0.1:${remote}/`]],
    ["SOCKS5, name", ["--socks5-hostname", `127.0.0.1:${dynamic}`, `http://localhost:${web.port}/`]],
    ["SOCKS5, address", ["--socks5", `127.0.0.1:${dynamic}`, `http://127.0.0.1:${web.port}/`]],
    ["SOCKS4a", ["--socks4a", `127.0.0.1:${dynamic}`, `http://localhost:${web.port}/`]],
    ["SOCKS4", ["--socks4", `127.0.0.1:${dynamic}`, `http://127.0.0.1:${web.port}/`]],
  ] as const) {
    const { stdout, stderr } = await run(stranger("curl"), ["-sS", "-m", "20", ...args]);
    assert.equal(stdout.toString(), "hello from the web", `${what}: ${stderr}`);
  }
  await child.waitForStdout(/^\[1\] opened from 127\.0\.0\.1:\d+ to 127\.0\.0\.1:\d+$/m);
  await child.waitForStdout(/^\[6\] closed from .*: \d+B out, \d+B in, [\d.]+ s$/m);
  child.kill("SIGINT");
  const { code, stderr } = await child.outcome();
  assert.equal(code, 0, stderr);
});

interface Web extends AsyncDisposable {
  readonly port: number;
}

/** A web server of one page. */
async function startWeb(page: string): Promise<Web> {
  const server: Server = createServer((socket) => {
    socket.once("data", () => {
      socket.end(`HTTP/1.0 200 OK\r\nContent-Length: ${page.length}\r\n\r\n${page}`);
    });
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
