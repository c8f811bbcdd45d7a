/** Reload: by SIGHUP or by command, without touching live sessions; a broken file changes nothing and says why. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { connect } from "node:net";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import type { Child } from "#test/support/child";
import { eventOf, postern } from "#test/support/gateway";
import { freePort } from "#test/support/ports";
import { runSsh, spawnSsh } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { knownHostsLine, makeKey } from "#test/support/test-keys";
import { keyRule, startWorld, type World } from "#test/support/world";

const skip = missing("ssh", "sshd");
let world: World;
let live: Child;
before(async () => {
  if (skip !== false) return;
  world = await startWorld({ rules: (parts) => [keyRule(parts, "old"), keyRule(parts, "kept")] });
  live = spawnSsh(world.gateway.target("old", world.identity.path), ["cat"], { stdin: "open" });
  await talk();
});
after(async () => {
  await live?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});

let lines = 0;
async function talk(): Promise<void> {
  lines += 1;
  const line = `line ${lines}\n`;
  live.stdin.write(line);
  await live.waitFor("an echo", () => live.stdout.includes(line));
}

const login = (user: string) => runSsh(world.gateway.target(user, world.identity.path), ["echo in"]);
const admits = async (user: string): Promise<boolean> => (await login(user)).code === 0;

/** SIGHUP, and the log line that answers it. */
async function hangUp(event: string): Promise<string> {
  const count = world.gateway.events(event).length;
  world.gateway.signal("SIGHUP");
  await world.gateway.child.waitFor(event, () => world.gateway.events(event).length > count);
  return JSON.stringify(world.gateway.events(event).at(-1));
}

test("SIGHUP: new rules hold for new logins, live sessions go on", { skip }, async () => {
  await world.gateway.rewrite([keyRule(world, "new"), keyRule(world, "kept")]);
  assert.equal(await admits("new"), false, "before the reload");
  await hangUp("reloaded");
  assert.deepEqual([await admits("new"), await admits("kept"), await admits("old")], [true, true, false]);
  await talk();
});

const broken = [
  ["not YAML", "rules: [\n  - {", /postern\.yaml/],
  ["an unknown key", "listen: [127.0.0.1:0]\nruels: []\n", /postern\.yaml:2.*ruels/],
  ["a wrong value", "listen: [127.0.0.1:0]\nworkers: many\n", /postern\.yaml:2.*workers/],
] as const;

for (const [title, text, words] of broken) {
  test(`a file with ${title} leaves the old configuration at work, and the log says where`, {
    skip,
  }, async () => {
    await writeFile(world.gateway.configFile, text);
    assert.match(await hangUp("reload-failed"), words);
    assert.deepEqual([await admits("new"), await admits("old")], [true, false]);
    await talk();
  });
}

test("a file that names what is not there leaves the old configuration at work", { skip }, async () => {
  const rule = keyRule(world, "newer");
  await world.gateway.rewrite([rule], { hostKeys: [world.gateway.folder.at("no-such-key")] });
  assert.match(await hangUp("reload-failed"), /no-such-key/);
  assert.deepEqual([await admits("new"), await admits("newer")], [true, false]);
});

test("postern reload: says what happened, by words and exit code", { skip }, async () => {
  await world.gateway.rewrite([keyRule(world, "newest")]);
  const good = await postern(["reload", "-c", world.gateway.configFile]);
  assert.equal(good.code, 0, good.stderr);
  assert.deepEqual([await admits("newest"), await admits("new")], [true, false]);
  await world.gateway.rewrite([], { rules: [{ name: "x" }] });
  await writeFile(world.gateway.configFile, "listen: [127.0.0.1:0]\nruels: []\n");
  const bad = await postern(["reload", "--control", world.gateway.folder.at("state", "control.sock")]);
  assert.notEqual(bad.code, 0);
  assert.match(bad.stderr + bad.stdout.toString(), /ruels/);
  assert.equal(await admits("newest"), true);
  await talk();
});

test("listeners come and go; another host key is shown to the next client", { skip }, async () => {
  const { gateway } = world;
  const port = await freePort();
  const key = makeKey(gateway.folder.at("second_host_key"));
  await gateway.rewrite([keyRule(world, "kept")], { listen: [`127.0.0.1:${port}`], hostKeys: [key.path] });
  await hangUp("reloaded");
  const knownHosts = gateway.folder.at("second_known_hosts");
  await writeFile(knownHosts, `${knownHostsLine("127.0.0.1", port, key.publicLine)}\n`);
  const target = { ...gateway.target("kept", world.identity.path), port, knownHosts };
  const { code, stderr } = await runSsh(target, ["true"]);
  assert.equal(code, 0, stderr);
  const socket = connect({ host: "127.0.0.1", port: gateway.port });
  const [error] = (await once(socket, "error")) as [NodeJS.ErrnoException];
  assert.equal(error.code, "ECONNREFUSED");
  await talk();
});

test("a reload under traffic loses no byte and no login", { skip }, async () => {
  const { gateway } = world;
  await gateway.rewrite([keyRule(world, "kept")]);
  await hangUp("reloaded");
  const port = Number(gateway.events("listening").at(-1)?.port ?? 0);
  const knownHosts = gateway.folder.at("third_known_hosts");
  await writeFile(
    knownHosts,
    `${knownHostsLine("127.0.0.1", port, gateway.hostKeys[0]?.publicLine ?? "")}\n`,
  );
  const target = { ...gateway.target("kept", world.identity.path), port, knownHosts };
  const data = Buffer.alloc(5_000_000, "traffic ");
  const logins = Array.from({ length: 6 }, () => runSsh(target, ["cat"], { stdin: { data } }));
  for (let count = 0; count < 5; count += 1) await hangUp("reloaded");
  for (const { code, stdout, stderr } of await Promise.all(logins)) {
    assert.equal(code, 0, stderr);
    assert.ok(stdout.equals(data));
  }
  assert.ok(gateway.logs().every((line) => eventOf(line) !== ""));
});
