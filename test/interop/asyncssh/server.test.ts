/** asyncssh as upstream behind the gateway, over every algorithm both know. */
import { test } from "node:test";
import {
  casesFor,
  echoThrough,
  pythonKnows,
  pythonServer,
  startInterop,
  titleOf,
} from "#test/support/interop";
import { missing } from "#test/support/strangers";

test("asyncssh as upstream", { skip: missing("ssh", "sshd", "asyncssh"), timeout: 280_000 }, async (t) => {
  await using world = await startInterop();
  const cases = casesFor(await pythonKnows("asyncssh"));
  const { child, ports } = await pythonServer("asyncssh", world, cases);
  await using held = new AsyncDisposableStack();
  held.use(child);
  for (const [index, choice] of cases.entries()) {
    await t.test(titleOf(choice), () => echoThrough(world, ports[index] ?? 0, { code: 7 }));
  }
});
