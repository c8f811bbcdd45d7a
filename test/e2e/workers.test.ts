/** Several processes, one listening port: sessions are shared out, and the death of one worker ends its own sessions alone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { descendants, isAlive } from "#test/support/processes";
import type { Child } from "#test/support/child";
import { runSsh, spawnSsh } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { until } from "#test/support/waiting";
import { keyRule, startWorld, type World } from "#test/support/world";

const skip = missing("ssh", "sshd");

/** Sessions, opened until two workers have at least one each. */
async function openOnBoth(world: World, held: AsyncDisposableStack): Promise<Map<string, Child[]>> {
  const target = world.gateway.target(world.user.name, world.identity.path);
  const byWorker = new Map<string, Child[]>();
  for (let count = 1; count <= 40 && byWorker.size < 2; count += 1) {
    const ssh = held.use(spawnSsh(target, ["cat"], { stdin: "open" }));
    ssh.stdin.write("hello\n");
    await ssh.waitForStdout(/hello/);
    const opened = await until("its line in the log", () => {
      const lines = world.gateway.events("session-opened");
      return lines.length >= count && lines.at(-1);
    });
    const worker = String(opened["worker"]);
    byWorker.set(worker, [...(byWorker.get(worker) ?? []), ssh]);
  }
  return byWorker;
}

test("two workers share the sessions of one port", { skip }, async () => {
  await using world = await startWorld({ config: { workers: 2 } });
  await using held = new AsyncDisposableStack();
  const byWorker = await openOnBoth(world, held);
  assert.equal(byWorker.size, 2, `workers seen: ${[...byWorker.keys()].join(", ")}`);
  const ports = new Set(world.gateway.events("listening").map((line) => line.port));
  assert.equal(ports.size, 1);
});

test("a killed worker is replaced; the other's sessions live", { skip }, async () => {
  await using world = await startWorld({ config: { workers: 2 } });
  await using held = new AsyncDisposableStack();
  const byWorker = await openOnBoth(world, held);
  const sessions = [...byWorker.values()].flat();
  const children = await descendants(world.gateway.child.pid);
  const workers = children.filter((pid) => isAlive(pid));
  assert.ok(workers.length >= 2, `${workers.length} processes below the gateway`);
  const [victim] = workers;
  assert.ok(victim !== undefined);
  process.kill(victim, "SIGKILL");
  await until("a worker's sessions at their end", () => sessions.some((ssh) => !ssh.running));
  const survivors = sessions.filter((ssh) => ssh.running);
  assert.ok(survivors.length > 0, "one worker's death ended every session");
  for (const ssh of survivors) {
    ssh.stdin.write("still here\n");
    await ssh.waitForStdout(/still here/);
  }
  await until(
    "a new worker",
    async () => (await descendants(world.gateway.child.pid)).length >= workers.length,
  );
  const target = world.gateway.target(world.user.name, world.identity.path);
  for (let count = 0; count < 6; count += 1) assert.equal((await runSsh(target, ["true"])).code, 0);
});

test("a reload reaches every worker", { skip }, async () => {
  await using world = await startWorld({ config: { workers: 2 } });
  const { gateway } = world;
  await gateway.rewrite([keyRule(world, "renamed")]);
  gateway.signal("SIGHUP");
  await gateway.waitForLog("reload", ({ event }) => event === "reloaded");
  const old = gateway.target(world.user.name, world.identity.path);
  const renamed = gateway.target("renamed", world.identity.path);
  for (let count = 0; count < 8; count += 1) {
    assert.equal((await runSsh(renamed, ["true"])).code, 0);
    assert.equal((await runSsh(old, ["true"])).code, 255);
  }
});
