import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { test } from "node:test";
import { systemClock } from "#base";
import { tempDir } from "#test/support/temp-dir";
import { Files } from "./files.ts";

test("a file is read whole, with its mode; one that is not there is no error", async () => {
  await using folder = await tempDir();
  const files = new Files(systemClock);
  writeFileSync(folder.at("a"), "text");
  chmodSync(folder.at("a"), 0o640);
  const read = await files.read(folder.at("a"), 100);
  assert.deepEqual([Buffer.from(read?.bytes ?? []).toString(), read?.mode], ["text", 0o640]);
  assert.equal(await files.read(folder.at("b"), 100), undefined);
  assert.equal(await files.read(folder.at("a/b"), 100), undefined);
});

test("what is too large, or no plain file, is the operator's error", async () => {
  await using folder = await tempDir();
  const files = new Files(systemClock);
  writeFileSync(folder.at("a"), "text");
  await assert.rejects(files.read(folder.at("a"), 3), { code: "OPERATOR_FILE_UNREADABLE" });
  await assert.rejects(files.read(folder.path, 100), { code: "OPERATOR_FILE_UNREADABLE" });
  await assert.rejects(files.read("/dev/zero", 100), { code: "OPERATOR_FILE_UNREADABLE" });
});

test("what was read with privileges is kept, and only that", async () => {
  await using folder = await tempDir();
  const files = new Files(systemClock);
  writeFileSync(folder.at("kept"), "old");
  writeFileSync(folder.at("other"), "old");
  await files.read(folder.at("other"), 100);
  await files.keepWhile(() => files.read(folder.at("kept"), 100));
  assert.deepEqual([...files.kept.keys()], [folder.at("kept")]);
  writeFileSync(folder.at("kept"), "new");
  const read = await files.read(folder.at("kept"), 100);
  assert.equal(Buffer.from(read?.bytes ?? []).toString(), "new", "as long as it can be read, it is");
});

test("lines are appended one after the other, whoever appends them; the file is private", async () => {
  await using folder = await tempDir();
  const path = folder.at("known_hosts");
  const processes = [new Files(systemClock), new Files(systemClock), new Files(systemClock)];
  const appends = processes.flatMap((files, at) =>
    [0, 1, 2].map((n) =>
      files.append(path, (text) =>
        text.includes("only once") ? undefined : n === 0 && at === 0 ? "only once" : undefined,
      ),
    ),
  );
  await Promise.all(appends);
  assert.equal(readFileSync(path, "utf8"), "only once\n");
  assert.equal(statSync(path).mode & 0o777, 0o600);
  await Promise.all(processes.map((files, at) => files.append(path, () => `line ${at}`)));
  assert.deepEqual(readFileSync(path, "utf8").trim().split("\n").toSorted(), [
    "line 0",
    "line 1",
    "line 2",
    "only once",
  ]);
  assert.equal(existsSync(`${path}.lock`), false);
});

test("a last line without an end is not written into", async () => {
  await using folder = await tempDir();
  writeFileSync(folder.at("a"), "first");
  await new Files(systemClock).append(folder.at("a"), () => "second");
  assert.equal(readFileSync(folder.at("a"), "utf8"), "first\nsecond\n");
});

test("a lock that a dead process left is taken over", async () => {
  await using folder = await tempDir();
  const lock = `${folder.at("a")}.lock`;
  writeFileSync(lock, "");
  const longAgo = new Date(Date.now() - 60_000);
  utimesSync(lock, longAgo, longAgo);
  await new Files(systemClock).append(folder.at("a"), () => "line");
  assert.equal(readFileSync(folder.at("a"), "utf8"), "line\n");
});

test("a decision that throws leaves the file and no lock", async () => {
  await using folder = await tempDir();
  const files = new Files(systemClock);
  const decide = (): string => {
    throw new Error("no");
  };
  await assert.rejects(files.append(folder.at("a"), decide), /no/);
  assert.equal(existsSync(`${folder.at("a")}.lock`), false);
  await files.append(folder.at("a"), () => "line");
  assert.equal(readFileSync(folder.at("a"), "utf8"), "line\n");
});

test("a directory that is not there is the operator's error", async () => {
  await using folder = await tempDir();
  mkdirSync(folder.at("dir"));
  const files = new Files(systemClock);
  await assert.rejects(
    files.append(folder.at("none/a"), () => "x"),
    { code: "OPERATOR_FILE_UNWRITABLE" },
  );
  await assert.rejects(
    files.append(folder.at("dir"), () => "x"),
    { code: "OPERATOR_FILE_UNWRITABLE" },
  );
});

test("a file is replaced as a whole, one change after the other, and keeps its mode; a new one is private", async () => {
  await using folder = await tempDir();
  const path = folder.at("state/deep/counter");
  const processes = [new Files(systemClock), new Files(systemClock), new Files(systemClock)];
  const count = (files: Files): Promise<void> => files.update(path, (text) => String(Number(text) + 1));
  await Promise.all(processes.flatMap((files) => [count(files), count(files), count(files)]));
  assert.equal(readFileSync(path, "utf8"), "9");
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.equal(statSync(folder.at("state")).mode & 0o777, 0o700);
  chmodSync(path, 0o640);
  await processes[0]?.update(path, () => "10");
  assert.equal(statSync(path).mode & 0o777, 0o640);
  assert.deepEqual(readdirSync(folder.at("state/deep")), ["counter"], "nothing is left beside it");
});

test("what a process left behind that died while it replaced a file is in nobody's way", async () => {
  await using folder = await tempDir();
  writeFileSync(folder.at("a"), "old");
  writeFileSync(folder.at("a.new"), "half");
  const files = new Files(systemClock);
  await files.update(folder.at("a"), (text) => `${text} and new`);
  assert.equal(readFileSync(folder.at("a"), "utf8"), "old and new");
  assert.equal(existsSync(folder.at("a.new")), false);
});

test("a file that is not to be changed, or cannot be, stays as it is", async () => {
  await using folder = await tempDir();
  const files = new Files(systemClock);
  writeFileSync(folder.at("a"), "old");
  const { ino } = statSync(folder.at("a"));
  await files.update(folder.at("a"), () => undefined);
  assert.equal(statSync(folder.at("a")).ino, ino);
  const refusal = new Error("no");
  await assert.rejects(
    files.update(folder.at("a"), () => {
      throw refusal;
    }),
    refusal,
  );
  symlinkSync(folder.at("a"), folder.at("link"));
  await assert.rejects(
    files.update(folder.at("link"), () => "new"),
    { code: "OPERATOR_FILE_UNWRITABLE" },
  );
  await assert.rejects(
    files.update(folder.at("a/b"), () => "new"),
    { code: "OPERATOR_FILE_UNWRITABLE" },
  );
  assert.equal(readFileSync(folder.at("a"), "utf8"), "old");
  assert.deepEqual(readdirSync(folder.path).sort(), ["a", "link"]);
});
