/** Every file in examples/ is a configuration that the program takes. */
import assert from "node:assert/strict";
import { globSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { test } from "node:test";
import { parsePasswordHash } from "#auth";
import { loadConfig } from "#config";
import { parsePublicKeyLine } from "#ssh/keys";
import { tempDir } from "#test/support/temp-dir";

const examples = globSync(join(import.meta.dirname, "..", "examples", "*.yaml")).sort();

test("there are examples", () => {
  assert.ok(examples.length >= 5);
});

for (const example of examples) {
  test(`examples/${basename(example)} is taken, with no warning but of what is dangerous`, async () => {
    await using folder = await tempDir();
    const text = await readFile(example, "utf8");
    await writeFile(folder.at("example.yaml"), text.replaceAll("/var/lib/postern", folder.at("state")));
    await mkdir(folder.at("state"));
    for (const file of [
      "state/ssh_host_ed25519_key",
      "id_ed25519",
      "known_hosts",
      "nas-password",
      "revoked",
      "web.pem",
      "web.key",
    ]) {
      await writeFile(folder.at(file), "text");
    }
    const { config, warnings } = await loadConfig(folder.at("example.yaml"), { environment: {} });
    // What weakens a check is always warned about.
    assert.deepEqual(
      warnings.filter(({ text: warning }) => !warning.includes(".dangerously")),
      [],
    );
    for (const { login, upstream } of config.rules) {
      for (const method of login) {
        if (method.kind === "password") for (const hash of method.hashes ?? []) parsePasswordHash(hash);
        else if (method.kind === "publickey") for (const key of method.keys ?? []) parsePublicKeyLine(key);
      }
      for (const key of upstream.hostKey.authorities ?? []) parsePublicKeyLine(key);
    }
  });
}
