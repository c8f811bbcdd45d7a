import assert from "node:assert/strict";
import { linkSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { handOver } from "./privileges.ts";

const skip = process.getuid?.() === 0 ? false : "only root can give files away";

test("a file is given away, but not what a link in its place leads to", { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), "hand-over-"));
  const file = (name: string): string => join(folder, name);
  try {
    for (const name of ["log", "secret", "other"]) writeFileSync(file(name), "");
    symlinkSync(file("secret"), file("symbolic"));
    linkSync(file("other"), file("hard"));
    for (const name of ["log", "symbolic", "hard", "missing"])
      handOver(file(name), { uid: 12_345, gid: 12_346 });
    assert.deepEqual(
      ["log", "secret", "other"].map((name) => [statSync(file(name)).uid, statSync(file(name)).gid]),
      [
        [12_345, 12_346],
        [0, 0],
        [0, 0],
      ],
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
