import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { test } from "node:test";
import { tempDir } from "#test/support/temp-dir";
import { listenLocal } from "./listen.ts";

test("two sockets made at once are private, and what else is made meanwhile and later is as ever", async () => {
  await using folder = await tempDir();
  const mask = process.umask();
  const paths = [folder.at("a"), folder.at("b")];
  try {
    const made = paths.map((path) => listenLocal({ kind: "unix", path }, () => {}));
    assert.equal(process.umask(), mask);
    const [one, two] = await Promise.all(made);
    await using _one = one;
    await using _two = two;
    assert.equal(process.umask(), mask);
    for (const path of paths) assert.equal(statSync(path).mode & 0o777, 0o600);
  } finally {
    process.umask(mask);
  }
});
