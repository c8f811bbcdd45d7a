/** One SFTP login, one tree of several hosts: `sftp.mounts`. */
import assert from "node:assert/strict";
import { chown, lstat, mkdir, readdir, readFile, readlink, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { AuditRecord } from "#contract";
import { createHash, randomBytes } from "node:crypto";
import { auditLines } from "#test/support/audit-lines";
import { Child, type Outcome, run } from "#test/support/child";
import { type Listener, startListener } from "#test/support/echo-server";
import { type Gateway, type Pieces, postern, startGateway } from "#test/support/gateway";
import { runSsh, sshPlace, sshSettings } from "#test/support/ssh";
import { type Sshd, startSshd } from "#test/support/sshd";
import { missing } from "#test/support/strangers";
import { descendants } from "#test/support/processes";
import { isRoot } from "#test/support/test-user";
import { until } from "#test/support/waiting";
import { keyLogin, keyRule, type Parts, startParts, upstreamTo } from "#test/support/world";

const skip = missing("ssh", "sshd");
let parts: Parts & AsyncDisposable;
let second: Sshd;
let silent: Listener;
let gateway: Gateway;
let top: string;
let auditFile: string;
let rulesAtFirst: readonly Pieces[];

/** A mount of one sshd. */
const mount = (sshd: Sshd, at: string, root: string, more: object = {}): object => ({
  at,
  root,
  upstream: upstreamTo({ ...parts, sshd }),
  ...more,
});

const own = async (path: string): Promise<void> => {
  if (isRoot) await chown(path, parts.user.uid, parts.user.gid);
};

before(async () => {
  if (skip !== false) return;
  parts = await startParts();
  second = await startSshd({ authorizedKeys: [parts.gatewayKey.publicLine] });
  silent = await startListener(() => {});
  top = join(parts.user.home, "mounts");
  for (const folder of ["", "in", "in/sub", "in/drop", "data", "data/old", "ada"]) {
    await mkdir(join(top, folder));
    await own(join(top, folder));
  }
  await writeFile(join(top, "in", "file"), "of the first\n");
  await own(join(top, "in", "file"));
  await writeFile(join(top, "data", "old", "file"), "of the second\n");
  await writeFile(join(top, "canary"), "secret of above\n");
  await writeFile(join(top, "ada", "hers"), "hers\n");
  await symlink("../../canary", join(top, "in", "sub", "out"));
  await symlink("../data/old/file", join(top, "in", "across"));
  await symlink("sub", join(top, "in", "link"));
  gateway = await startGateway();
  auditFile = gateway.folder.at("audit.jsonl");
  const incoming = mount(parts.sshd, "/incoming", join(top, "in"));
  const nowhere = (at: string, port: number): object => ({
    at,
    root: "/",
    upstream: { ...upstreamTo(parts), addresses: [`127.0.0.1:${port}`], connectTimeoutSeconds: 1 },
  });
  rulesAtFirst = [
    rule("tree", [incoming, mount(second, "/far/archive", join(top, "data"), { rights: "read-only" })]),
    rule("writer", [incoming, mount(second, "/far/archive", join(top, "data"))]),
    rule("partner", [incoming, mount(second, "/far/archive", join(top, "data"))], {
      rights: ["list", "read", "create"],
      paths: [{ path: "/incoming/drop", rights: "upload-only" }],
      hide: ["/far/archive/old", "sub"],
      maxFileBytes: 100,
    }),
    rule("broken", [
      incoming,
      nowhere("/down", 1),
      nowhere("/mute", silent.port),
      mount(second, "/none", join(top, "none")),
    ]),
    {
      name: "named",
      match: { userPattern: "named-(?P<who>.*)" },
      login: [keyLogin(parts.identity)],
      upstream: upstreamTo(parts),
      sftp: {
        mounts: [
          { at: "/home/{who}", root: `${top}/{who}` },
          { at: "/shared", root: join(top, "data"), upstream: upstreamTo({ ...parts, sshd: second }) },
        ],
      },
    },
  ];
  await gateway.rewrite(rulesAtFirst, { audit: [{ kind: "jsonl", file: auditFile }], limits, keepalive });
  gateway.signal("SIGHUP");
  await gateway.waitForLog("the reload", ({ event }) => event === "reloaded");
});
after(async () => {
  await gateway?.[Symbol.asyncDispose]();
  await silent?.[Symbol.asyncDispose]();
  await second?.[Symbol.asyncDispose]();
  await parts?.[Symbol.asyncDispose]();
});

/** Notices within seconds that a host says nothing any more. */
const keepalive = { intervalSeconds: 1, maxMissed: 1 };

const limits = {
  startups: { start: 1000, full: 1000 },
  maxStartupsPerSource: 1000,
  upstreamLoginSeconds: 2,
};

/** A rule whose tree has these mounts. */
function rule(name: string, mounts: readonly object[], sftp: object = {}): Pieces {
  const { upstream, ...kept } = keyRule(parts, name, { sftp: { record: true, ...sftp, mounts } });
  void upstream;
  return kept;
}

/** One rule more than at first, in force. */
async function withRule(added: Pieces): Promise<void> {
  const audit = [{ kind: "jsonl", file: auditFile }];
  await gateway.rewrite([...rulesAtFirst, added], { audit, limits, keepalive });
  const reloads = gateway.events("reloaded").length;
  gateway.signal("SIGHUP");
  await until("the reload", () => gateway.events("reloaded").length > reloads);
}

/** Runs sftp with these lines. */
async function sftp(user: string, ...lines: readonly string[]): Promise<Outcome> {
  const target = gateway.target(user, parts.identity.path);
  const settings = [...sshSettings(target), "-P", String(target.port), "-b", "-"];
  return await run("sftp", [...settings, sshPlace(target)], { stdin: { data: `${lines.join("\n")}\n` } });
}

const here = (name: string): string => gateway.folder.at(name);

test("two hosts are one tree, with folders above them that are on none", { skip }, async () => {
  await writeFile(here("new"), "brought\n");
  const { code, stdout, stderr } = await sftp(
    "tree",
    "pwd",
    "ls -1",
    "ls -1 far",
    "ls -la /",
    "cd incoming",
    "pwd",
    `put ${here("new")} brought`,
    "rename brought sub/moved",
    `get file ${here("one")}`,
    "cd ../far/archive/old",
    "pwd",
    `get file ${here("two")}`,
    "cd /incoming/link/..",
    "pwd",
    `get /incoming/sub/../../far/archive/old/file ${here("three")}`,
    `get /incoming/link/../../../far/archive/old/file ${here("four")}`,
  );
  assert.equal(code, 0, stderr);
  const text = stdout.toString();
  for (const line of [
    "Remote working directory: /",
    "Remote working directory: /incoming",
    "Remote working directory: /far/archive/old",
    "far",
    "incoming",
    "far/archive",
  ])
    assert.ok(text.split("\n").includes(line), `${line}: ${text}`);
  assert.match(text, /^dr-xr-xr-x .* \.$/m);
  assert.equal(await readFile(here("one"), "utf8"), "of the first\n");
  for (const name of ["two", "three", "four"])
    assert.equal(await readFile(here(name), "utf8"), "of the second\n", name);
  assert.equal(await readFile(join(top, "in", "sub", "moved"), "utf8"), "brought\n");
});

/** The audit's lines of the last session of this user, when it has ended. */
async function audited(user: string): Promise<AuditRecord[]> {
  const read = (): AuditRecord[] => {
    const records = auditLines(auditFile);
    const last = records.findLast((record) => record.user === user)?.session;
    return records.filter(({ session }) => session === last);
  };
  await until("the end is in the audit", () => read().some(({ event }) => event === "end"));
  return read();
}

test("nothing goes from one host to another by itself, and the person is told so", { skip }, async () => {
  const before = (await readdir(join(top, "in"))).toSorted();
  for (const line of [
    "rename /incoming/file /far/archive/file",
    "rename /far/archive/old/file /incoming/old",
    "ln /incoming/file /far/archive/file",
    "ln -s /incoming/file /far/archive/file",
    "ln -s ../../incoming/file /far/archive/file",
    "cp /incoming/file /far/archive/file",
  ]) {
    const { code, stderr } = await sftp("writer", line);
    assert.notEqual(code, 0, line);
    assert.match(stderr, /ermission denied/, line);
  }
  assert.deepEqual((await readdir(join(top, "in"))).toSorted(), before);
  assert.deepEqual((await readdir(join(top, "data"))).toSorted(), ["file", "old"]);
  // Opened before it was known where it was to come from.
  assert.equal((await lstat(join(top, "data", "file"))).size, 0);
  const [refused] = (await audited("writer")).filter(({ event }) => event === "file-refused");
  assert.ok(refused?.event === "file-refused");
  assert.match(refused.reason, /cannot be copied at the host from \/incoming to \/far\/archive/);
});

test("folders above the mounts, and the places of mounts, cannot be changed", { skip }, async () => {
  for (const line of [
    "mkdir new",
    "mkdir far",
    "mkdir far/new",
    `put ${here("new")} new`,
    "rmdir far",
    "rmdir incoming",
    "rmdir far/archive",
    "rename incoming coming",
    "rename far/archive far/else",
    "rename incoming/file file",
    "ln -s incoming/file link",
    "chmod 700 far",
    "chmod 700 /",
  ]) {
    const { code, stderr } = await sftp("writer", line);
    assert.notEqual(code, 0, line);
    assert.match(stderr, /ermission denied|Failure/, `${line}: ${stderr}`);
  }
  for (const line of ["ls none", "get none", "get far/none", "cd far/none/deeper", "ls /incoming/none"]) {
    const { code, stderr } = await sftp("writer", line);
    assert.notEqual(code, 0, line);
    assert.match(stderr, /not found|No such file/, `${line}: ${stderr}`);
  }
});

test("no link of a mount leads to another, or above", { skip }, async () => {
  for (const path of [
    "/incoming/sub/out",
    "/incoming/across",
    "/incoming/../canary",
    "/canary",
    `${top}/canary`,
    "/incoming/sub/../../../canary",
    "/far/archive/../../../canary",
  ]) {
    const { code, stdout, stderr } = await sftp("writer", `get ${path} ${here("stolen")}`);
    assert.notEqual(code, 0, path);
    assert.ok(!`${stdout.toString()}${stderr}`.replaceAll(path, "").includes(top), stderr);
  }
  await assert.rejects(lstat(here("stolen")));
  const made = await sftp(
    "writer",
    "ln -s /incoming/file /incoming/sub/absolute",
    "ln -s file incoming/relative",
  );
  assert.equal(made.code, 0, made.stderr);
  assert.equal(await readlink(join(top, "in", "sub", "absolute")), join(top, "in", "file"));
  assert.equal(await readlink(join(top, "in", "relative")), "file");
});

test("rights of a mount, and of the whole tree", { skip }, async () => {
  const written = await sftp("tree", `put ${here("new")} /far/archive/new`);
  assert.match(written.stderr, /ermission denied/);
  const listed = await sftp("partner", "ls -1 /incoming", "ls -1 /far/archive");
  assert.equal(listed.code, 0, listed.stderr);
  assert.doesNotMatch(listed.stdout.toString(), /^.*(sub|old)$/m);
  assert.equal((await sftp("partner", `put ${here("new")} /incoming/drop/letter`)).code, 0);
  for (const line of [
    "ls /incoming/drop",
    `get /incoming/drop/letter ${here("stolen")}`,
    "rm /incoming/file",
    "get /far/archive/old/file",
    `put ${process.execPath} /incoming/large`,
  ]) {
    const { code, stderr } = await sftp("partner", line);
    assert.notEqual(code, 0, `${line}: ${stderr}`);
  }
});

test("a host that is down, one that never answers, and a root that is not there: the rest works, and it is said which", {
  skip,
}, async () => {
  const { stdout, stderr } = await sftp(
    "broken",
    "ls -1",
    "-ls /down",
    "-ls /down",
    "-ls /mute",
    "-ls /none",
    `get /incoming/file ${here("meanwhile")}`,
  );
  for (const place of ["down", "incoming", "mute", "none"])
    assert.match(stdout.toString(), new RegExp(`^${place}$`, "m"));
  assert.match(stderr, /\/down: The server behind this gateway cannot be reached/);
  assert.match(stderr, /\/mute: The server behind this gateway/);
  assert.match(stderr, /\/none: The folder of this login cannot be reached/);
  assert.equal(await readFile(here("meanwhile"), "utf8"), "of the first\n");
  const lost = gateway.events("mount-lost").map((line) => line["mount"]);
  for (const place of ["/down", "/mute", "/none"]) assert.ok(lost.includes(place), String(lost));
});

test("status tells which hosts a tree is connected to", { skip }, async () => {
  const ask = (file: string, ...more: string[]): string => {
    const words = [process.execPath, "bin/postern.js", "status", "-c", gateway.configFile, ...more];
    return `!${words.map((word) => `'${word}'`).join(" ")} > '${here(file)}'`;
  };
  const { code, stderr } = await sftp(
    "tree",
    "pwd",
    ask("none.json", "--json"),
    "ls /incoming",
    ask("one.json", "--json"),
    "ls /far/archive",
    ask("both.txt"),
  );
  assert.equal(code, 0, stderr);
  const mountsIn = async (file: string): Promise<unknown> => {
    const status = JSON.parse(await readFile(here(file), "utf8")) as {
      sessions: readonly { user: string; mounts?: unknown }[];
    };
    return status.sessions.find(({ user }) => user === "tree")?.mounts;
  };
  const name = ({ port }: Sshd): string => `${parts.user.name}@127.0.0.1:${port}`;
  assert.deepEqual(await mountsIn("none.json"), []);
  assert.deepEqual(await mountsIn("one.json"), [{ at: "/incoming", upstream: name(parts.sshd) }]);
  const text = await readFile(here("both.txt"), "utf8");
  assert.ok(text.includes(` to ${name(parts.sshd)} and ${name(second)}, open, `), text);
});

test("explain tells where each mount leads", { skip }, async () => {
  const { stdout, code, stderr } = await postern([
    "explain",
    "-c",
    gateway.configFile,
    "--from",
    "127.0.0.1",
    "named-ada",
  ]);
  assert.equal(code, 0, stderr);
  const text = stdout.toString();
  assert.match(text, /a tree of mounts, for SFTP alone/);
  assert.ok(
    text.includes(`/home/ada is ${top}/ada at 127.0.0.1:${parts.sshd.port} as ${parts.user.name}.`),
    text,
  );
  assert.ok(text.includes(`/shared is ${top}/data at 127.0.0.1:${second.port}`), text);
  const refused = await postern(["explain", "-c", gateway.configFile, "named-.."]);
  assert.match(refused.stdout.toString(), /no folder's name/);
});

test("a host that dies in the middle: what was asked of it fails, the rest works, and it is found again", {
  skip,
}, async () => {
  await using mortal = await startSshd({ authorizedKeys: [parts.gatewayKey.publicLine] });
  await withRule(
    rule("mortal", [
      mount(parts.sshd, "/incoming", join(top, "in")),
      mount(mortal, "/mortal", join(top, "data")),
    ]),
  );
  const target = gateway.target("mortal", parts.identity.path);
  await using client = new Child(
    "sftp",
    [...sshSettings(target), "-P", String(target.port), "-b", "-", sshPlace(target)],
    { stdin: "open" },
  );
  client.stdin.write(`get /mortal/old/file ${here("alive")}\n-ls -1 /mortal\n`);
  await client.waitForStdout(/^\/mortal\/old$/m);
  for (const pid of [...(await descendants(mortal.child.pid)), mortal.child.pid])
    process.kill(pid, "SIGKILL");
  await client.waitForStderr(/\/mortal: The connection to the server behind this gateway was lost/);
  client.stdin.write(`-ls -1 /mortal\nget /incoming/file ${here("living")}\nls -1 /incoming/sub\n`);
  await client.waitForStdout(/^\/incoming\/sub\/out$/m);
  assert.equal(await readFile(here("living"), "utf8"), "of the first\n");
  await using again = await startSshd({
    authorizedKeys: [parts.gatewayKey.publicLine],
    port: mortal.port,
    hostKeyFiles: mortal.hostKeys,
  });
  assert.equal(again.port, mortal.port);
  await until("the host is found again", async () => {
    client.stdin.write("-ls -1 /mortal/old\n");
    const count = client.stdout.toString().match(/^\/mortal\/old\/file$/gm)?.length ?? 0;
    return count > 0;
  });
  client.stdin.end();
  assert.equal((await client.outcome()).code, 0);
});

test("a host that hangs is given up, and what was asked of it is answered", { skip }, async () => {
  await using hanging = await startSshd({ authorizedKeys: [parts.gatewayKey.publicLine] });
  await withRule(
    rule("hanging", [
      mount(parts.sshd, "/incoming", join(top, "in")),
      mount(hanging, "/hanging", join(top, "data")),
    ]),
  );
  const target = gateway.target("hanging", parts.identity.path);
  await using client = new Child(
    "sftp",
    [...sshSettings(target), "-P", String(target.port), "-b", "-", sshPlace(target)],
    { stdin: "open" },
  );
  client.stdin.write("ls -1 /hanging\n");
  await client.waitForStdout(/^\/hanging\/old$/m);
  const stopped = [...(await descendants(hanging.child.pid)), hanging.child.pid];
  for (const pid of stopped) process.kill(pid, "SIGSTOP");
  try {
    client.stdin.write(`-ls -1 /hanging\nget /incoming/file ${here("after-hanging")}\nls -1 /incoming/sub\n`);
    await client.waitForStderr(/\/hanging: The connection to the server behind this gateway was lost/);
    await client.waitForStdout(/^\/incoming\/sub\/out$/m);
  } finally {
    for (const pid of stopped) process.kill(pid, "SIGCONT");
  }
  assert.equal(await readFile(here("after-hanging"), "utf8"), "of the first\n");
  client.stdin.end();
  assert.equal((await client.outcome()).code, 0);
});

test("large files and many small ones, of two hosts, with many requests at once", { skip }, async () => {
  const big = randomBytes(9_000_000);
  await writeFile(here("big"), big);
  await mkdir(here("many"));
  for (let number = 0; number < 150; number++) await writeFile(here(`many/${number}`), `file ${number}\n`);
  const target = gateway.target("writer", parts.identity.path);
  const lines = [
    `put ${here("big")} /incoming/big`,
    `put ${here("big")} /far/archive/big`,
    `put -r ${here("many")} /far/archive/many`,
    `get /incoming/big ${here("big1")}`,
    `get /far/archive/big ${here("big2")}`,
    `get -r /far/archive/many ${here("back")}`,
    `reget /far/archive/big ${here("big2")}`,
    "df /incoming",
    "df /",
  ];
  const { code, stderr } = await run(
    "sftp",
    [...sshSettings(target), "-R", "300", "-P", String(target.port), "-b", "-", sshPlace(target)],
    { stdin: { data: `${lines.join("\n")}\n` } },
  );
  assert.equal(code, 0, stderr);
  for (const name of ["big1", "big2"]) assert.ok((await readFile(here(name))).equals(big), name);
  assert.deepEqual((await readdir(here("back"))).toSorted(), (await readdir(here("many"))).toSorted());
  const sum = createHash("sha256").update(big).digest("hex");
  const closes = (await audited("writer")).flatMap((record) =>
    record.event === "file-close" ? [record] : [],
  );
  const found = closes.map(({ path, upstreamPath, mount: at, upstream, of, sha256 }) =>
    [path, upstreamPath, at, upstream, of, sha256 === sum].join(" "),
  );
  const { name } = parts.user;
  assert.deepEqual(found.slice(0, 2), [
    `/incoming/big ${top}/in/big /incoming ${name}@127.0.0.1:${parts.sshd.port} written true`,
    `/far/archive/big ${top}/data/big /far/archive ${name}@127.0.0.1:${second.port} written true`,
  ]);
  assert.equal(closes.filter(({ path }) => path.startsWith("/far/archive/many/")).length, 300);
});

test("scp, which speaks SFTP, both ways; and nothing else than SFTP", { skip }, async () => {
  const target = gateway.target("writer", parts.identity.path);
  const settings = [...sshSettings(target), "-P", String(target.port)];
  const up = await run("scp", [...settings, here("new"), `${sshPlace(target)}:/incoming/by-scp`]);
  assert.equal(up.code, 0, up.stderr);
  const down = await run("scp", [...settings, `${sshPlace(target)}:/far/archive/old/file`, here("by-scp")]);
  assert.equal(down.code, 0, down.stderr);
  assert.equal(await readFile(join(top, "in", "by-scp"), "utf8"), "brought\n");
  assert.equal(await readFile(here("by-scp"), "utf8"), "of the second\n");
  const old = await run("scp", [...settings, "-O", here("new"), `${sshPlace(target)}:/incoming/old-scp`]);
  assert.notEqual(old.code, 0);
  assert.match(old.stderr, /Only SFTP is allowed here/);
  for (const command of [[], ["id"]]) {
    const { code, stdout, stderr } = await runSsh(target, command);
    assert.deepEqual([code, stdout.toString()], [1, ""]);
    assert.match(stderr, /Only SFTP is allowed here/);
  }
  const forward = await runSsh(target, [], { flags: ["-W", `127.0.0.1:${second.port}`] });
  assert.notEqual(forward.code, 0);
});

test("places and roots by captures; a name that stands for none is let in nowhere", { skip }, async () => {
  const { stdout, code, stderr } = await sftp("named-ada", "ls -1 /home", "ls -1 /home/ada", "ls -1 /shared");
  assert.equal(code, 0, stderr);
  assert.match(stdout.toString(), /^\/home\/ada$[^]*^\/home\/ada\/hers$[^]*^\/shared\/old$/m);
  for (const name of ["named-..", "named-", "named-."]) {
    const refused = await sftp(name, "ls");
    assert.match(refused.stderr, /ermission denied|refused/, name);
  }
});
