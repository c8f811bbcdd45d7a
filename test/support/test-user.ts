import { randomBytes } from "node:crypto";
import { chmod, readFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { run, succeed } from "./child.ts";
import { isAlive } from "./processes.ts";
import { tempDir } from "./temp-dir.ts";

/** Whom an upstream logs in. */
export interface TestUser extends AsyncDisposable {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  /** A directory that it may write to. */
  readonly home: string;
  /** Known only when the user was made for the test, which needs root. */
  readonly password: string | undefined;
}

export const isRoot: boolean = process.getuid?.() === 0;

/** For the `skip` option of a test that needs a system user with a password. */
export const needsRoot: string | false = isRoot ? false : "needs root: makes a system user with a password";

const prefix = "ptest";
let serial = 0;

/** As root a system user of its own, with a password; else the one who runs the tests. */
export async function testUser(): Promise<TestUser> {
  const folder = await tempDir();
  const home = folder.at("home");
  if (!isRoot) {
    const { username, uid, gid } = userInfo();
    return {
      name: username,
      uid,
      gid,
      home: folder.path,
      password: undefined,
      [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
    };
  }
  serial += 1;
  const name = `${prefix}${process.pid}x${serial}`;
  const password = randomBytes(9).toString("base64url");
  await succeed("useradd", [
    "--create-home",
    "--home-dir",
    home,
    "--shell",
    "/bin/bash",
    "--no-log-init",
    name,
  ]);
  await chmod(home, 0o755);
  await succeed("chpasswd", [], { stdin: { data: `${name}:${password}\n` } });
  const id = await succeed("id", ["-u", name]);
  const group = await succeed("id", ["-g", name]);
  return {
    name,
    uid: Number(id),
    gid: Number(group),
    home,
    password,
    [Symbol.asyncDispose]: async () => {
      await removeUser(name);
      await folder[Symbol.asyncDispose]();
    },
  };
}

async function removeUser(name: string): Promise<void> {
  // Force: a session that is still ending is no reason to keep the account.
  const { code, stderr } = await run("userdel", ["--force", name]);
  if (code !== 0 && !stderr.includes("does not exist")) console.error(`userdel ${name}: ${stderr}`);
}

/** Removes users that an interrupted run left behind. */
export async function removeStaleUsers(): Promise<void> {
  if (!isRoot) return;
  for (const line of (await readFile("/etc/passwd", "utf8")).split("\n")) {
    const found = new RegExp(`^(${prefix}(\\d+)x\\d+):`).exec(line);
    if (found?.[1] !== undefined && !isAlive(Number(found[2]))) await removeUser(found[1]);
  }
}
