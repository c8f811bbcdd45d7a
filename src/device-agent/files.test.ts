import assert from "node:assert/strict";
import { chmod, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { PosternError } from "#base";
import { tempDir } from "#test/support/temp-dir";
import { ensureKey, ensureServiceToken, tokenDigest } from "./files.ts";

const refused = (pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof PosternError && error.code === "OPERATOR_AGENT_FILE", String(error));
  assert.match(error.detail ?? "", pattern);
  return true;
};

test("a key is made once, for its owner alone", async () => {
  await using folder = await tempDir();
  const file = folder.at("new", "id_ed25519");
  const made = await ensureKey(file);
  assert.match(made, /^SHA256:/);
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.equal((await stat(folder.at("new"))).mode & 0o777, 0o700);
  assert.equal(await ensureKey(file), made);
});

test("a key that others may read, and one that is none, are refused", async () => {
  await using folder = await tempDir();
  const file = folder.at("id");
  await ensureKey(file);
  await chmod(file, 0o640);
  await assert.rejects(ensureKey(file), refused(/others may read it; .*chmod 600/));
  await writeFile(folder.at("text"), "no key", { mode: 0o600 });
  await assert.rejects(ensureKey(folder.at("text")), refused(/holds no private key/));
  await writeFile(folder.at("large"), "x".repeat(70_000), { mode: 0o600 });
  await assert.rejects(ensureKey(folder.at("large")), refused(/too large/));
  await mkdir(folder.at("folder"), { mode: 0o700 });
  await assert.rejects(ensureKey(folder.at("folder")), refused(/./));
});

test("half a file of a start that was cut off is no obstacle", async () => {
  await using folder = await tempDir();
  const file = folder.at("id");
  await writeFile(`${file}.new`, "-----BEGIN", { mode: 0o600 });
  assert.match(await ensureKey(file), /^SHA256:/);
});

test("the service's token: made, kept, and refused when it is short", async () => {
  await using folder = await tempDir();
  const file = folder.at("token");
  const digest = await ensureServiceToken(file);
  const text = (await readFile(file, "utf8")).trim();
  assert.ok(text.length >= 43);
  assert.ok(digest.equals(tokenDigest(text)));
  assert.ok((await ensureServiceToken(file)).equals(digest));
  await writeFile(file, "short\n");
  await assert.rejects(ensureServiceToken(file), refused(/32 characters or more/));
});
