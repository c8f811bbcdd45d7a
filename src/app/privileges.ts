import { execFile } from "node:child_process";
import { closeSync, constants, fchownSync, fstatSync, openSync, readFileSync } from "node:fs";
import { promisify } from "node:util";
import { appErrors } from "./errors.ts";

/** Who to run as. */
export interface Account {
  /** For initgroups(3): its supplementary groups come along. */
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

const run = promisify(execFile);

/**
 * The account that the configuration names, or undefined if it names none. Whoever is not root already runs as what it is.
 * Throws OPERATOR_ACCOUNT_UNKNOWN.
 */
export async function findAccount(
  user: string | undefined,
  group: string | undefined,
): Promise<Account | undefined> {
  if (process.getuid?.() !== 0 || (user === undefined && group === undefined)) return undefined;
  if (user === undefined) throw new appErrors.OPERATOR_ACCOUNT_UNKNOWN("group is given without user");
  const entry = await lookup("passwd", user);
  const uid = Number(entry[2]);
  const primary = Number(entry[3]);
  const gid = group === undefined ? primary : Number((await lookup("group", group))[2]);
  if (!Number.isInteger(uid) || !Number.isInteger(gid)) throw new appErrors.OPERATOR_ACCOUNT_UNKNOWN(user);
  return { name: user, uid, gid };
}

/** A line of a system database: by getent, which also asks directories, or out of the file where there is no getent. */
async function lookup(database: "passwd" | "group", name: string): Promise<string[]> {
  let text: string;
  try {
    text = (await run("getent", [database, name], { timeout: 10_000 })).stdout;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT")
      throw new appErrors.OPERATOR_ACCOUNT_UNKNOWN(name);
    text = readFileSync(`/etc/${database}`, "utf8");
  }
  const fields = text
    .split("\n")
    .map((line) => line.split(":"))
    .find(([first]) => first === name);
  if (fields === undefined) throw new appErrors.OPERATOR_ACCOUNT_UNKNOWN(name);
  return fields;
}

/**
 * Becomes that account for good: supplementary groups first, then group, then user, since each step takes away the right to take
 * the one before. Throws OPERATOR_PRIVILEGES_KEPT if anything of root is left, or can be had again.
 */
export function dropPrivileges({ name, uid, gid }: Account): void {
  // Missing from Node's types, and from Node on Windows.
  const { initgroups } = process as { initgroups?: (user: string, group: number) => void };
  const { setgid, setuid, getgroups, geteuid, getuid, getegid, getgid } = process;
  try {
    initgroups?.call(process, name, gid);
    setgid?.call(process, gid);
    setuid?.call(process, uid);
  } catch (cause) {
    throw new appErrors.OPERATOR_PRIVILEGES_KEPT(`${name}: ${(cause as Error).message}`, { cause });
  }
  if (uid === 0) return;
  const same = getuid?.() === uid && geteuid?.() === uid && getgid?.() === gid && getegid?.() === gid;
  const groups = getgroups?.() ?? [];
  if (!same || (gid !== 0 && groups.includes(0)) || canBecomeRoot()) {
    throw new appErrors.OPERATOR_PRIVILEGES_KEPT(name);
  }
}

/**
 * Gives a plain file to that account, so that it can be opened anew without rights. Its folder may belong to the account already:
 * a link that was put there in the file's place must not make root give another file away, so neither kind is followed.
 */
export function handOver(path: string, { uid, gid }: Pick<Account, "uid" | "gid">): void {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;
  let descriptor: number;
  try {
    descriptor = openSync(path, flags);
  } catch {
    // A symbolic link, a socket, or gone again: not ours to give.
    return;
  }
  try {
    const found = fstatSync(descriptor);
    if (found.isFile() && found.nlink === 1) fchownSync(descriptor, uid, gid);
  } finally {
    closeSync(descriptor);
  }
}

function canBecomeRoot(): boolean {
  for (const again of [
    () => process.setuid?.(0),
    () => process.seteuid?.(0),
    () => process.setgroups?.([0]),
  ]) {
    try {
      again();
      return true;
    } catch {
      // As it should be.
    }
  }
  return false;
}
