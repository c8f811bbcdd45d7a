/** Targets that are reached over jump hosts, proxies and commands, one behind the other. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import { Child } from "#test/support/child";
import { dialGateway } from "#test/support/entries";
import { startGateway } from "#test/support/gateway";
import { freePort } from "#test/support/ports";
import { descendants } from "#test/support/processes";
import { runSsh } from "#test/support/ssh";
import { startSshd } from "#test/support/sshd";
import { missing, stranger } from "#test/support/strangers";
import { startTargetWorld } from "#test/support/targets";
import { tempDir } from "#test/support/temp-dir";
import { bareKey, makeKey } from "#test/support/test-keys";
import { until } from "#test/support/waiting";

const skip = missing("ssh", "sshd", "nc", "tinyproxy", "microsocks", "haproxy");

/** A SOCKS proxy that wants a login, an HTTP proxy that does, and an sshd to jump over. */
async function startHops(stack: AsyncDisposableStack) {
  const folder = stack.use(await tempDir());
  const socksPort = await freePort("127.0.0.1");
  const socks = stack.use(
    new Child(stranger("microsocks"), [
      "-i",
      "127.0.0.1",
      "-p",
      String(socksPort),
      "-u",
      "ada",
      "-P",
      "secret",
    ]),
  );
  const httpPort = await freePort("127.0.0.1");
  const file = folder.at("tinyproxy.conf");
  await writeFile(
    file,
    [
      `Port ${httpPort}`,
      "Listen 127.0.0.1",
      "Timeout 600",
      "LogLevel Connect",
      "MaxClients 20",
      "BasicAuth ada secret",
      "Allow 127.0.0.1",
    ].join("\n"),
  );
  const http = stack.use(new Child(stranger("tinyproxy"), ["-d", "-c", file]));
  const key = makeKey(folder.at("jump_id"), "ed25519");
  const jump = stack.use(await startSshd({ authorizedKeys: [key.publicLine] }));
  const login = { user: "ada", password: "secret" };
  const user = process.env["USER"] ?? "root";
  return {
    folder,
    jump,
    processes: [socks, http],
    socks: { kind: "socks5", address: `127.0.0.1:${socksPort}`, ...login },
    http: { kind: "http", address: `127.0.0.1:${httpPort}`, ...login },
    ssh: {
      kind: "ssh",
      address: `127.0.0.1:${jump.port}`,
      user: isRootUser() ? "root" : user,
      credentials: [{ kind: "key", file: key.path }],
      hostKey: { keys: [bareKey(jump.hostKeys[0]?.publicLine ?? "")] },
      idleSeconds: 0.5,
    },
    nc: { kind: "command", command: [stranger("nc"), "{host}", "{port}"] },
  };
}

function isRootUser(): boolean {
  return process.getuid?.() === 0;
}

test("each kind of hop, and chains of them", { skip }, async () => {
  await using stack = new AsyncDisposableStack();
  const hops = await startHops(stack);
  await using world = await startTargetWorld({
    sshds: 1,
    targets: ([sshd]) => {
      const place = { host: "127.0.0.1", port: sshd?.port };
      const { socks, http, ssh, nc } = hops;
      return [
        { name: "socks", ...place, via: [socks] },
        { name: "http", ...place, via: [http] },
        { name: "ssh", ...place, via: [ssh] },
        { name: "command", ...place, via: [nc] },
        { name: "chain", ...place, via: [nc, http, ssh, socks] },
        { name: "dead", host: "127.0.0.1", port: 1, via: [ssh] },
        { name: "failover", addresses: ["127.0.0.1:1", `127.0.0.1:${sshd?.port}`], via: [socks] },
        { name: "wronglogin", ...place, via: [{ ...socks, password: "other" }] },
        {
          name: "wrongkey",
          ...place,
          via: [
            { ...ssh, hostKey: { fingerprints: ["SHA256:uNiVztksCsDhcc0u9e8BrNwzT1XtI7XwBhHDBpa0ZtY"] } },
          ],
        },
      ];
    },
  });
  // The proxies may still be starting.
  for (const name of ["socks", "http"])
    await until(name, async () => (await world.ssh(name, "true")).code === 0);
  for (const name of ["socks", "http", "ssh", "command", "chain", "failover"]) {
    const { stdout, stderr } = await world.ssh(name, "head -c 3000000 /dev/zero | wc -c; echo $NUMBER");
    assert.equal(stdout.toString(), "3000000\n0\n", `${name}: ${stderr}`);
  }
  const reasons: readonly (readonly [string, RegExp])[] = [
    ["dead", /jump host .*127\.0\.0\.1:1.*(?:refused|open failed|Connect)/i],
    ["wronglogin", /SOCKS proxy .*it refused the login/],
    ["wrongkey", /host key/],
  ];
  for (const [name, reason] of reasons) {
    assert.notEqual((await world.ssh(name, "true")).code, 0);
    await world.gateway.waitForLog(`why not ${name}`, (line) => reason.test(JSON.stringify(line)));
  }
});

test("a connection to a jump host is shared, and closed when nobody uses it", { skip }, async () => {
  await using stack = new AsyncDisposableStack();
  const { ssh, jump } = await startHops(stack);
  await using world = await startTargetWorld({
    sshds: 1,
    targets: ([sshd]) => {
      const place = { host: "127.0.0.1", port: sshd?.port };
      return [
        { name: "one", ...place, via: [ssh] },
        { name: "two", ...place, via: [ssh] },
      ];
    },
  });
  await using first = world.staying("one", "echo in; read line");
  await using second = world.staying("two", "echo in; read line");
  await first.waitForStdout(/in/);
  await second.waitForStdout(/in/);
  assert.equal((await world.ssh("two", "true")).code, 0);
  assert.equal(jump.count(/Accepted publickey/), 1);
  for (const each of [first, second]) each.stdin.end("\n");
  await world.gateway.waitForLog("the end", ({ event }) => event === "jump-closed");
  assert.equal((await world.ssh("one", "true")).code, 0);
  assert.equal(jump.count(/Accepted publickey/), 2);
  // A jump host that dies takes its sessions with it, and the next makes a connection of its own.
});

test("a command is ended with its session", { skip }, async () => {
  await using world = await startTargetWorld({
    sshds: 1,
    targets: ([sshd]) => {
      const nc = { kind: "command", command: [stranger("nc"), "{host}", "{port}"] };
      return [{ name: "web", host: "127.0.0.1", port: sshd?.port, via: [nc] }];
    },
  });
  const commands = async (): Promise<number> => (await descendants(world.gateway.child.pid)).length;
  // By hand: nc as a client's proxy command holds on to a connection whose ssh is gone.
  const client = await dialGateway(world.gateway);
  client.resume();
  client.write("CONNECT web:22 HTTP/1.1\r\nHost: web:22\r\n\r\n");
  await world.gateway.waitForLog("the session", ({ event }) => event === "session-opened");
  assert.equal(await commands(), 1);
  client.resetAndDestroy();
  await until("the command's end", async () => (await commands()) === 0);
});

test("a rule that opens sessions here may lead to a target, with its pool, way and PROXY header", {
  skip,
}, async () => {
  await using stack = new AsyncDisposableStack();
  const { socks, folder } = await startHops(stack);
  const identity = makeKey(folder.at("id"), "ed25519");
  const gatewayKey = makeKey(folder.at("gate"), "ed25519");
  const sshd = stack.use(await startSshd({ authorizedKeys: [gatewayKey.publicLine] }));
  const user = isRootUser() ? "root" : (process.env["USER"] ?? "root");
  await using gateway = await startGateway({
    config: {
      targets: [
        {
          name: "web",
          addresses: ["127.0.0.1:1", `127.0.0.1:${sshd.port}`],
          via: [socks],
          limits: { maxConnections: 1 },
        },
      ],
    },
    rules: [
      {
        name: "in",
        match: { userPattern: ".*" },
        login: [{ kind: "publickey", keys: [identity.publicLine] }],
        upstream: {
          target: "web",
          user,
          credentials: [{ kind: "key", file: gatewayKey.path }],
          hostKey: { keys: [bareKey(sshd.hostKeys[0]?.publicLine ?? "")] },
        },
      },
    ],
  });
  const where = gateway.target("ada", identity.path);
  await until("the proxy", async () => (await runSsh(where, ["echo hello"])).stdout.toString() === "hello\n");
  await gateway.waitForLog("the dead address", ({ event }) => event === "upstream-address-failed");
  // Its place comes back each time.
  for (let at = 0; at < 3; at++)
    await until("a place", async () => (await runSsh(where, ["true"])).code === 0);
});
