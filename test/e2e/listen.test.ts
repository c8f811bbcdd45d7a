/** Where the gateway listens: IPv4, IPv6, host names, UNIX sockets, a socket passed by systemd. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { stat, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { portOf, startGateway, type Gateway } from "#test/support/gateway";
import { freePort } from "#test/support/ports";
import { runSsh, type SshTarget } from "#test/support/ssh";
import { debianPython, missing, stranger } from "#test/support/strangers";
import { until } from "#test/support/waiting";
import { bareKey } from "#test/support/test-keys";
import { keyRule, startParts } from "#test/support/world";

const skip = missing("ssh", "sshd");

/** A known_hosts file that knows the gateway under any name. */
async function anywhere(gateway: Gateway): Promise<string> {
  const file = gateway.folder.at("known_anywhere");
  await writeFile(file, `* ${bareKey(gateway.hostKeys[0]?.publicLine ?? "")}\n`);
  return file;
}

async function enters(target: SshTarget, options: readonly string[] = []): Promise<void> {
  const { code, stdout, stderr } = await runSsh(target, ["echo in"], { options });
  assert.equal(code, 0, stderr);
  assert.equal(stdout.toString(), "in\n");
}

test("several addresses at once: IPv4, IPv6 and a UNIX socket", { skip: skip || missing("nc") }, async () => {
  await using held = new AsyncDisposableStack();
  const parts = held.use(await startParts({}));
  const path = parts.keys.folder.at("ssh.sock");
  const gateway = held.use(
    await startGateway({
      config: { listen: ["127.0.0.1:0", "[::1]:0", `unix:${path}`] },
      rules: [keyRule(parts)],
    }),
  );
  const lines = await until("three listeners", () => {
    const found = gateway.events("listening");
    return found.length >= 3 && found;
  });
  const knownHosts = await anywhere(gateway);
  const target = { ...gateway.target(parts.user.name, parts.identity.path), knownHosts };
  const v4 = lines.find((line) => JSON.stringify(line).includes("127.0.0.1"));
  const v6 = lines.find((line) => JSON.stringify(line).includes("::1"));
  assert.ok(v4 !== undefined && v6 !== undefined, JSON.stringify(lines));
  await enters({ ...target, port: portOf(v4) });
  await enters({ ...target, host: "::1", port: portOf(v6) });
  await enters(target, [`ProxyCommand=${stranger("nc")} -U ${path}`]);
  const mode = (await stat(path)).mode & 0o777;
  assert.equal(mode & 0o007, 0, "others may not connect");
});

/** More than Node asks for by itself (511), less than any kernel of these years allows. */
const crowd = 2_000;

const kept = Number(readFileSync("/proc/sys/net/core/somaxconn", "utf8"));
const small = kept < crowd && `this kernel keeps ${kept} connections for a listener`;

test("thousands that come while the gateway is busy are kept by the kernel, not turned away", {
  skip: skip || small,
}, async () => {
  await using held = new AsyncDisposableStack();
  const parts = held.use(await startParts({}));
  const all = 2 * crowd;
  const limits = {
    startups: { start: all, ratePercent: 1, full: all + 1 },
    maxStartupsPerSource: all,
    maxConnections: all,
    maxConnectionsPerSource: all,
  };
  const gateway = held.use(await startGateway({ config: { limits }, rules: [keyRule(parts)] }));
  const { pid } = gateway.child;
  const sockets: Socket[] = [];
  held.defer(() => {
    for (const socket of sockets) socket.destroy();
  });
  process.kill(pid, "SIGSTOP");
  try {
    for (let n = 0; n < crowd; n++) sockets.push(connect(gateway.port, "127.0.0.1"));
    await Promise.all(sockets.map((socket) => once(socket, "connect")));
  } finally {
    process.kill(pid, "SIGCONT");
  }
  for (const socket of sockets) socket.destroy();
  await enters(gateway.target(parts.user.name, parts.identity.path));
});

test("a host name: every address of it", { skip }, async () => {
  await using held = new AsyncDisposableStack();
  const parts = held.use(await startParts({}));
  const gateway = held.use(
    await startGateway({ config: { listen: ["localhost:0"] }, rules: [keyRule(parts)] }),
  );
  const knownHosts = await anywhere(gateway);
  await enters({ ...gateway.target(parts.user.name, parts.identity.path), host: "localhost", knownHosts });
});

test("a UNIX socket that a dead process left is replaced, and removed at the end", {
  skip: skip || missing("nc"),
}, async () => {
  await using held = new AsyncDisposableStack();
  const parts = held.use(await startParts({}));
  const path = parts.keys.folder.at("ssh.sock");
  const config = { listen: ["127.0.0.1:0", `unix:${path}`] };
  const first = await startGateway({ config, rules: [keyRule(parts)] });
  first.signal("SIGKILL");
  await first.child.ended;
  await first[Symbol.asyncDispose]();
  const second = held.use(await startGateway({ config, rules: [keyRule(parts)] }));
  const target = {
    ...second.target(parts.user.name, parts.identity.path),
    knownHosts: await anywhere(second),
  };
  await enters(target, [`ProxyCommand=${stranger("nc")} -U ${path}`]);
  await second.stop();
  await assert.rejects(stat(path), /ENOENT/);
});

test("an address that is taken: it does not start, and says which", { skip }, async () => {
  await using held = new AsyncDisposableStack();
  const parts = held.use(await startParts({}));
  const taken = `127.0.0.1:${parts.sshd.port}`;
  const gateway = held.use(
    await startGateway({ config: { listen: [taken] }, rules: [keyRule(parts)], unready: true }),
  );
  const { code, stderr } = await gateway.child.outcome();
  assert.notEqual(code, 0);
  assert.ok(stderr.includes(taken), stderr);
});

for (const workers of [1, 2]) {
  test(`a socket that systemd passed: ${workers} worker(s)`, {
    skip: skip || missing("python3"),
  }, async () => {
    await using held = new AsyncDisposableStack();
    const parts = held.use(await startParts({}));
    const port = await freePort();
    const launcher = [
      debianPython,
      new URL("../support/python/pass_socket.py", import.meta.url).pathname,
      String(port),
    ];
    const gateway = held.use(
      await startGateway({ config: { listen: ["systemd"], workers }, rules: [keyRule(parts)], launcher }),
    );
    const target = {
      ...gateway.target(parts.user.name, parts.identity.path),
      knownHosts: await anywhere(gateway),
    };
    await enters({ ...target, port });
  });
}

test("systemd passed nothing: it does not start, and says so", { skip }, async () => {
  await using held = new AsyncDisposableStack();
  const parts = held.use(await startParts({}));
  const gateway = held.use(
    await startGateway({ config: { listen: ["systemd"] }, rules: [keyRule(parts)], unready: true }),
  );
  const { code, stderr } = await gateway.child.outcome();
  assert.notEqual(code, 0);
  assert.match(stderr, /systemd|socket/);
});
