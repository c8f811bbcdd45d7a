/** `kind: agent`: the agent that the client forwards signs for the upstream, and no secret is on the gateway. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Agent, startAgent } from "#test/support/agent";
import { runSsh } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { keyRule, startWorld, upstreamTo, type World } from "#test/support/world";

const skip = missing("ssh", "sshd");
let world: World;
let agent: Agent;

before(async () => {
  if (skip !== false) return;
  world = await startWorld({
    rules: (parts) => [
      keyRule(parts, "agent", { upstream: upstreamTo(parts, { credentials: [{ kind: "agent" }] }) }),
    ],
  });
  agent = await startAgent([world.identity.path]);
});
after(async () => {
  await agent?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});

const forwarding = (more: object = {}): object => ({
  flags: ["-A"],
  env: { SSH_AUTH_SOCK: agent.socket },
  options: [`IdentityAgent=${agent.socket}`],
  ...more,
});

test("a command runs, its status comes back", { skip }, async () => {
  const { code, stdout, stderr } = await runSsh(
    world.gateway.target("agent", world.identity.path),
    ["id -un; exit 3"],
    forwarding(),
  );
  assert.deepEqual([code, stdout.toString(), stderr], [3, `${world.user.name}\n`, ""]);
});

test("without an agent the person is told what to add", { skip }, async () => {
  const { code, stdout, stderr } = await runSsh(world.gateway.target("agent", world.identity.path), ["id"]);
  assert.deepEqual([code, stdout.toString()], [255, ""]);
  assert.match(stderr, /ssh -A.*ForwardAgent yes/);
});
