/** A line on the terminal of who is in, when the gateway stops: no message of SSH's own is shown by common clients. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { noTerminal, runOnPty } from "#test/support/pty";
import { sshCommand } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { until } from "#test/support/waiting";
import { startWorld } from "#test/support/world";

const skip = missing("ssh", "sshd", "python3");

test("who sits at a terminal sees that the gateway stops, and may go on", {
  skip: skip || noTerminal,
}, async () => {
  await using world = await startWorld({});
  const target = world.gateway.target(world.user.name, world.identity.path);
  const shown = runOnPty({
    command: ["ssh", ...sshCommand(target, ["echo READY; read -r line; echo got $line"], { flags: ["-tt"] })],
    steps: [
      // The command has begun, and whichever of the two comes first.
      {
        expect: "(?s)(?=.*READY)(?=.*This gateway is shutting down: this session ends in)",
        send: "bye\n",
      },
      { expect: "got bye" },
    ],
  });
  await world.gateway.waitForLog("a session", ({ event }) => event === "session-opened");
  await until("a session at work", () => /Starting session: command/.test(world.sshd.child.stderr));
  world.gateway.signal("SIGTERM");
  const { code, stderr } = await shown;
  assert.equal(code, 0, stderr);
  assert.equal((await world.gateway.child.outcome()).code, 0);
});
