/** SIGTERM: no new connections, live sessions run on to a limit and are told; a second SIGTERM ends at once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "node:net";
import type { Child } from "#test/support/child";
import type { Gateway } from "#test/support/gateway";
import { spawnSsh } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { until } from "#test/support/waiting";
import { startWorld, type World } from "#test/support/world";

const skip = missing("ssh", "sshd");

async function liveSession(world: World): Promise<Child> {
  const ssh = spawnSsh(world.gateway.target(world.user.name, world.identity.path), ["cat"], {
    stdin: "open",
  });
  await talk(ssh, "hello\n");
  return ssh;
}

async function talk(ssh: Child, line: string): Promise<void> {
  ssh.stdin.write(line);
  await ssh.waitFor("an echo", () => ssh.stdout.includes(line));
}

function refusesConnections({ port }: Gateway): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port }, () => {
      socket.destroy();
      resolve(false);
    });
    socket.once("error", () => resolve(true));
  });
}

test("without sessions it ends at once, with exit code 0", { skip }, async () => {
  await using world = await startWorld({});
  assert.equal((await world.gateway.stop()).code, 0);
});

for (const workers of [1, 2]) {
  test(`a live session runs on to its own end, then the gateway ends: ${workers} worker(s)`, {
    skip,
  }, async () => {
    await using world = await startWorld({ config: { workers } });
    await using ssh = await liveSession(world);
    world.gateway.signal("SIGTERM");
    await until("a closed door", () => refusesConnections(world.gateway));
    await talk(ssh, "still here\n");
    assert.ok(world.gateway.child.running);
    ssh.stdin.end();
    assert.equal((await ssh.outcome()).code, 0);
    assert.equal((await world.gateway.child.outcome()).code, 0);
  });

  test(`at the limit live sessions are ended, and told: ${workers} worker(s)`, { skip }, async () => {
    await using world = await startWorld({ config: { workers, drain: { limitSeconds: 1 } } });
    await using ssh = await liveSession(world);
    world.gateway.signal("SIGTERM");
    const { code, stderr } = await ssh.outcome();
    assert.equal(code, 255);
    assert.match(stderr, /shutting down/);
    assert.equal((await world.gateway.child.outcome()).code, 0);
  });

  test(`a second SIGTERM ends at once, and tells live sessions: ${workers} worker(s)`, { skip }, async () => {
    await using world = await startWorld({ config: { workers } });
    await using ssh = await liveSession(world);
    world.gateway.signal("SIGTERM");
    await until("a closed door", () => refusesConnections(world.gateway));
    world.gateway.signal("SIGTERM");
    const { code, stderr } = await ssh.outcome();
    assert.equal(code, 255);
    assert.match(stderr, /shutting down/);
    await world.gateway.child.outcome();
  });
}

test("live sessions are told that the gateway drains, as far as the client shows it (ssh -v does)", {
  skip,
}, async () => {
  await using world = await startWorld({});
  const target = world.gateway.target(world.user.name, world.identity.path);
  await using ssh = spawnSsh(target, ["cat"], { stdin: "open", flags: ["-v"] });
  await talk(ssh, "hello\n");
  world.gateway.signal("SIGTERM");
  await ssh.waitForStderr(/Remote: .*gateway.*(shut|restart|end|stop)/i);
  await talk(ssh, "still here\n");
});
