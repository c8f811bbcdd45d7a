/** Ways to targets that end, that are encrypted, or that are narrow; and HAProxy on both sides of the gateway. */
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { once } from "node:events";
import { userInfo } from "node:os";
import { test } from "node:test";
import { selfSigned } from "#test/support/certificates";
import { Child } from "#test/support/child";
import { dialGateway, read } from "#test/support/entries";
import { freePort } from "#test/support/ports";
import { descendants } from "#test/support/processes";
import { sshCommand } from "#test/support/ssh";
import { startSshd } from "#test/support/sshd";
import { missing, stranger } from "#test/support/strangers";
import { startAcceptingHaproxy, startTargetWorld } from "#test/support/targets";
import { tempDir } from "#test/support/temp-dir";
import { bareKey, makeKey } from "#test/support/test-keys";
import { until } from "#test/support/waiting";

const skip = missing("ssh", "sshd", "nc", "socat", "tinyproxy", "haproxy", "openssl");
const account = userInfo().username;

async function startJump(stack: AsyncDisposableStack) {
  const folder = stack.use(await tempDir());
  const key = makeKey(folder.at("id"), "ed25519");
  const sshd = stack.use(await startSshd({ authorizedKeys: [key.publicLine] }));
  const via = {
    kind: "ssh",
    address: `127.0.0.1:${sshd.port}`,
    user: account,
    credentials: [{ kind: "key", file: key.path }],
    hostKey: { keys: [bareKey(sshd.hostKeys[0]?.publicLine ?? "")] },
  };
  return { folder, key, sshd, via };
}

test("a jump host whose connection dies takes its sessions with it, and the next connection is a new one", {
  skip,
}, async () => {
  await using stack = new AsyncDisposableStack();
  const { sshd, via } = await startJump(stack);
  await using world = await startTargetWorld({
    sshds: 1,
    targets: ([target]) => [{ name: "web", host: "127.0.0.1", port: target?.port, via: [via] }],
  });
  await using first = world.staying("web", "echo in; read line");
  await using second = world.staying("web", "echo in; read line");
  for (const each of [first, second]) await each.waitForStdout(/in/);
  for (const pid of await descendants(sshd.child.pid)) process.kill(pid, "SIGKILL");
  await until("the ends", () => world.gateway.events("session-ended").length === 2);
  // nc, the proxy command, learns of the end by what it writes.
  for (const each of [first, second]) each.stdin.write("x");
  for (const each of [first, second]) assert.equal((await each.outcome()).code, 255);
  await world.gateway.waitForLog("the jump host's end", ({ event }) => event === "jump-closed");
  const { stdout, stderr } = await world.ssh("web", "echo $NUMBER");
  assert.equal(stdout.toString(), "0\n", stderr);
  assert.equal(world.gateway.events("jump-connected").length, 2);
});

test("ssh -D as the way to a target", { skip }, async () => {
  await using stack = new AsyncDisposableStack();
  const { folder, key, sshd } = await startJump(stack);
  const port = await freePort("127.0.0.1");
  const known = folder.at("known_hosts");
  await writeFile(known, `[127.0.0.1]:${sshd.port} ${bareKey(sshd.hostKeys[0]?.publicLine ?? "")}\n`);
  const where = {
    host: "127.0.0.1",
    port: sshd.port,
    user: account,
    knownHosts: known,
    identity: key.path,
  };
  stack.use(new Child(stranger("ssh"), sshCommand(where, [], { flags: ["-N", "-D", `127.0.0.1:${port}`] })));
  await using world = await startTargetWorld({
    sshds: 1,
    targets: ([target]) => [
      {
        name: "web",
        // The name is resolved at the far end of ssh -D.
        host: "localhost",
        port: target?.port,
        via: [{ kind: "socks5", address: `127.0.0.1:${port}` }],
      },
    ],
  });
  await until("ssh -D", async () => (await world.ssh("web", "true")).code === 0);
  const { stdout } = await world.ssh("web", "head -c 2000000 /dev/zero | wc -c; echo $NUMBER");
  assert.equal(stdout.toString(), "2000000\n0\n");
});

test("TLS to an HTTP proxy: the proxy is checked, and passwords are not seen", { skip }, async () => {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await tempDir());
  const [plain, secure] = [await freePort("127.0.0.1"), await freePort("127.0.0.1")];
  const pair = await selfSigned(folder, "proxy", "localhost");
  const other = await selfSigned(folder, "other", "localhost");
  const whole = folder.at("whole.pem");
  const texts = await Promise.all([pair.certificate, pair.key].map(async (file) => readFile(file, "utf8")));
  await writeFile(whole, texts.join(""));
  const proxyFile = folder.at("tinyproxy.conf");
  const proxyLines = [`Port ${plain}`, "Listen 127.0.0.1", "LogLevel Connect", "BasicAuth ada secret"];
  await writeFile(proxyFile, proxyLines.join("\n"));
  stack.use(new Child(stranger("tinyproxy"), ["-d", "-c", proxyFile]));
  const file = folder.at("haproxy.cfg");
  const lines = [
    "defaults",
    "  mode tcp",
    "  timeout connect 5s",
    "  timeout client 30s",
    "  timeout server 30s",
    "listen front",
    `  bind 127.0.0.1:${secure} ssl crt ${whole}`,
    `  server proxy 127.0.0.1:${plain}`,
  ];
  await writeFile(file, `${lines.join("\n")}\n`);
  stack.use(new Child(stranger("haproxy"), ["-db", "-f", file]));
  const hop = { kind: "http", address: `localhost:${secure}`, user: "ada", password: "secret", tls: true };
  const vouched = { ...hop, certificateAuthorities: pair.certificate };
  await using world = await startTargetWorld({
    sshds: 1,
    targets: ([target]) => {
      const place = { host: "127.0.0.1", port: target?.port };
      return [
        { name: "right", ...place, via: [vouched] },
        { name: "twice", ...place, via: [vouched, { ...vouched, address: `localhost:${secure}` }] },
        { name: "nobody", ...place, via: [hop] },
        { name: "other", ...place, via: [{ ...hop, certificateAuthorities: other.certificate }] },
        { name: "misnamed", ...place, via: [{ ...vouched, address: `127.0.0.1:${secure}` }] },
      ];
    },
  });
  await until("the proxies", async () => (await world.ssh("right", "true")).code === 0);
  for (const name of ["right", "twice"]) {
    const { stdout, stderr } = await world.ssh(name, "head -c 2000000 /dev/zero | wc -c; echo $NUMBER");
    assert.equal(stdout.toString(), "2000000\n0\n", `${name}: ${stderr}`);
  }
  const reasons: readonly (readonly [string, RegExp])[] = [
    ["nobody", /HTTP proxy .*TLS: self-signed certificate/],
    ["other", /TLS: self-signed certificate/],
    ["misnamed", /TLS: .*(?:does not match|IP: 127\.0\.0\.1)/],
  ];
  for (const [name, reason] of reasons) {
    assert.notEqual((await world.ssh(name, "true")).code, 0, name);
    await world.gateway.waitForLog(
      `why not ${name}`,
      (line) => line["target"] === name && reason.test(JSON.stringify(line)),
    );
  }
});

test("HAProxy in front and HAProxy behind: the target is told of the first client", { skip }, async () => {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await tempDir());
  await using world = await startTargetWorld({
    sshds: 1,
    targets: () => [{ name: "web", host: "127.0.0.1", port: 1 }],
    config: {
      listen: [{ address: "127.0.0.1:0", entries: ["ssh", "http"], proxyProtocol: { from: ["127.0.0.2"] } }],
    },
  });
  const behind = stack.use(await startAcceptingHaproxy(world.sshds[0]?.port ?? 0));
  await world.rewrite([{ name: "web", host: "127.0.0.1", port: behind.port, proxyProtocol: "v2" }]);
  const reloaded = await world.ask("reload");
  assert.equal(reloaded.code, 0, reloaded.stderr);
  const front = await freePort("127.0.0.1");
  const file = folder.at("front.cfg");
  const lines = [
    "defaults",
    "  mode tcp",
    "  timeout connect 5s",
    "  timeout client 30s",
    "  timeout server 30s",
    "listen front",
    `  bind 127.0.0.1:${front}`,
    `  server gate 127.0.0.1:${world.gateway.port} send-proxy-v2 source 127.0.0.2`,
  ];
  await writeFile(file, `${lines.join("\n")}\n`);
  stack.use(new Child(stranger("haproxy"), ["-db", "-f", file]));
  await until("the front", async () => {
    const socket = connect({ host: "127.0.0.1", port: front, localAddress: "127.0.0.31" });
    socket.on("error", () => {});
    socket.write("CONNECT web:22 HTTP/1.1\r\n\r\n");
    const text = await read(socket, (each) => each.includes("SSH-2.0"));
    socket.destroy();
    return text.includes("SSH-2.0-OpenSSH");
  });
  await behind.child.waitForStdout(new RegExp(`from=127\\.0\\.0\\.31:\\d+ to=127\\.0\\.0\\.1:${front}\\b`));
});

test("bandwidth: who is at its limit waits for itself alone, and loses nothing", { skip }, async () => {
  await using stack = new AsyncDisposableStack();
  const bytes = 3_000_000;
  const sink = createServer({ allowHalfOpen: true }, (socket: Socket) => {
    let heard = 0;
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => (heard += chunk.length));
    socket.on("end", () => socket.end(`heard ${heard}`));
  });
  stack.defer(() => void sink.close());
  sink.listen(0, "127.0.0.1");
  await once(sink, "listening");
  const port = (sink.address() as { port: number }).port;
  const place = { host: "127.0.0.1", port };
  await using world = await startTargetWorld({
    sshds: 0,
    targets: () => [
      { name: "slow", ...place, limits: { perClient: { bytesPerSecond: "64KiB" } } },
      { name: "narrow", ...place, limits: { bytesPerSecond: "2MiB" } },
      { name: "free", ...place },
    ],
  });
  const send = async (
    name: string,
    from: string,
    size: number,
  ): Promise<{ answer: Promise<string>; socket: Socket }> => {
    const socket = await dialGateway(world.gateway, from);
    socket.write(`CONNECT ${name}:22 HTTP/1.1\r\n\r\n`);
    assert.match(await read(socket, (text) => text.includes("\r\n\r\n")), /^HTTP\/1\.1 200 /);
    const answer = read(socket);
    socket.end(Buffer.alloc(size, 5));
    return { answer, socket };
  };
  const slow = await send("slow", "127.0.0.41", bytes);
  const state = { done: false };
  void slow.answer.then(() => (state.done = true));
  // Ten times as much of a target without limits, and another client of the same one, are there first.
  assert.equal(await (await send("free", "127.0.0.41", 10 * bytes)).answer, `heard ${10 * bytes}`);
  assert.equal(await (await send("slow", "127.0.0.42", 30_000)).answer, "heard 30000");
  assert.equal(state.done, false);
  slow.socket.destroy();
  const both = [await send("narrow", "127.0.0.41", bytes), await send("narrow", "127.0.0.42", bytes)];
  for (const { answer } of both) assert.equal(await answer, `heard ${bytes}`);
});
