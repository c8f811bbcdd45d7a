/** Upstreams of other makes, entered with the client's forwarded agent: their channel numbers, windows and packet sizes are not OpenSSH's. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startAgent } from "#test/support/agent";
import { sha256, testBytes } from "#test/support/data";
import { pythonServer, startInterop } from "#test/support/interop";
import { runSsh } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { bareKey } from "#test/support/test-keys";
import { keyRule, upstreamTo } from "#test/support/world";

for (const library of ["asyncssh", "paramiko"] as const) {
  test(`${library} as upstream, by the client's agent`, {
    skip: missing("ssh", "sshd", library),
  }, async () => {
    await using world = await startInterop();
    await using held = new AsyncDisposableStack();
    const { child, ports } = await pythonServer(library, world, [{}]);
    held.use(child);
    const agent = held.use(await startAgent([world.gatewayKey.path]));
    const hostKey = world.keys.key("ed25519", "host").publicLine;
    await world.gateway.rewrite([
      keyRule(world, "agent", {
        upstream: upstreamTo(world, {
          addresses: [`127.0.0.1:${ports[0] ?? 0}`],
          credentials: [{ kind: "agent" }],
          hostKey: { keys: [bareKey(hostKey)] },
        }),
      }),
    ]);
    world.gateway.signal("SIGHUP");
    await world.gateway.waitForLog("reload", ({ event }) => event === "reloaded");
    const data = testBytes(2_000_000, 51);
    const target = { ...world.gateway.target("agent", world.identity.path), forwardAgent: agent.socket };
    const { code, stdout, stderr } = await runSsh(target, ["cat"], { stdin: { data } });
    assert.equal(code, 7, stderr);
    assert.equal(sha256(stdout), sha256(data));
  });
}
