/** 200 sessions at once: each gets its own answers, and the gateway gives back what they took. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Child } from "#test/support/child";
import { runSsh, spawnSsh, type SshTarget } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { until } from "#test/support/waiting";
import { startWorld, type World } from "#test/support/world";

const skip = missing("ssh", "sshd");
const sessions = 200;
let world: World;
let target: SshTarget;
before(async () => {
  if (skip !== false) return;
  world = await startWorld({});
  target = world.gateway.target(world.user.name, world.identity.path);
});
after(async () => {
  await world?.[Symbol.asyncDispose]();
});

async function talk(ssh: Child, line: string): Promise<void> {
  ssh.stdin.write(line);
  await ssh.waitFor("its own line", () => ssh.stdout.includes(line), 200_000);
}

test("200 sessions at once, each with a conversation of its own", { skip, timeout: 280_000 }, async () => {
  await using held = new AsyncDisposableStack();
  // The cheapest exchange: what counts here is the number, and the machine's cores are shared.
  const options = ["KexAlgorithms=curve25519-sha256"];
  const all = Array.from({ length: sessions }, () =>
    held.use(spawnSsh(target, ["cat"], { stdin: "open", options })),
  );
  await Promise.all(all.map((ssh, index) => talk(ssh, `hello from ${index};\n`)));
  assert.ok(all.every((ssh) => ssh.running));
  await Promise.all(all.map((ssh, index) => talk(ssh, `again from ${index};\n`)));
  for (const [index, ssh] of all.entries()) {
    assert.equal(ssh.stdout.toString(), `hello from ${index};\nagain from ${index};\n`);
    ssh.stdin.end();
  }
  for (const ssh of all) assert.equal((await ssh.outcome()).code, 0);
  await until("200 ends in the log", () => world.gateway.events("session-ended").length >= sessions);
  const ids = new Set(world.gateway.events("session-ended").map((line) => line["session"]));
  assert.ok(ids.size >= sessions);
});

test("afterwards it serves as before", { skip }, async () => {
  assert.equal((await runSsh(target, ["echo in"])).stdout.toString(), "in\n");
});
