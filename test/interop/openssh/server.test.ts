/** OpenSSH's server behind the gateway, over every algorithm both know. */
import { test } from "node:test";
import { casesFor, echoThrough, keyKindOf, opensshKnows, startInterop, titleOf } from "#test/support/interop";
import { startSshd } from "#test/support/sshd";
import { missing } from "#test/support/strangers";

test("OpenSSH as upstream", { skip: missing("ssh", "sshd"), timeout: 280_000 }, async (t) => {
  await using world = await startInterop();
  for (const choice of casesFor(await opensshKnows())) {
    await t.test(titleOf(choice), async () => {
      const { kex, cipher, mac, hostKeyAlgorithm } = choice;
      const kind = keyKindOf[hostKeyAlgorithm ?? "ssh-ed25519"] ?? "ed25519";
      await using sshd = await startSshd({
        authorizedKeys: [world.gatewayKey.publicLine],
        hostKeyFiles: [world.keys.key(kind, "host")],
        config: [
          "RekeyLimit 100K",
          ...(kex === undefined ? [] : [`KexAlgorithms ${kex}`]),
          ...(cipher === undefined ? [] : [`Ciphers ${cipher}`]),
          ...(mac === undefined ? [] : [`MACs ${mac}`]),
          ...(hostKeyAlgorithm === undefined ? [] : [`HostKeyAlgorithms ${hostKeyAlgorithm}`]),
        ],
      });
      await echoThrough(world, sshd.port, { code: 0 });
    });
  }
});
