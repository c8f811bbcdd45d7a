import { chmodSync, chownSync, mkdirSync, statSync } from "node:fs";
import { appErrors } from "./errors.ts";
import type { Account } from "./privileges.ts";

/** Owned by who runs the gateway, and closed to everybody else: it holds host keys and the control socket. */
export function makeStateDir(path: string, account: Account | undefined): void {
  if (statSync(path, { throwIfNoEntry: false }) !== undefined) return;
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    chmodSync(path, 0o700);
    if (account !== undefined) chownSync(path, account.uid, account.gid);
  } catch (cause) {
    throw new appErrors.OPERATOR_FILE_UNWRITABLE(`${path}: ${(cause as Error).message}`, { cause });
  }
}
