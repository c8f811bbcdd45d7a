/** SFTP confined to one folder: the client sees it as /, and nothing else. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { chown, lstat, mkdir, readFile, readlink, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { FXF } from "#ssh/sftp";
import { run, type Outcome } from "#test/support/child";
import { Confined, noSftpServer, planOf } from "#test/support/confined";
import { runSsh, sshPlace, sshSettings } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { tempDir } from "#test/support/temp-dir";
import { isRoot } from "#test/support/test-user";
import { keyRule, startWorld, type World } from "#test/support/world";

const skip = missing("ssh", "sshd");
let world: World;
let top: string;
let root: string;

before(async () => {
  if (skip !== false) return;
  world = await startWorld({
    rules: (parts) => {
      top = join(parts.user.home, "sftp-test");
      root = join(top, "srv");
      return [
        keyRule(parts, "rooted", { sftp: { root } }),
        keyRule(parts, "of-ada", { match: { userPattern: "of-(.*)" }, sftp: { root: `${top}/{1}` } }),
        keyRule(parts, "nowhere", { sftp: { root: `${top}/nowhere` } }),
        keyRule(parts, "shell-too", { sftp: { root }, policy: { sftp: true, exec: ["echo *"] } }),
      ];
    },
  });
  const own = async (path: string): Promise<void> => {
    if (isRoot) await chown(path, world.user.uid, world.user.gid);
  };
  for (const folder of [top, root, join(root, "sub"), join(root, "sub", "deep"), join(top, "ada")]) {
    await mkdir(folder);
    await own(folder);
  }
  await writeFile(join(top, "canary"), "secret of above\n");
  await writeFile(join(root, "file"), "inside\n");
  await writeFile(join(root, "sub", "deep", "leaf"), "leaf\n");
  await writeFile(join(top, "ada", "hers"), "hers\n");
  await symlink("../canary", join(root, "out-relative"));
  await symlink(join(top, "canary"), join(root, "out-absolute"));
  await symlink("..", join(root, "out-folder"));
  await symlink("/", join(root, "slash"));
  await symlink("sub/deep", join(root, "in-relative"));
  await symlink(join(root, "sub"), join(root, "in-absolute"));
});
after(async () => {
  await world?.[Symbol.asyncDispose]();
});

/** Runs sftp with these lines. */
async function sftp(user: string, ...lines: readonly string[]): Promise<Outcome> {
  const target = world.gateway.target(user, world.identity.path);
  const settings = [...sshSettings(target), "-P", String(target.port), "-b", "-"];
  return await run("sftp", [...settings, sshPlace(target)], { stdin: { data: `${lines.join("\n")}\n` } });
}

const here = (name: string): string => world.gateway.folder.at(name);

test("the folder is /, and what lies in it can be read, written and listed", { skip }, async () => {
  await writeFile(here("new"), "brought\n");
  const { code, stdout, stderr } = await sftp(
    "rooted",
    "pwd",
    "ls -1",
    "get file " + here("got"),
    "cd sub",
    "pwd",
    `put ${here("new")} brought`,
    "mkdir made",
    "rename brought made/moved",
    "ls -1 made",
    "rm made/moved",
    "rmdir made",
    `get /in-relative/leaf ${here("leaf")}`,
    `get /in-absolute/deep/leaf ${here("leaf2")}`,
    "cd /in-relative",
    "pwd",
  );
  assert.equal(code, 0, stderr);
  const text = stdout.toString();
  assert.match(text, /Remote working directory: \/\n/);
  assert.match(text, /Remote working directory: \/sub\n/);
  assert.match(text, /Remote working directory: \/sub\/deep\n/);
  assert.match(text, /^file$/m);
  assert.match(text, /moved/);
  assert.equal(await readFile(here("got"), "utf8"), "inside\n");
  assert.equal(await readFile(here("leaf"), "utf8"), "leaf\n");
  assert.equal(await readFile(here("leaf2"), "utf8"), "leaf\n");
});

test("a backslash is a sign like others, at a host like this one", { skip }, async () => {
  await writeFile(here("new"), "brought\n");
  const name = '"sub/odd\\\\..\\\\name"';
  const { code, stderr } = await sftp("rooted", `put ${here("new")} ${name}`, `get ${name} ${here("odd")}`);
  assert.equal(code, 0, stderr);
  assert.equal(await readFile(join(root, "sub", "odd\\..\\name"), "utf8"), "brought\n");
  assert.equal(await readFile(here("odd"), "utf8"), "brought\n");
});

test("no way leads out", { skip }, async () => {
  const ways = [
    "../canary",
    "/../canary",
    "sub/../../canary",
    "out-relative",
    "out-absolute",
    "out-folder/canary",
    `slash${top}/canary`,
    `${top}/canary`,
    "in-relative/../../../canary",
  ];
  for (const way of ways) {
    const { code, stdout, stderr } = await sftp("rooted", `get ${way} ${here("stolen")}`);
    assert.notEqual(code, 0, way);
    // What the client says itself repeats the name that it was given.
    const told = `${stdout.toString()}${stderr}`.replaceAll(way, "");
    assert.ok(!told.includes("sftp-test"), `${way}: ${told}`);
  }
  await assert.rejects(lstat(here("stolen")));
  for (const line of [
    "cd out-folder",
    `put ${here("new")} out-relative`,
    "rm out-folder/canary",
    "mkdir out-folder/x",
  ]) {
    const { code } = await sftp("rooted", line);
    assert.notEqual(code, 0, line);
  }
  assert.equal(await readFile(join(top, "canary"), "utf8"), "secret of above\n");
  // The link itself is there, as in a folder of one's own it would be.
  const listed = await sftp("rooted", "ls -la out-folder", "ls -la out-folder/", "ls -la /");
  assert.doesNotMatch(listed.stdout.toString(), /canary|sftp-test/);
});

test("links are told as the client sees them, and stay inside", { skip }, async () => {
  const made = await sftp(
    "rooted",
    "ln -s /file absolute",
    "ln -s ../file sub/relative",
    `get sub/relative ${here("by-link")}`,
  );
  assert.equal(made.code, 0, made.stderr);
  assert.equal(await readlink(join(root, "absolute")), join(root, "file"));
  assert.equal(await readlink(join(root, "sub", "relative")), "../file");
  assert.equal(await readFile(here("by-link"), "utf8"), "inside\n");
  const refused = await sftp("rooted", "ln -s ../../canary sub/evil");
  assert.notEqual(refused.code, 0);
  assert.match(refused.stderr, /Permission denied/);
});

test("nothing but SFTP, unless the rule says so", { skip }, async () => {
  const ssh = (user: string, command: readonly string[]): ReturnType<typeof runSsh> =>
    runSsh(world.gateway.target(user, world.identity.path), command);
  for (const command of [[], ["id"], ["scp -f /etc/hostname"], ["/usr/lib/openssh/sftp-server"]]) {
    const { code, stdout, stderr } = await ssh("rooted", command);
    assert.notEqual(code, 0);
    assert.equal(stdout.toString(), "");
    assert.match(stderr, /not allowed here/);
  }
  assert.equal((await ssh("shell-too", ["echo yes"])).stdout.toString(), "yes\n");
});

test("the root may be a name of the client's, but no name leads elsewhere", { skip }, async () => {
  assert.equal((await sftp("of-ada", "ls hers")).code, 0);
  for (const user of ["of-..", "of-.", "of-a/../srv", "of-"]) {
    const { code, stderr } = await sftp(user, "ls");
    assert.notEqual(code, 0, user);
    assert.match(stderr, /stands for no folder here/, user);
  }
  const gone = await sftp("nowhere", "ls");
  assert.notEqual(gone.code, 0);
  assert.match(gone.stderr, /folder of this login cannot be reached/);
});

test("what was broken off is resumed, both ways", { skip }, async () => {
  const whole = randomBytes(300_000);
  await writeFile(here("whole"), whole);
  await writeFile(here("half-got"), whole.subarray(0, 100_000));
  await writeFile(join(root, "half-put"), whole.subarray(0, 123_456));
  await writeFile(join(root, "whole"), whole);
  if (isRoot)
    for (const name of ["half-put", "whole"]) await chown(join(root, name), world.user.uid, world.user.gid);
  const { code, stderr } = await sftp(
    "rooted",
    `reput ${here("whole")} half-put`,
    `reget whole ${here("half-got")}`,
  );
  assert.equal(code, 0, stderr);
  assert.ok(whole.equals(await readFile(join(root, "half-put"))));
  assert.ok(whole.equals(await readFile(here("half-got"))));
});

for (const [how, plan] of [
  ["in a folder of one's own", {}],
  ["watched only", { confining: false, record: true }],
] as const)
  test(`${how}: holes, appending, two hundred requests at once, five thousand names`, {
    skip: noSftpServer,
  }, async () => {
    await using folder = await tempDir();
    const confined = !("confining" in plan);
    await using client = await Confined.start({
      plan: planOf(confined ? { root: folder.path } : plan),
      audit: () => undefined,
    });
    const path = (name: string): string => (confined ? `/${name}` : folder.at(name));
    const open = async (name: string, flags: number): Promise<string> => {
      const answer = await client.ask({ kind: "open", path: path(name), flags, attrs: {} });
      assert.ok(answer.kind === "handle");
      return answer.handle;
    };
    const handle = await open("holes", FXF.READ | FXF.WRITE | FXF.CREAT | FXF.TRUNC);
    const data = randomBytes(200 * 1000);
    const pieces = Array.from({ length: 200 }, (_, at) => data.subarray(at * 1000, at * 1000 + 1000));
    const far = 5_000_000n;
    await Promise.all(
      pieces.map((piece, at) =>
        client.ask({ kind: "write", handle, offset: far + BigInt(at * 1000), length: 1000 }, piece),
      ),
    );
    const read = await Promise.all(
      pieces.map((_, at) =>
        client.ask({ kind: "read", handle, offset: far + BigInt(at * 1000), length: 1000 }),
      ),
    );
    assert.ok(data.equals(Buffer.concat(read.map(({ bulk }) => bulk ?? Buffer.alloc(0)))));
    const inHole = await client.ask({ kind: "read", handle, offset: 4000n, length: 8 });
    assert.deepEqual(inHole.bulk, Buffer.alloc(8));
    await client.ask({ kind: "close", handle });
    const holes = await readFile(folder.at("holes"));
    assert.equal(holes.length, 5_200_000);
    assert.ok(data.equals(holes.subarray(5_000_000)));

    await writeFile(folder.at("log"), "one\n");
    const log = await open("log", FXF.WRITE | FXF.APPEND);
    await client.ask({ kind: "write", handle: log, offset: 0n, length: 4 }, Buffer.from("two\n"));
    await client.ask({ kind: "close", handle: log });
    assert.equal(await readFile(folder.at("log"), "utf8"), "one\ntwo\n");

    await mkdir(folder.at("big"));
    for (let at = 0; at < 5000; at++) await writeFile(folder.at(join("big", `name-${at}`)), "");
    const opened = await client.ask({ kind: "opendir", path: path("big") });
    assert.ok(opened.kind === "handle");
    const names = new Set<string>();
    for (;;) {
      const part = await client.ask({ kind: "readdir", handle: opened.handle });
      if (part.kind !== "name") break;
      for (const { name } of part.entries) names.add(name);
    }
    assert.equal(names.size, 5002);
  });
