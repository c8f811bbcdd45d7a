/** An upstream that wants a new password first asks the client for it, through the gateway. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import { pythonServer, startInterop } from "#test/support/interop";
import { runSsh, type SshTarget } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { bareKey, knownHostsLine } from "#test/support/test-keys";
import { upstreamTo } from "#test/support/world";

test("a password change, direct and through the gateway", {
  skip: missing("ssh", "sshd", "asyncssh"),
}, async (t) => {
  await using world = await startInterop();
  await using held = new AsyncDisposableStack();
  const { child, ports } = await pythonServer("asyncssh", world, [{}]);
  held.use(child);
  const [port = 0] = ports;
  const hostKey = world.keys.key("ed25519", "host").publicLine;
  await world.gateway.rewrite([
    {
      name: "change",
      match: { user: "change" },
      login: [{ kind: "password", check: "upstream" }],
      upstream: upstreamTo(world, {
        addresses: [`127.0.0.1:${port}`],
        credentials: [{ kind: "client-password" }],
        hostKey: { keys: [bareKey(hostKey)] },
      }),
    },
  ]);
  world.gateway.signal("SIGHUP");
  await world.gateway.waitForLog("reload", ({ event }) => event === "reloaded");
  const knownHosts = world.keys.folder.at("known_direct");
  await writeFile(knownHosts, `${knownHostsLine("127.0.0.1", port, hostKey)}\n`);
  const direct: SshTarget = { host: "127.0.0.1", port, user: "change", knownHosts };
  for (const [way, target] of [
    ["direct", direct],
    ["through the gateway", world.gateway.target("change")],
  ] as const) {
    // asyncssh offers its passwords by keyboard-interactive too, which knows no change.
    const options = ["PreferredAuthentications=password"];
    const login = (...passwords: string[]) =>
      runSsh(target, ["cat"], { stdin: { data: "hello" }, passwords, options });

    await t.test(`the new password is asked for, told to the upstream, and admits, ${way}`, async () => {
      // The prompts: the password, the old one again, the new one twice.
      const { code, stdout, stderr } = await login("old", "old", "new", "new");
      assert.equal(code, 7, stderr);
      assert.equal(stdout.toString(), "hello");
      assert.match(stderr, /Choose a new one/);
    });

    await t.test(`a new password that the upstream refuses does not admit, ${way}`, async () => {
      assert.equal((await login("old", "old", "bad", "bad")).code, 255);
    });

    await t.test(`the password that needs no change admits, ${way}`, async () => {
      assert.equal((await login("new")).code, 7);
    });
  }
});
