/** `postern client-config`: the lines that it prints are enough for a stock ssh. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { test } from "node:test";
import { type Outcome, run } from "#test/support/child";
import { startEntryWorld } from "#test/support/entries";
import { postern } from "#test/support/gateway";
import { missing, stranger } from "#test/support/strangers";
import { tempDir } from "#test/support/temp-dir";
import { keyLogin } from "#test/support/world";

test("rules, targets and the gateway itself, by the lines as printed", {
  skip: missing("ssh", "sshd", "nc"),
}, async () => {
  await using folder = await tempDir();
  const me = userInfo().username;
  await using world = await startEntryWorld({
    listener: { entries: ["ssh", "http", "version"] },
    rules: (identity) => [
      { name: "splice", mode: "splice", match: { from: ["127.0.0.0/8"] }, targets: ["web1", "web2"] },
      {
        name: "bastion",
        serve: "jump",
        match: { user: "go" },
        login: [keyLogin(identity)],
        targets: ["web2"],
      },
    ],
  });
  const { gateway, identity } = world;
  const printed = async (...more: string[]): Promise<string> => {
    const where = ["-c", gateway.configFile, "--gate", "127.0.0.1", "--port", String(gateway.port)];
    const { code, stdout, stderr } = await postern(["client-config", ...where, ...more]);
    assert.equal(code, 0, stderr);
    return stdout.toString();
  };
  const config = await printed("--only", "ssh-config");
  const known = await printed("--only", "known-hosts");
  assert.equal(await printed(), config + known);
  assert.match(config, /^# target web1, by http$/m);
  assert.match(config, /^ {4}# or by version:$/m);
  assert.doesNotMatch(config, /secret/, "what no rule leads to is told to nobody");
  await writeFile(folder.at("known_hosts"), known);
  await writeFile(folder.at("all_hosts"), `${known}${await textOf(world.knownHosts)}`);
  const ssh = async (file: string, ...words: string[]): Promise<Outcome> => {
    const options = [
      "BatchMode=yes",
      "IdentityAgent=none",
      `IdentityFile=${identity.path}`,
      "StrictHostKeyChecking=yes",
    ];
    const hosts = [`UserKnownHostsFile=${folder.at("all_hosts")}`, "GlobalKnownHostsFile=none"];
    return await run(stranger("ssh"), [
      "-F",
      file,
      ...[...options, ...hosts].flatMap((each) => ["-o", each]),
      ...words,
    ]);
  };
  await writeFile(folder.at("config"), config);
  for (const name of ["web1", "web2"]) {
    const { stdout, stderr } = await ssh(folder.at("config"), "-l", me, name, "echo $TARGET");
    assert.equal(stdout.toString(), `${name}\n`, stderr);
  }
});

async function textOf(file: string): Promise<string> {
  return (await run("cat", [file])).stdout.toString();
}
