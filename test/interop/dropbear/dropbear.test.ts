/** Dropbear, as client of the gateway and as upstream behind it. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { run } from "#test/support/child";
import { sha256 } from "#test/support/data";
import { startDropbear, toDropbear } from "#test/support/dropbear";
import {
  casesFor,
  echoThrough,
  interopBytes,
  interopRules,
  keyKindOf,
  onlyAlgorithms,
  startInterop,
  titleOf,
  type Case,
  type Known,
} from "#test/support/interop";
import { missing, stranger } from "#test/support/strangers";
import { tempDir } from "#test/support/temp-dir";
import { knownHostsLine } from "#test/support/test-keys";
import { needsRoot } from "#test/support/test-user";
import type { World } from "#test/support/world";

/** Dropbear 2022.83 as Debian builds it; it has no way to ask. */
const dropbearKnows: Known = {
  kex: [
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group14-sha256",
  ],
  cipher: ["chacha20-poly1305@openssh.com", "aes128-ctr", "aes256-ctr"],
  mac: ["hmac-sha2-256"],
  hostKeyAlgorithm: ["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-256"],
};

/** Dropbear cannot be told its algorithms, so the gateway is: it then knows one alone. */
async function narrow(world: World, choice: Case): Promise<void> {
  await world.gateway.rewrite(interopRules(world), { algorithms: onlyAlgorithms(choice) });
  const count = world.gateway.events("reloaded").length;
  world.gateway.signal("SIGHUP");
  await world.gateway.child.waitFor("reload", () => world.gateway.events("reloaded").length > count);
}

const skip = missing("ssh", "sshd", "dbclient", "dropbear");

test("Dropbear as client", { skip, timeout: 280_000 }, async (t) => {
  await using world = await startInterop();
  await using folder = await tempDir();
  const { host, port, user } = world.gateway.target(world.user.name);
  const key = await toDropbear(world.identity, folder.at("id"));
  await mkdir(folder.at(".ssh"));
  const lines = world.gateway.hostKeys.map((each) =>
    knownHostsLine(host, port, each.publicLine).replace(/^\[(.*)\]:\d+/, "$1"),
  );
  await writeFile(folder.at(".ssh", "known_hosts"), `${lines.join("\n")}\n`);
  for (const choice of casesFor(dropbearKnows)) {
    await t.test(titleOf(choice), async () => {
      await narrow(world, choice);
      const args = ["-y", "-T", "-i", key, "-p", String(port), "-l", user, host, "cat; exit 7"];
      const { code, stdout, stderr } = await run(stranger("dbclient"), args, {
        stdin: { data: interopBytes },
        env: { HOME: folder.path },
      });
      assert.equal(code, 7, stderr);
      assert.equal(sha256(stdout), sha256(interopBytes));
    });
  }
});

test("Dropbear as upstream", { skip: skip || needsRoot, timeout: 280_000 }, async (t) => {
  await using world = await startInterop();
  for (const choice of casesFor(dropbearKnows)) {
    await t.test(titleOf(choice), async () => {
      const kind = keyKindOf[choice.hostKeyAlgorithm ?? "ssh-ed25519"] ?? "ed25519";
      await using dropbear = await startDropbear({
        user: world.user,
        hostKeys: [world.keys.key(kind, "host")],
        authorizedKeys: [world.gatewayKey.publicLine],
      });
      await narrow(world, choice.hostKeyAlgorithm === undefined ? choice : {});
      await echoThrough(world, dropbear.port, { code: 0 }, []);
    });
  }
});
