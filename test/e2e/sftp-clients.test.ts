/** Real clients in a folder of their own behind the gateway, and in a tree of mounts, do what they do in a chroot without one. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import {
  chmod,
  chown,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  writeFile,
} from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { run, succeed } from "#test/support/child";
import { sshPlace, sshSettings, type SshTarget } from "#test/support/ssh";
import { startSshd, type Sshd } from "#test/support/sshd";
import { missing, stranger } from "#test/support/strangers";
import { tempDir, type TempDir } from "#test/support/temp-dir";
import { needsRoot } from "#test/support/test-user";
import { keyRule, startWorld, type World } from "#test/support/world";

const skip = missing("ssh", "sshd") || needsRoot;

/** What is used of ssh2, which has no types. */
interface Ssh2Client {
  once(event: string, then: (value: Error) => void): this;
  connect(options: object): void;
  sftp(then: (error: Error | undefined, made: unknown) => void): void;
  end(): void;
}
const { Client } = createRequire(import.meta.url)("ssh2") as { readonly Client: new () => Ssh2Client };

/** Where a client goes: into the chroot, or into the folder of the same content behind the gateway. */
interface Side {
  readonly target: SshTarget;
  /** Fingerprints of host keys. */
  readonly hostKeys: readonly string[];
  readonly tree: string;
  /** For what it fetches, and for files of its own. */
  readonly folder: TempDir;
}

let world: World;
let base: string;
let chrooted: Sshd;

before(async () => {
  if (skip !== false) return;
  // sshd takes a chroot only where nobody else can write on the way to it.
  base = await mkdtemp("/var/lib/postern-test-");
  await chmod(base, 0o755);
  world = await startWorld({
    rules: (parts) => {
      const mounts = [{ at: "/data", root: join(base, "mounted", "data") }];
      const record = true;
      return [
        keyRule(parts, "rooted", { sftp: { root: join(base, "rooted"), record } }),
        keyRule(parts, "mounted", { sftp: { mounts, record } }),
      ];
    },
  });
  chrooted = await startSshd({
    authorizedKeys: [world.identity.publicLine],
    config: [`ChrootDirectory ${join(base, "direct")}`, "ForceCommand internal-sftp"],
  });
});
after(async () => {
  await chrooted?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
  if (base !== undefined) await rm(base, { recursive: true, force: true });
});

const big = randomBytes(700_000);

/** A fresh tree on each side, alike. */
async function sides(): Promise<Record<"direct" | "rooted" | "mounted", Side> & AsyncDisposable> {
  const made = new AsyncDisposableStack();
  const side = async (name: string, target: SshTarget, hostKeys: readonly string[]): Promise<Side> => {
    const tree = join(base, name);
    await rm(tree, { recursive: true, force: true });
    await mkdir(join(tree, "data"), { recursive: true });
    await chown(join(tree, "data"), world.user.uid, world.user.gid);
    const folder = made.use(await tempDir());
    await writeFile(folder.at("big"), big);
    await writeFile(folder.at("empty"), "");
    await mkdir(folder.at("tree", "inner"), { recursive: true });
    await writeFile(folder.at("tree", "one"), "one\n");
    await writeFile(folder.at("tree", "inner", "two"), "two\n");
    return { target, hostKeys, tree, folder };
  };
  const { host, port, knownHosts, hostKeys } = chrooted;
  const identity = world.identity.path;
  const direct = await side(
    "direct",
    { host, port, knownHosts, user: world.user.name, identity },
    hostKeys.map((key) => key.fingerprint),
  );
  const gates = world.gateway.hostKeys.map((key) => key.fingerprint);
  const rooted = await side("rooted", world.gateway.target("rooted", identity), gates);
  const mounted = await side("mounted", world.gateway.target("mounted", identity), gates);
  const owned = made.move();
  return { direct, rooted, mounted, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** What lies below a folder: kinds, permissions, contents, and what links say as seen from the tree's root. */
async function contents(folder: string, root: string): Promise<string[]> {
  const names = (await readdir(folder, { recursive: true })).toSorted();
  const lines: string[] = [];
  for (const name of names) {
    const path = join(folder, name);
    const stats = await lstat(path);
    let what = "";
    if (stats.isSymbolicLink()) {
      const target = await readlink(path);
      what = target.startsWith(`${root}/`) ? target.slice(root.length) : target;
    } else if (stats.isFile())
      what = createHash("sha256")
        .update(await readFile(path))
        .digest("hex");
    lines.push(`${name} ${stats.mode.toString(8)} ${what}`);
  }
  return lines;
}

/** Runs a client on all sides: what it says and what is there afterwards must be the same. */
async function alike(client: (side: Side) => Promise<string>): Promise<string> {
  await using all = await sides();
  const told: string[] = [];
  for (const side of [all.direct, all.rooted, all.mounted]) {
    const said = (await client(side))
      .replaceAll(side.folder.path, "HERE")
      .replaceAll(String(side.target.port), "PORT")
      .replaceAll(side.target.user, "USER");
    const there = await contents(side.tree, side.tree);
    const here = await contents(side.folder.path, side.tree);
    told.push(
      [said, "THERE", ...there, "HERE", ...here.filter((line) => !line.startsWith("client.ppk"))].join("\n"),
    );
  }
  assert.equal(told[1], told[0]);
  assert.equal(told[2], told[0]);
  return told[1] ?? "";
}

const lines = (side: Side, commands: readonly string[]): string =>
  `${commands.map((line) => line.replaceAll("HERE", side.folder.path)).join("\n")}\n`;

test("OpenSSH's sftp", { skip }, async () => {
  const told = await alike(async (side) => {
    const commands = [
      "cd /data",
      "pwd",
      "put HERE/big",
      "put HERE/empty",
      "put -r HERE/tree",
      "mkdir made",
      "rename big made/moved",
      "ln -s made/moved relative",
      "ln -s /data/made/moved absolute",
      "ln made/moved hard",
      "ln -s none dangling",
      "ls -1",
      "ls -1 tree",
      "chmod 640 hard",
      "get absolute HERE/got",
      "get -r tree HERE/tree2",
      "reget absolute HERE/got",
      "-get none HERE/none",
      "-rmdir made",
      "-rm none",
      "-cd none",
      "-mkdir made",
      "-put HERE/big made/moved/x",
      "-get made HERE/folder",
      "cd made",
      "pwd",
      "cd ../..",
      "pwd",
      "cd ../../..",
      "pwd",
      "ls -1",
      "rm /data/hard",
      "copy /data/made/moved /data/copy",
      "rm /data/tree/inner/two",
      "rmdir /data/tree/inner",
    ];
    const settings = [...sshSettings(side.target), "-q", "-P", String(side.target.port), "-b", "-"];
    const { stdout, stderr, code } = await run("sftp", [...settings, sshPlace(side.target)], {
      stdin: { data: lines(side, commands) },
    });
    return `${stdout.toString()}\n${stderr}\n${code}`;
  });
  assert.match(told, /\/data\/made/);
  assert.match(told, /\n0\nTHERE/);
});

test("OpenSSH's scp", { skip }, async () => {
  await alike(async (side) => {
    const settings = ["-q", ...sshSettings(side.target), "-P", String(side.target.port)];
    const place = sshPlace(side.target);
    const told: string[] = [];
    for (const args of [
      [side.folder.at("big"), `${place}:/data/`],
      ["-p", side.folder.at("empty"), `${place}:data/renamed`],
      ["-r", side.folder.at("tree"), `${place}:/data/tree`],
      [`${place}:/data/big`, side.folder.at("back")],
      ["-r", `${place}:/data/tree`, side.folder.at("tree-back")],
      [`${place}:none`, side.folder.at("none")],
    ]) {
      const { code, stderr } = await run("scp", [...settings, ...args]);
      told.push(`${code} ${stderr}`);
    }
    return told.join("\n");
  });
});

test("psftp", { skip: skip || missing("psftp", "puttygen") }, async () => {
  await alike(async (side) => {
    await succeed(stranger("puttygen"), [
      world.identity.path,
      "-O",
      "private",
      "-o",
      side.folder.at("client.ppk"),
    ]);
    const { host, port, user } = side.target;
    await writeFile(
      side.folder.at("batch"),
      lines(side, [
        "cd /data",
        "pwd",
        "put HERE/big big",
        "put -r HERE/tree tree",
        "mkdir made",
        "mv big made",
        "get made/big HERE/got",
        "chmod 600 made/big",
        "reget made/big HERE/got",
        "get none HERE/none",
        "del tree/one",
        "cd ../..",
        "pwd",
        "rmdir made",
        "quit",
      ]),
    );
    const flags = side.hostKeys.flatMap((key) => ["-hostkey", key]);
    const { stdout, code } = await run(
      stranger("psftp"),
      [
        "-batch",
        "-be",
        "-b",
        side.folder.at("batch"),
        "-P",
        String(port),
        "-l",
        user,
        "-i",
        side.folder.at("client.ppk"),
        ...flags,
        host,
      ],
      { env: { PUTTYDIR: side.folder.path, HOME: side.folder.path } },
    );
    for (const own of ["randomseed", "batch"]) await rm(side.folder.at(own), { force: true });
    return `${stdout.toString()}\n${code}`;
  });
});

test("lftp", { skip: skip || missing("lftp") }, async () => {
  await alike(async (side) => {
    const { host, port, user } = side.target;
    const ssh = ["ssh", "-a", "-x", ...sshSettings(side.target)].join(" ");
    const script = lines(side, [
      `set sftp:connect-program "${ssh}"`,
      "set net:max-retries 1",
      "set xfer:log no",
      `open -u ${user},none -p ${port} sftp://${host}`,
      "cd /data",
      "put HERE/big -o big",
      "mirror -R HERE/tree tree",
      "mkdir -p deep/er",
      "mv big deep/er/big",
      "get deep/er/big -o HERE/got",
      "mirror tree HERE/mirrored",
      "chmod 600 deep/er/big",
      "cls -1 deep",
      "ln -s deep/er/big link",
      "rm -r tree",
      "get none -o HERE/none",
    ]);
    await writeFile(side.folder.at("script"), script);
    const { stdout, code } = await run(stranger("lftp"), ["--norc", "-f", side.folder.at("script")], {
      env: { HOME: side.folder.path, LFTP_HOME: side.folder.path },
    });
    await rm(side.folder.at("script"));
    await rm(side.folder.at("transfer_log"), { force: true });
    return `${stdout.toString()}\n${code}`;
  });
});

test("rclone", { skip: skip || missing("rclone") }, async () => {
  await alike(async (side) => {
    const { host, port, user, knownHosts } = side.target;
    const remote = `:sftp,host=${host},port=${port},user=${user},key_file=${world.identity.path},known_hosts_file=${knownHosts},shell_type=none:`;
    const env = { HOME: side.folder.path, RCLONE_CONFIG: "/dev/null" };
    const told: string[] = [];
    for (const args of [
      ["copy", side.folder.at("tree"), `${remote}data/tree`],
      ["copyto", side.folder.at("big"), `${remote}data/big`],
      ["lsf", "-R", `${remote}data`],
      ["check", "--download", side.folder.at("tree"), `${remote}data/tree`],
      ["moveto", `${remote}data/big`, `${remote}data/moved`],
      ["copyto", `${remote}data/moved`, side.folder.at("got")],
      ["deletefile", `${remote}data/tree/one`],
      ["sync", side.folder.at("tree"), `${remote}data/tree`],
      ["purge", `${remote}data/tree/inner`],
      ["mkdir", `${remote}data/made`],
      ["copyto", `${remote}none`, side.folder.at("none")],
    ]) {
      const { stdout, code } = await run(stranger("rclone"), ["--retries", "1", ...args], { env });
      told.push(`${args[0]} ${code} ${stdout.toString()}`);
    }
    await rm(side.folder.at(".cache"), { recursive: true, force: true });
    return told.join("\n");
  });
});

for (const library of ["paramiko", "asyncssh"] as const)
  test(library, { skip: skip || missing(library) }, async () => {
    const told = await alike(async (side) => {
      const { host, port, user } = side.target;
      const script = join(import.meta.dirname, "../support/python/sftp_tour.py");
      const python = stranger("python3");
      const { stdout, stderr, code } = await run(python, [
        script,
        library,
        host,
        String(port),
        user,
        world.identity.path,
      ]);
      assert.equal(code, 0, stderr);
      // Where one begins without a word differs: the folder itself here, a folder in it there.
      return stdout.toString();
    });
    assert.ok(told.split("\n").filter((line) => line.includes("->")).length > 20, told);
  });

test("ssh2", { skip }, async () => {
  await alike(async (side) => {
    const { host, port, user } = side.target;
    const client = new Client();
    const privateKey = await readFile(world.identity.path);
    await new Promise<void>((resolve, reject) => {
      client.once("ready", () => resolve()).once("error", reject);
      client.connect({ host, port, username: user, privateKey });
    });
    const told: string[] = [];
    const sftp = await new Promise<Ssh2Sftp>((resolve, reject) =>
      client.sftp((error: Error | undefined, made: unknown) =>
        error === undefined ? resolve(made as Ssh2Sftp) : reject(error),
      ),
    );
    const call = async (name: string, ...args: readonly unknown[]): Promise<void> => {
      const result = await new Promise<unknown>((resolve) => {
        (sftp[name] as (...all: unknown[]) => void).call(
          sftp,
          ...args,
          (error: { code?: unknown } | undefined, value: unknown) =>
            resolve(error === undefined || error === null ? value : `error ${String(error.code)}`),
        );
      });
      told.push(`${name} ${typeof result === "string" ? result : ""}`);
    };
    await call("realpath", "/data/..");
    await call("mkdir", "/data/a");
    await call("fastPut", side.folder.at("big"), "/data/a/big");
    await call("fastGet", "/data/a/big", side.folder.at("got"));
    await call("symlink", "big", "/data/a/link");
    await call("symlink", "/data/a/big", "/data/absolute");
    await call("readlink", "/data/a/link");
    await call("readlink", "/data/absolute");
    await call("realpath", "/data/absolute");
    await call("ext_openssh_hardlink", "/data/a/big", "/data/hard");
    await call("ext_openssh_rename", "/data/hard", "/data/a/hard");
    await call("rename", "/data/a/hard", "/data/a/big");
    await call("chmod", "/data/a/hard", 0o600);
    await call("stat", "/data/none");
    await call("unlink", "/data/a/hard");
    await call("rmdir", "/data/a");
    const closed = new Promise<void>((resolve) => client.once("close", () => resolve()));
    client.end();
    await closed;
    return told.join("\n");
  });
});

type Ssh2Sftp = Readonly<Record<string, unknown>>;

test("sshfs", { skip: skip || missing("sshfs") }, async (context) => {
  const probe = await run("sh", ["-c", "exec 3<>/dev/fuse"]);
  if (probe.code !== 0) {
    context.skip("no FUSE on this machine");
    return;
  }
  const told = await alike(async (side) => {
    const { port } = side.target;
    const mount = side.folder.at("mount");
    await mkdir(mount);
    const options = ["-o", "idmap=none", "-o", "auto_unmount"];
    const settings = sshSettings(side.target).filter((each) => each !== "-F" && each !== "none");
    const mounted = await run(stranger("sshfs"), [
      "-F",
      "/dev/null",
      "-p",
      String(port),
      ...settings,
      ...options,
      `${sshPlace(side.target)}:/data`,
      mount,
    ]);
    if (mounted.code !== 0) {
      await rm(mount, { recursive: true });
      return `cannot mount: ${mounted.stderr.includes("fuse") ? "fuse" : mounted.stderr}`;
    }
    const script = `cd ${mount} && cp ../big big && mkdir d && mv big d/big && ln -s d/big l && cat l | sha256sum && cp -r ../tree t && rm -r t/inner &&
      truncate -s 1000 d/big && stat -c '%s %F' d/big l && printf more >> d/big && chmod 600 d/big && ls -R && df . >/dev/null; cat none; cd / && fusermount3 -u ${mount}`;
    const { stdout, code } = await run("sh", ["-c", script]);
    await rm(mount, { recursive: true });
    return `${stdout.toString()}\n${code}`;
  });
  if (told.startsWith("cannot mount: fuse")) context.skip("FUSE may not be used on this machine");
  else assert.match(told, /1000 regular file/);
});
