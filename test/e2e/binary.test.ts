/** The one executable file runs where there is no Node: with an empty environment, and nothing of this repository near it. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { appendFile, readFile } from "node:fs/promises";
import { run, succeed } from "#test/support/child";
import { repository, startGateway } from "#test/support/gateway";
import { runSsh } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { tempDir, type TempDir } from "#test/support/temp-dir";
import { makeKey } from "#test/support/test-keys";
import { keyRule, startParts, upstreamTo } from "#test/support/world";

const skip = missing("ssh", "sshd");
const [password, passwordHash] = ["U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"];
let folder: TempDir;
let binary: string;

before(async () => {
  folder = await tempDir();
  binary = folder.at("postern");
  await succeed(process.execPath, [`${repository}/tools/build-binary.ts`, binary], { cwd: repository });
});
after(async () => {
  await folder?.[Symbol.asyncDispose]();
});

/** Runs it with an environment that is empty indeed. */
function alone(...args: readonly string[]): ReturnType<typeof run> {
  return run("/usr/bin/env", ["-i", binary, ...args], { cwd: folder.path });
}

test("version, help, a key, a check: without PATH, HOME or anything else", async () => {
  const version = await alone("--version");
  const { version: expected } = JSON.parse(await readFile(`${repository}/package.json`, "utf8")) as {
    version: string;
  };
  assert.equal(version.stdout.toString(), `${expected}\n`, version.stderr);
  assert.equal(version.stderr, "", "Node has nothing to warn about");
  assert.match((await alone("serve", "--help")).stdout.toString(), /SIGHUP/);
  assert.equal((await alone("key", "generate", "host_key")).code, 0);
  assert.match((await alone("key", "fingerprint", "host_key")).stdout.toString(), /^SHA256:/);
  const checked = await alone("check", "-c", "no-such-file.yaml");
  assert.equal(checked.code, 1);
  assert.match(checked.stderr, /no-such-file\.yaml/);
});

test("the licences of what it holds go along with it", async () => {
  const text = await readFile(`${binary}.licences.txt`, "utf8");
  for (const name of ["zod", "pino", "yaml", "commander"])
    assert.match(text, new RegExp(`^${name} [0-9]`, "m"));
});

for (const workers of [1, 2]) {
  test(`it serves: ${workers} worker(s), a bcrypt hash at the gateway, a key with a passphrase behind`, {
    skip,
  }, async () => {
    await using parts = await startParts();
    const locked = makeKey(folder.at(`locked-${workers}`), "ed25519", "open sesame");
    await appendFile(parts.sshd.authorizedKeysFile, `${locked.publicLine}\n`);
    const credentials = [{ kind: "key", file: locked.path, passphrase: "open sesame" }];
    await using gateway = await startGateway({
      config: { workers },
      rules: [
        keyRule(parts, "by-key"),
        keyRule(parts, "by-password", {
          login: [{ kind: "password", hashes: [passwordHash] }],
          upstream: upstreamTo(parts, { credentials }),
        }),
      ],
      // In place of Node and the program, which the command line names.
      launcher: ["/bin/sh", "-c", `shift 2; exec /usr/bin/env -i ${binary} "$@"`, "sh"],
    });
    for (let login = 0; login < workers; login += 1) {
      const byKey = await runSsh(gateway.target("by-key", parts.identity.path), ["echo in"]);
      assert.equal(byKey.stdout.toString(), "in\n", byKey.stderr);
    }
    const byPassword = await runSsh(gateway.target("by-password"), ["echo in"], { passwords: [password] });
    assert.equal(byPassword.stdout.toString(), "in\n", byPassword.stderr);
    const wrong = await runSsh(gateway.target("by-password"), ["echo in"], { passwords: ["U*V"] });
    assert.equal(wrong.code, 255);
    assert.equal((await gateway.stop()).code, 0);
  });
}
