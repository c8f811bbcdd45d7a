/** The office: `postern device` beside a gateway that runs and without one, by root for an account, and its copy. */
import assert from "node:assert/strict";
import { chmod, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { run } from "#test/support/child";
import { type DeviceJson, deviceRule, startDeviceStand } from "#test/support/device-stand";
import { configText, postern, program, startGateway } from "#test/support/gateway";
import { runSsh } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { tempDir } from "#test/support/temp-dir";
import { makeKey } from "#test/support/test-keys";
import { needsRoot, testUser } from "#test/support/test-user";

const skip = missing("ssh", "sshd");

test("what root does in the office, the gateway's account can go on with", {
  skip: skip || needsRoot,
}, async () => {
  await using account = await testUser();
  await using folder = await tempDir();
  await chmod(folder.path, 0o755);
  const stateDir = join(account.home, "state");
  const config = { user: account.name, group: account.name, stateDir, devices: {} };
  const early = folder.at("early.yaml");
  const hostKey = makeKey(folder.at("host"), "ed25519");
  await writeFile(
    early,
    configText({ listen: ["127.0.0.1:0"], hostKeys: [hostKey.path], ...config, rules: [deviceRule] }),
  );
  // Before the gateway ever ran.
  const made = await postern(["device", "token", "create", "-u", "5", "-c", early]);
  assert.equal(made.code, 0, made.stderr);
  const token = made.stdout.toString().trim();
  const ownedByAccount = async (): Promise<void> => {
    for (const name of ["", ...(await readdir(stateDir))]) {
      const { uid, gid, mode } = await stat(join(stateDir, name));
      assert.deepEqual([name, uid, gid, mode & 0o077], [name, account.uid, account.gid, 0]);
    }
  };
  await ownedByAccount();
  await using gateway = await startGateway({ config, rules: [deviceRule], giveTo: account });
  const key = makeKey(folder.at("key"), "ed25519");
  const joined = await runSsh(gateway.target(`join+${token}`, key.path), ["kiosk1"]);
  assert.equal(joined.code, 0, joined.stderr);
  const words = ["tag", "kiosk1", "hall1"];
  const tagged = await postern(["device", ...words, "-c", gateway.configFile]);
  assert.equal(tagged.code, 0, tagged.stderr);
  await ownedByAccount();
  const again = await runSsh(gateway.target(`join+${token}`, makeKey(folder.at("k2"), "ed25519").path), [
    "kiosk2",
  ]);
  assert.equal(again.code, 0, again.stderr);
  // The copy is root's, where the account could not write.
  const copy = folder.at("copy.sqlite");
  const backup = await postern(["device", "backup", copy, "-c", gateway.configFile]);
  assert.equal(backup.code, 0, backup.stderr);
  assert.deepEqual([(await stat(copy)).uid, (await stat(copy)).mode & 0o777], [0, 0o600]);
  // Somebody else may look at nothing.
  await using other = await testUser();
  const refused = await run("setpriv", [
    `--reuid=${other.uid}`,
    `--regid=${other.gid}`,
    "--clear-groups",
    process.execPath,
    program,
    "device",
    "ls",
    "-c",
    early,
  ]);
  assert.notEqual(refused.code, 0);
  assert.equal(refused.stdout.toString(), "");
  assert.match(refused.stderr, /a file cannot be read .*devices\.sqlite.*permission denied/);
});

test("a copy is whole, is not written over anything, and can be gone back to", { skip }, async () => {
  await using stand = await startDeviceStand();
  await stand.enrol(stand.key("a"), "kiosk1", "-t", "hall1");
  const copy = stand.folder.at("copy.sqlite");
  assert.deepEqual(await stand.office<{ file: string }>("backup", copy), { file: copy });
  const twice = await stand.ask("backup", copy);
  assert.equal(twice.code, 1);
  assert.match(twice.stderr, /copy/);
  await stand.office("rm", "kiosk1");
  const restored = stand.folder.at("restored.yaml");
  const hostKeys = stand.gateway.hostKeys.map(({ path }) => path);
  await writeFile(
    restored,
    configText({ listen: ["127.0.0.1:0"], hostKeys, devices: { database: copy }, rules: [deviceRule] }),
  );
  const { stdout } = await postern(["device", "ls", "--json", "-c", restored]);
  const devices = JSON.parse(stdout.toString()) as DeviceJson[];
  assert.deepEqual(
    devices.map(({ name, tags, online }) => [name, tags, online]),
    [["kiosk1", ["hall1"], null]],
  );
});

test("what cannot be done is one sentence, and changes nothing", { skip }, async () => {
  await using stand = await startDeviceStand();
  await stand.enrol(stand.key("a"), "kiosk1");
  await stand.enrol(stand.key("b"), "kiosk2");
  for (const [words, why] of [
    [["show", "nobody"], /no device has this name, code or id/],
    [["approve", "kiosk1"], /approved already/],
    [["deny", "kiosk1"], /not pending; revoke it/],
    [["rename", "kiosk1", "kiosk2"], /another approved device has this name/],
    [["rename", "kiosk1", "../etc"], /a device's name is/],
    [["tag", "kiosk1", "a b"], /is no tag/],
    [["token", "rm", "nothing"], /token nothing/],
    [["ports", "kiosk1", "70000"], /expected a port/],
    [["token", "create", "-e", "soon"], /is no duration/],
  ] as const) {
    const { code, stderr } = await stand.ask(...words);
    assert.notEqual(code, 0, words.join(" "));
    assert.match(stderr, why);
    assert.doesNotMatch(stderr, /\n\s+at /);
  }
  assert.deepEqual(
    (await stand.office<DeviceJson[]>("ls")).map(({ name }) => name),
    ["kiosk1", "kiosk2"],
  );
  const without = stand.folder.at("without.yaml");
  await writeFile(
    without,
    configText({ listen: ["127.0.0.1:0"], hostKeys: [stand.gateway.hostKeys[0]?.path], rules: [] }),
  );
  assert.match((await postern(["device", "ls", "-c", without])).stderr, /no section `devices`|rules/);
});
