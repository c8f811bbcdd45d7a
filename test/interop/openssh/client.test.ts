/** OpenSSH as client of the gateway, over every algorithm both know. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256 } from "#test/support/data";
import {
  casesFor,
  gatewayKnows,
  interopBytes,
  opensshKnows,
  startInterop,
  titleOf,
} from "#test/support/interop";
import { runSsh } from "#test/support/ssh";
import { missing } from "#test/support/strangers";

test("OpenSSH as client", { skip: missing("ssh", "sshd"), timeout: 280_000 }, async (t) => {
  await using world = await startInterop();
  const target = world.gateway.target(world.user.name, world.identity.path);
  const cases = casesFor(await opensshKnows());
  assert.ok(cases.length >= gatewayKnows.cipher.length + gatewayKnows.mac.length);
  for (const choice of cases) {
    await t.test(titleOf(choice), async () => {
      const { kex, cipher, mac, hostKeyAlgorithm } = choice;
      const { code, stdout, stderr } = await runSsh(target, ["cat"], {
        stdin: { data: interopBytes },
        flags: ["-v"],
        options: [
          "RekeyLimit=100K",
          ...(kex === undefined ? [] : [`KexAlgorithms=${kex}`]),
          ...(cipher === undefined ? [] : [`Ciphers=${cipher}`]),
          ...(mac === undefined ? [] : [`MACs=${mac}`]),
          ...(hostKeyAlgorithm === undefined ? [] : [`HostKeyAlgorithms=${hostKeyAlgorithm}`]),
        ],
      });
      assert.equal(code, 0, stderr);
      assert.equal(sha256(stdout), sha256(interopBytes));
      assert.ok((stderr.match(/SSH2_MSG_NEWKEYS received/g)?.length ?? 0) >= 2, "keys were exchanged again");
      for (const name of Object.values(choice)) assert.ok(stderr.includes(String(name)));
    });
  }

  const { kex } = await opensshKnows();
  const old = kex.includes("mlkem768x25519-sha256")
    ? false
    : "this ssh is older than 9.9: it knows no ML-KEM and warns of nothing";
  await t.test("no warning about a key exchange that is not post-quantum", { skip: old }, async () => {
    const { code, stderr } = await runSsh(target, ["true"], { flags: ["-v"] });
    assert.equal(code, 0, stderr);
    assert.match(stderr, /kex: algorithm: mlkem768x25519-sha256/);
    assert.doesNotMatch(stderr, /WARNING|post-quantum/);
  });
});
