/** asyncssh as client of the gateway, over every algorithm both know. */
import { test } from "node:test";
import { aimAt, casesFor, pythonClient, pythonKnows, startInterop } from "#test/support/interop";
import { missing } from "#test/support/strangers";

test("asyncssh as client", { skip: missing("ssh", "sshd", "asyncssh"), timeout: 280_000 }, async (t) => {
  await using world = await startInterop();
  await pythonClient(t, "asyncssh", aimAt(world), casesFor(await pythonKnows("asyncssh")));
});
