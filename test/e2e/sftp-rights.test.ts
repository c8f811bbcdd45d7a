/** Rights on files: what is refused is refused in the protocol's words, in order, and told to the audit. */
import assert from "node:assert/strict";
import { chown, lstat, mkdir, readFile, writeFile } from "node:fs/promises";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { AuditRecord } from "#contract";
import { auditLines } from "#test/support/audit-lines";
import { run, type Outcome } from "#test/support/child";
import { sshPlace, sshSettings } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { isRoot } from "#test/support/test-user";
import { until } from "#test/support/waiting";
import { keyRule, startWorld, type World } from "#test/support/world";

const skip = missing("ssh", "sshd");
let world: World;
let root: string;
let auditFile: string;

before(async () => {
  if (skip !== false) return;
  world = await startWorld({ rules: () => [] });
  root = join(world.user.home, "sftp-rights");
  auditFile = world.gateway.folder.at("audit.jsonl");
  for (const folder of [root, join(root, "in"), join(root, "out"), join(root, ".git"), join(root, "boxes")]) {
    await mkdir(folder);
    if (isRoot) await chown(folder, world.user.uid, world.user.gid);
  }
  await writeFile(join(root, "out", "report.csv"), "a,b\n");
  await writeFile(join(root, ".git", "config"), "hidden\n");
  await writeFile(join(root, "in", "old"), "was here\n");
  if (isRoot)
    for (const file of ["out/report.csv", "in/old"])
      await chown(join(root, file), world.user.uid, world.user.gid);
  await world.gateway.rewrite(
    [
      keyRule(world, "reader", { sftp: { root, rights: "read-only", hide: [".git"], record: true } }),
      keyRule(world, "box", { sftp: { root: join(root, "in"), rights: "upload-only", record: true } }),
      keyRule(world, "partner", {
        sftp: {
          root,
          rights: "read-only",
          paths: [{ path: "/in", rights: ["list", "create", "delete", "rename", "mkdir"] }],
          extensions: [".csv"],
          maxFileBytes: 1000,
        },
      }),
      keyRule(world, "little", { sftp: { root, maxSessionBytes: 5000 } }),
      keyRule(world, "watched", { sftp: { record: true } }),
    ],
    { audit: [{ kind: "jsonl", file: auditFile }] },
  );
  world.gateway.signal("SIGHUP");
  await world.gateway.waitForLog("reload", ({ event }) => event === "reloaded");
});
after(async () => {
  await world?.[Symbol.asyncDispose]();
});

const here = (name: string): string => world.gateway.folder.at(name);

async function sftp(user: string, ...lines: readonly string[]): Promise<Outcome> {
  const target = world.gateway.target(user, world.identity.path);
  const settings = [...sshSettings(target), "-P", String(target.port), "-b", "-"];
  return await run("sftp", [...settings, sshPlace(target)], { stdin: { data: `${lines.join("\n")}\n` } });
}

/** The audit's lines of the last session of this user, when it has ended. */
async function audited(user: string): Promise<AuditRecord[]> {
  const read = (): AuditRecord[] => {
    const records = auditLines(auditFile).filter((record) => record.user === user);
    const last = records.at(-1)?.session;
    return records.filter(({ session }) => session === last);
  };
  let found: AuditRecord[] = [];
  await until("the end is in the audit", () => {
    found = read();
    return found.some(({ event }) => event === "end");
  });
  return found;
}

const sha256 = (data: string | Buffer): string => createHash("sha256").update(data).digest("hex");

test("read-only: all can be read, nothing changed, and what is hidden is not there", { skip }, async () => {
  const read = await sftp("reader", "ls -la", `get out/report.csv ${here("report")}`);
  assert.equal(read.code, 0, read.stderr);
  assert.doesNotMatch(read.stdout.toString(), /\.git/);
  assert.equal(await readFile(here("report"), "utf8"), "a,b\n");
  for (const line of [
    `put ${here("report")} new`,
    `put ${here("report")} out/report.csv`,
    "rm out/report.csv",
    "rename out/report.csv out/x",
    "mkdir x",
    "chmod 600 out/report.csv",
    "ln -s out/report.csv l",
    "ln out/report.csv l",
    "rmdir out",
  ]) {
    const { code, stderr } = await sftp("reader", line);
    assert.notEqual(code, 0, line);
    assert.match(stderr, /[Pp]ermission denied/, line);
  }
  for (const line of ["ls .git", `get .git/config ${here("x")}`]) {
    const { code, stderr } = await sftp("reader", line);
    assert.notEqual(code, 0, line);
    assert.match(stderr, /not found|No such file/, line);
  }
  assert.equal(await readFile(join(root, "out", "report.csv"), "utf8"), "a,b\n");
});

test("upload-only: a drop box", { skip }, async () => {
  await writeFile(here("letter"), "for your eyes\n");
  const put = await sftp("box", `put ${here("letter")} letter`);
  assert.equal(put.code, 0, put.stderr);
  assert.equal(await readFile(join(root, "in", "letter"), "utf8"), "for your eyes\n");
  for (const line of [
    `get letter ${here("back")}`,
    `put ${here("letter")} letter`,
    `put ${here("letter")} old`,
    "rm letter",
    "rename letter l",
  ]) {
    const { code, stderr } = await sftp("box", line);
    assert.notEqual(code, 0, line);
    assert.match(stderr, /[Pp]ermission denied|Couldn't read directory/, line);
  }
  const { stdout, stderr } = await sftp("box", "ls");
  assert.equal(stdout.toString().replaceAll(/^sftp> .*\n/gm, ""), "");
  assert.match(stderr, /[Pp]ermission denied/);
  assert.equal(await readFile(join(root, "in", "old"), "utf8"), "was here\n");
});

test("rights by path, endings and sizes", { skip }, async () => {
  await writeFile(here("small.csv"), "x".repeat(1000));
  await writeFile(here("big.csv"), "x".repeat(1001));
  const fine = await sftp(
    "partner",
    `get out/report.csv ${here("r2")}`,
    `put ${here("small.csv")} in/small.CSV`,
    "ls in",
    "rename in/small.CSV in/moved.csv",
    "rm in/moved.csv",
  );
  assert.equal(fine.code, 0, fine.stderr);
  for (const line of [
    `put ${here("small.csv")} small.csv`,
    `put ${here("small.csv")} in/small.txt`,
    `put ${here("big.csv")} in/big.csv`,
    `get in/old ${here("x")}`,
    // To where it could be read.
    "rename in/old out/old.csv",
  ]) {
    const { code, stderr } = await sftp("partner", line);
    assert.notEqual(code, 0, line);
    assert.match(stderr, /[Pp]ermission denied/, line);
  }
  assert.equal((await lstat(join(root, "in", "big.csv"))).size, 0, "made, and nothing written to it");
});

test("how much one session may move", { skip }, async () => {
  await writeFile(here("2000"), "x".repeat(2000));
  const lines = [1, 2, 3].map((n) => `-put ${here("2000")} little-${n}`);
  const { stderr } = await sftp("little", ...lines);
  assert.match(stderr, /[Pp]ermission denied/);
  assert.equal((await lstat(join(root, "little-2"))).size, 2000);
  assert.equal((await lstat(join(root, "little-3"))).size, 0);
});

test("the record: who touched which file", { skip }, async () => {
  await writeFile(here("page"), "page\n".repeat(30_000));
  const page = await readFile(here("page"));
  const at = (name: string): string => join(root, "boxes", name);
  const { code, stderr } = await sftp(
    "watched",
    `put ${here("page")} ${at("page")}`,
    `get ${at("page")} ${here("again")}`,
    `ls ${join(root, "boxes")}`,
    `rename ${at("page")} ${at("leaf")}`,
    `ln -s leaf ${at("link")}`,
    `chmod 600 ${at("leaf")}`,
    `rm ${at("link")}`,
    `mkdir ${at("made")}`,
    `rmdir ${at("made")}`,
    `-rm ${at("none")}`,
  );
  assert.equal(code, 0, stderr);
  const records = await audited("watched");
  const opened = records.filter((record) => record.event === "file-open");
  assert.deepEqual(
    opened.map(({ path, access, outcome }) => ({ path, access, outcome })),
    [
      { path: at("page"), access: ["write", "create", "truncate"], outcome: "done" },
      { path: at("page"), access: ["read"], outcome: "done" },
    ],
  );
  const closed = records.filter((record) => record.event === "file-close");
  assert.deepEqual(
    closed.map(({ bytesRead, bytesWritten, sha256: sum, of }) => ({ bytesRead, bytesWritten, sum, of })),
    [
      { bytesRead: 0, bytesWritten: page.length, sum: sha256(page), of: "written" },
      { bytesRead: page.length, bytesWritten: 0, sum: sha256(page), of: "read" },
    ],
  );
  const changed = records.filter((record) => record.event === "file-change");
  assert.deepEqual(
    changed.map(({ action, path, to, outcome }) => [action, path, to, outcome]),
    [
      ["rename", at("page"), at("leaf"), "done"],
      ["symlink", at("link"), "leaf", "done"],
      ["attributes", at("leaf"), undefined, "done"],
      ["remove", at("link"), undefined, "done"],
      ["mkdir", at("made"), undefined, "done"],
      ["rmdir", at("made"), undefined, "done"],
      ["remove", at("none"), undefined, "failed"],
    ],
  );
  const listed = records.find((record) => record.event === "file-list");
  assert.equal(listed?.path, `${join(root, "boxes")}/`);
});

test("in a folder of one's own, the record has both names, and what was refused", { skip }, async () => {
  await sftp("reader", `get out/report.csv ${here("r3")}`, "-rm out/report.csv");
  const records = await audited("reader");
  const closed = records.find((record) => record.event === "file-close");
  assert.deepEqual(
    { path: closed?.path, upstreamPath: closed?.upstreamPath, sum: closed?.sha256 },
    { path: "/out/report.csv", upstreamPath: join(root, "out", "report.csv"), sum: sha256("a,b\n") },
  );
  const refused = records.find((record) => record.event === "file-refused");
  assert.deepEqual(
    [refused?.action, refused?.path, refused?.reason],
    ["remove", "/out/report.csv", "Deleting is not allowed here."],
  );
});

test("scp, which cuts its files at the end: what it brought has its sum, a new file and one that was longer", {
  skip,
}, async () => {
  const target = world.gateway.target("watched", world.identity.path);
  const settings = [...sshSettings(target), "-P", String(target.port)];
  for (const name of ["scp-large", "scp-small"]) {
    await writeFile(here(name), name.repeat(name === "scp-large" ? 20_000 : 10));
    const to = `${sshPlace(target)}:${join(root, "boxes", "scp")}`;
    const { code, stderr } = await run("scp", [...settings, here(name), to]);
    assert.equal(code, 0, stderr);
    const closed = (await audited("watched")).find((record) => record.event === "file-close");
    const wanted = sha256(await readFile(here(name)));
    assert.deepEqual([closed?.of, closed?.sha256], ["written", wanted], name);
    assert.equal(sha256(await readFile(join(root, "boxes", "scp"))), wanted, name);
  }
});

test("scp in its old protocol is recorded too, and does not get into a folder of one's own", {
  skip,
}, async () => {
  const target = world.gateway.target("watched", world.identity.path);
  const settings = ["-O", ...sshSettings(target), "-P", String(target.port)];
  await mkdir(here("tree"));
  await writeFile(here("tree/one"), "one\n");
  await writeFile(here("tree/none"), "");
  const up = await run("scp", [
    ...settings,
    "-r",
    here("tree"),
    `${sshPlace(target)}:${join(root, "boxes")}`,
  ]);
  assert.equal(up.code, 0, up.stderr);
  const sent = (await audited("watched")).filter((record) => record.event === "file-close");
  assert.deepEqual(
    sent
      .toSorted((a, b) => a.path.localeCompare(b.path))
      .map(({ path, bytesWritten, sha256: sum, outcome }) => [path, bytesWritten, sum, outcome]),
    [
      [join(root, "boxes", "tree", "none"), 0, sha256(""), "done"],
      [join(root, "boxes", "tree", "one"), 4, sha256("one\n"), "done"],
    ],
  );
  const down = await run("scp", [
    ...settings,
    `${sshPlace(target)}:${join(root, "boxes", "tree", "one")}`,
    here("one-back"),
  ]);
  assert.equal(down.code, 0, down.stderr);
  const fetched = (await audited("watched")).find((record) => record.event === "file-close");
  assert.deepEqual([fetched?.bytesRead, fetched?.sha256], [4, sha256("one\n")]);
  const rooted = world.gateway.target("reader", world.identity.path);
  const refused = await run("scp", [
    "-O",
    ...sshSettings(rooted),
    "-P",
    String(rooted.port),
    `${sshPlace(rooted)}:/etc/hostname`,
    here("no"),
  ]);
  assert.notEqual(refused.code, 0);
  assert.match(refused.stderr, /not allowed here/);
});
