/**
 * Every promise of pysshrp kept, by a gateway that runs with its imported configuration, and none of its defects. The rest of its
 * parameters is in import.test.ts: order of the rules, captures, passwords, allow_ssh and allow_sftp.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { chmod, chown, copyFile, mkdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { startAgent } from "#test/support/agent";
import { type Listener, startListener } from "#test/support/echo-server";
import { run } from "#test/support/child";
import type { Pieces } from "#test/support/gateway";
import { type Imported, python, runImported } from "#test/support/imported";
import { descendants, identityOf } from "#test/support/processes";
import { runSsh, spawnSsh, type SshOptions, sshSettings, type SshTarget } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import type { KeyFiles } from "#test/support/test-keys";
import { needsRoot, testUser, type TestUser } from "#test/support/test-user";
import { until } from "#test/support/waiting";
import { type Parts, startParts } from "#test/support/world";

const skip = missing("ssh", "sshd") || needsRoot;

let parts: Parts & AsyncDisposable;
let account: TestUser;
let pysshrp: Imported;
let ada: KeyFiles;
let eve: KeyFiles;
let echo: Listener;
let echoPort = 0;

before(async () => {
  if (skip !== false) return;
  echo = await startListener((socket) => socket.end("hello\n"));
  echoPort = echo.port;
  parts = await startParts({ sshd: { config: ["PasswordAuthentication yes", "MaxAuthTries 20"] } });
  account = await testUser();
  const { user, sshd, gatewayKey, keys, identity } = parts;
  [ada, eve] = ["ada", "eve"].map((name) => keys.key("ed25519", name)) as [KeyFiles, KeyFiles];
  const to = { upstream_host: sshd.host, upstream_port: sshd.port };
  const as = { ...to, upstream_user: user.name };
  const servers: Pieces[] = [
    { user: user.name, ...to },
    { user: "^as-(?P<who>.+)$", ...to, upstream_user: "\\g<who>" },
    { user: "stored", password: "mine", ...as, upstream_password: user.password ?? "" },
    { user: "keys", ...as, upstream_key: gatewayKey.path },
    { user: "named", ...as, upstream_key: "conf.d/upstream_key", upstream_authorized_keys: "team/keys" },
    { user: "rooted", ...as, upstream_key: gatewayKey.path, upstream_root_path: "pysshrp/www" },
    { user: "rootless", ...as, upstream_root_path: "pysshrp/www", allow_sftp: false },
    { user: "closed", ...as, upstream_port: 1 },
    { user: "nowhere", ...as, upstream_host: "no-such-host.invalid" },
  ];
  // What pysshrp offered upstreams unasked: the daemon's own key files and agent, which this upstream would take.
  const home = keys.folder.at("daemon");
  await mkdir(`${home}/.ssh`, { recursive: true });
  for (const end of ["", ".pub"]) await copyFile(`${identity.path}${end}`, `${home}/.ssh/id_ed25519${end}`);
  pysshrp = await runImported(
    "pysshrp",
    ({ port, hostKey }) =>
      [
        "# The gateway; what follows was written for Python 2.",
        `listen = '127.0.0.1:${port}'`,
        `level = "DEBUG"`,
        `key = r'${hostKey}'`,
        `user = '${account.name}'`,
        `group = '${account.name}'`,
        "servers = []",
        "execfile('conf.d/servers.py')  # Python's own include",
        "",
      ].join("\n"),
    {
      hostKey: { kind: "rsa", flags: ["-m", "PEM"] },
      files: {
        "conf.d/servers.py": `servers = [\n${servers.map((server) => `\t${python(server)},\n`).join("")}]\n`,
        "conf.d/conf.d/upstream_key": await readFile(gatewayKey.path, "utf8"),
      },
      env: { HOME: home, SSH_AUTH_SOCK: keys.folder.at("daemon-agent.sock") },
      prepare: async (folder) => {
        // As docs/migrate-from-pysshrp.md says: the account reads what it will reload, and writes to the state.
        await run("chown", ["-R", `${account.name}:${account.name}`, folder.at("new"), folder.at("old")]);
        await chmod(folder.path, 0o755);
        await chmod(gatewayKey.path, 0o644);
      },
    },
  );
});
after(async () => {
  await pysshrp?.[Symbol.asyncDispose]();
  await account?.[Symbol.asyncDispose]();
  await parts?.[Symbol.asyncDispose]();
  await echo?.[Symbol.asyncDispose]();
});

const password = (): string => parts.user.password ?? "";
const target = (user: string, identity?: string): SshTarget => ({
  host: "127.0.0.1",
  port: pysshrp.port,
  user,
  knownHosts: pysshrp.knownHosts,
  ...(identity === undefined ? {} : { identity }),
});

async function ssh(
  user: string,
  by: string | KeyFiles,
  command: readonly string[] = ["id -un"],
  more: SshOptions = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const [to, own] =
    typeof by === "string" ? [target(user), { passwords: [by] }] : [target(user, by.path), {}];
  const { code, stdout, stderr } = await runSsh(to, command, { ...own, ...more });
  return { code, stdout: stdout.toString(), stderr };
}

async function entered(user: string, by: string | KeyFiles): Promise<void> {
  const { stdout, stderr } = await ssh(user, by);
  assert.equal(stdout, `${parts.user.name}\n`, stderr);
}

async function refused(user: string, by: string | KeyFiles): Promise<void> {
  const { code, stdout, stderr } = await ssh(user, by);
  assert.deepEqual([code, stdout], [255, ""]);
  assert.match(stderr, /Permission denied/);
}

/** Writes a file of keys at the upstream. */
async function upstreamKeys(path: string, ...lines: readonly string[]): Promise<void> {
  const { home, uid, gid } = parts.user;
  const folder = `${home}/${path.split("/")[0] ?? ""}`;
  await mkdir(folder, { recursive: true });
  await writeFile(`${home}/${path}`, `${lines.join("\n")}\n`);
  for (const each of [folder, `${home}/${path}`]) await chown(each, uid, gid);
}

const logins = (): number => parts.sshd.count(/Accepted \w+ for/);

test("listen, key, level: where it listens, an RSA key as PEM, what is logged", { skip }, async () => {
  const { stdout } = await ssh(parts.user.name, password(), ["echo in"], {
    options: ["HostKeyAlgorithms=rsa-sha2-512"],
  });
  assert.equal(stdout, "in\n");
  assert.ok(pysshrp.gateway.events("client-connected").length > 0, "a line of level debug");
  assert.match(pysshrp.text, /^log: .*debug/m);
});

test("user, group: each its own number, and no other group stays", { skip }, async () => {
  const { child } = pysshrp.gateway;
  for (const pid of [child.pid, ...(await descendants(child.pid))]) {
    const { uids, gids, groups } = await identityOf(pid);
    assert.deepEqual(uids, Array(4).fill(account.uid));
    assert.deepEqual(gids, Array(4).fill(account.gid));
    assert.deepEqual(
      groups.filter((group) => group !== account.gid),
      [],
    );
  }
});

test("upstream_user: the client's own name, unless it says otherwise", { skip }, async () => {
  await entered(parts.user.name, password());
  await entered(`as-${parts.user.name}`, password());
});

test("password and upstream_password: each for its own side", { skip }, async () => {
  await entered("stored", "mine");
  await refused("stored", password());
});

test("upstream_key: who stands in .ssh/authorized_keys of the upstream comes in; nobody without a key", {
  skip,
}, async () => {
  await upstreamKeys(".ssh/authorized_keys", "# people", ada.publicLine);
  await entered("keys", ada);
  await refused("keys", eve);
  await refused(parts.user.name, parts.identity);
  await entered("keys", password());
  await refused("keys", "not it");
});

test("upstream_authorized_keys: another file, and a key beside the configuration", { skip }, async () => {
  await upstreamKeys("team/keys", eve.publicLine);
  await entered("named", eve);
  await refused("named", ada);
});

test("a password is tried before anything of the daemon's own, which is not tried at all", {
  skip,
}, async () => {
  await using agent = await startAgent([parts.identity.path]);
  await rm(parts.keys.folder.at("daemon-agent.sock"), { force: true });
  await run("ln", ["-s", agent.socket, parts.keys.folder.at("daemon-agent.sock")]);
  const byKey = (): number => parts.sshd.count(/userauth-request for user \S+ .*method publickey/);
  const before = byKey();
  assert.ok(before > 0, "the log would show it");
  await refused(parts.user.name, "not it");
  await entered(parts.user.name, password());
  assert.equal(byKey(), before);
});

test("whether a key stands in the file cannot be asked, and asking costs no login", { skip }, async () => {
  const spent = logins();
  for (const key of [ada, eve]) {
    const half = parts.keys.folder.at("half.pub");
    await writeFile(half, `${key.publicLine}\n`);
    const { stderr } = await runSsh(target("named", half), ["true"], { flags: ["-v"] });
    assert.match(stderr, /Server accepts key/);
  }
  assert.equal(logins(), spent);
});

test("lines with options and lines without a comment match, and options are obeyed", { skip }, async () => {
  const [type = "", blob = ""] = ada.publicLine.split(" ");
  await upstreamKeys(
    "team/keys",
    `command="echo forced" ${type} ${blob}`,
    `from="10.0.0.0/8" ${eve.publicLine}`,
  );
  // What was read before is remembered for a minute; a reload forgets it.
  const reloads = pysshrp.gateway.events("reloaded").length;
  pysshrp.gateway.signal("SIGHUP");
  await pysshrp.gateway.child.waitFor("a reload", () =>
    pysshrp.gateway.events("reloaded").length > reloads ? true : undefined,
  );
  assert.equal((await ssh("named", ada)).stdout, "forced\n");
  await refused("named", eve);
});

test("the upstream's host key is checked: another one is refused, in words", { skip }, async () => {
  await entered(parts.user.name, password());
  const file = pysshrp.folder.at("new/state/known_hosts");
  const kept = await readFile(file, "utf8");
  const [type = "", blob = ""] = eve.publicLine.split(" ");
  await writeFile(file, `[${parts.sshd.host}]:${parts.sshd.port} ${type} ${blob}\n`);
  const { code, stderr } = await ssh(parts.user.name, password());
  await writeFile(file, kept);
  assert.equal(code, 255);
  assert.match(stderr, /host key of the server behind this gateway is not the one on record/);
});

test("an upstream that cannot be reached or found is told in words", { skip }, async () => {
  for (const user of ["closed", "nowhere"]) {
    const { code, stderr } = await ssh(user, password());
    assert.equal(code, 255);
    assert.match(stderr, /server behind this gateway/, user);
  }
});

test("SFTP: resumed and appended files, links, times and modes; nothing changes on the gateway", {
  skip,
}, async () => {
  const { user } = parts;
  const local = parts.keys.folder.at("sftp");
  await rm(local, { recursive: true, force: true });
  await mkdir(local);
  const content = Array.from({ length: 20_000 }, (_, at) => `line ${at}\n`).join("");
  await writeFile(`${local}/whole`, content);
  await chmod(`${local}/whole`, 0o640);
  const there = `${user.home}/files`;
  await rm(there, { recursive: true, force: true });
  const sftp = async (...lines: readonly string[]): Promise<string> => {
    await writeFile(`${local}/batch`, `${lines.join("\n")}\n`);
    const place = target("keys", ada.path);
    const flags = ["-b", `${local}/batch`, ...sshSettings(place), "-P", String(place.port)];
    const { code, stdout, stderr } = await run("sftp", [...flags, `${place.user}@${place.host}`]);
    assert.equal(code, 0, stderr);
    return stdout.toString();
  };
  await mkdir(there);
  await chown(there, user.uid, user.gid);
  await writeFile(`${there}/whole`, content.slice(0, 50_000));
  await chown(`${there}/whole`, user.uid, user.gid);
  const said = await sftp(
    `cd ${there}`,
    `reput ${local}/whole whole`,
    `put -p ${local}/whole copy`,
    "chmod 600 whole",
    "symlink whole link",
    "ls -l",
    "rename copy renamed",
    `get link ${local}/back`,
  );
  assert.match(said, /link/);
  for (const file of [`${there}/whole`, `${there}/renamed`, `${local}/back`])
    assert.equal(await readFile(file, "utf8"), content, file);
  assert.equal((await stat(`${there}/whole`)).mode & 0o777, 0o600);
  assert.equal((await stat(`${there}/renamed`)).mode & 0o777, 0o640);
  assert.equal((await stat(`${local}/whole`)).mode & 0o777, 0o640);
});

test("upstream_root_path: the folder is /, and neither a name like it nor a link leads out", {
  skip,
}, async () => {
  await upstreamKeys(".ssh/authorized_keys", ada.publicLine);
  const { home, uid, gid } = parts.user;
  const top = `${home}/pysshrp`;
  for (const folder of [top, `${top}/www`, `${top}/www-secret`]) {
    await mkdir(folder, { recursive: true });
    await chown(folder, uid, gid);
  }
  await writeFile(`${top}/www/page`, "page\n");
  await writeFile(`${top}/www-secret/word`, "secret\n");
  await symlink("../www-secret", `${top}/www/relative`);
  await symlink(`${top}/www-secret`, `${top}/www/absolute`);
  await symlink("../www-secret/word", `${top}/www/word`);
  const local = parts.keys.folder.at("rooted");
  await mkdir(local, { recursive: true });
  const sftp = async (...lines: readonly string[]): Promise<{ code: number | null; said: string }> => {
    const place = target("rooted", ada.path);
    const flags = ["-b", "-", ...sshSettings(place), "-P", String(place.port)];
    const stdin = { data: `${lines.join("\n")}\n` };
    const { code, stdout, stderr } = await run("sftp", [...flags, `${place.user}@${place.host}`], { stdin });
    return { code, said: `${stdout.toString()}${stderr}` };
  };
  const inside = await sftp("pwd", `get /page ${local}/page`, `put ${local}/page new`, "ls -1");
  assert.equal(inside.code, 0, inside.said);
  assert.match(inside.said, /working directory: \/\n/);
  assert.equal(await readFile(`${top}/www/new`, "utf8"), "page\n");
  for (const path of [
    "../www-secret/word",
    "/../www-secret/word",
    `${top}/www-secret/word`,
    "relative/word",
    "absolute/word",
    "word",
  ]) {
    const { code, said } = await sftp(`get ${path} ${local}/stolen`);
    assert.equal(code, 1, `${path}: ${said}`);
  }
  assert.ok(!existsSync(`${local}/stolen`));
  for (const line of ["rm relative/word", `put ${local}/page absolute/word`, `put ${local}/page word`])
    assert.equal((await sftp(line)).code, 1, line);
  assert.equal(await readFile(`${top}/www-secret/word`, "utf8"), "secret\n");
});

test("upstream_root_path: commands, shells and scp take notice of it", { skip }, async () => {
  const { home } = parts.user;
  const command = await ssh("rooted", ada, [`cat ${home}/pysshrp/www-secret/word`]);
  assert.notEqual(command.code, 0);
  assert.equal(command.stdout, "");
  assert.match(command.stderr, /not allowed here/);
  const shell = await ssh("rooted", ada, [], { stdin: { data: "id\n" } });
  assert.notEqual(shell.code, 0);
  assert.equal(shell.stdout, "");
  const place = target("rooted", ada.path);
  const local = parts.keys.folder.at("rooted/copied");
  const scp = async (flags: readonly string[], path: string): Promise<number | null> => {
    const source = `${place.user}@${place.host}:${path}`;
    return (await run("scp", [...flags, ...sshSettings(place), "-P", String(place.port), source, local]))
      .code;
  };
  for (const flags of [[], ["-O"]]) {
    assert.notEqual(await scp(flags, `${home}/pysshrp/www-secret/word`), 0);
    assert.notEqual(await scp(flags, "relative/word"), 0);
  }
  assert.ok(!existsSync(local));
  assert.equal(await scp([], "/page"), 0);
  // Without SFTP it said nothing in pysshrp, and says nothing here.
  await entered("rootless", password());
});

test("one connection carries several sessions; stderr, exit status and end of input arrive", {
  skip,
}, async () => {
  const socket = parts.keys.folder.at("control.sock");
  const options = [`ControlPath=${socket}`];
  await using master = spawnSsh(target("keys", ada.path), [], { flags: ["-M", "-N"], options });
  await until("the control socket", () => existsSync(socket));
  const both = await Promise.all(
    ["one", "two"].map((word) => ssh("keys", ada, [`echo ${word}; echo err >&2; exit 42`], { options })),
  );
  for (const [at, { code, stdout, stderr }] of both.entries()) {
    assert.deepEqual([code, stdout], [42, `${["one", "two"][at]}\n`]);
    assert.match(stderr, /err/);
  }
  // The input ends, and the answer comes all the same.
  const counted = await ssh("keys", ada, ["wc -c; echo done"], { options, stdin: { data: "12345" } });
  assert.equal(counted.stdout, "5\ndone\n");
  assert.ok(master.running);
});

test("environment, forwarding, the agent and a terminal pass", { skip }, async () => {
  const env = { LC_POSTERN: "through" };
  const { stdout } = await ssh("keys", ada, ["echo $LC_POSTERN"], { env, options: ["SendEnv=LC_POSTERN"] });
  assert.equal(stdout, "through\n");
  const forwarded = await ssh("keys", ada, [], { flags: ["-W", `127.0.0.1:${echoPort}`] });
  assert.equal(forwarded.stdout, "hello\n");
  await using agent = await startAgent([eve.path]);
  const listed = await ssh("keys", ada, ["ssh-add -l"], {
    flags: ["-A"],
    options: [`IdentityAgent=${agent.socket}`, `IdentityFile=${ada.path}`],
  });
  assert.ok(listed.stdout.includes(eve.fingerprint), listed.stderr);
  const terminal = await ssh("keys", ada, ["kill -TERM $$"], { flags: ["-tt"] });
  assert.notEqual(terminal.code, 0);
});

test("a configuration that is broken is told as such at a reload, and changes nothing", {
  skip,
}, async () => {
  const file = pysshrp.folder.at("new/postern.yaml");
  await writeFile(file, "listen: [\n");
  pysshrp.gateway.signal("SIGHUP");
  await pysshrp.gateway.waitForLog("the refusal", ({ event }) => event === "reload-failed");
  await writeFile(file, pysshrp.text);
  assert.ok(pysshrp.gateway.child.running);
  await entered("keys", ada);
});
