import { chown, mkdir, writeFile } from "node:fs/promises";
import { Child, succeed } from "./child.ts";
import { freePort } from "./ports.ts";
import { stranger } from "./strangers.ts";
import { tempDir } from "./temp-dir.ts";
import type { KeyFiles } from "./test-keys.ts";
import type { TestUser } from "./test-user.ts";

export interface Dropbear extends AsyncDisposable {
  readonly child: Child;
  readonly port: number;
}

/** Dropbear's form of a private key; gives its path. */
export async function toDropbear(key: KeyFiles, path: string): Promise<string> {
  await succeed("dropbearconvert", ["openssh", "dropbear", key.path, path]);
  return path;
}

/** Dropbear's server on loopback. It takes keys from the user's own home alone, so that must be a user of the test. */
export async function startDropbear(options: {
  readonly user: TestUser;
  readonly hostKeys: readonly KeyFiles[];
  readonly authorizedKeys: readonly string[];
}): Promise<Dropbear> {
  const folder = await tempDir();
  const { home, uid, gid } = options.user;
  await mkdir(`${home}/.ssh`, { recursive: true, mode: 0o700 });
  await writeFile(`${home}/.ssh/authorized_keys`, `${options.authorizedKeys.join("\n")}\n`, { mode: 0o600 });
  for (const path of [`${home}/.ssh`, `${home}/.ssh/authorized_keys`]) await chown(path, uid, gid);
  const flags: string[] = [];
  for (const [index, key] of options.hostKeys.entries()) {
    flags.push("-r", await toDropbear(key, folder.at(`host${index}`)));
  }
  const port = await freePort();
  const child = new Child(stranger("dropbear"), [
    "-F",
    "-E",
    "-P",
    folder.at("pid"),
    "-p",
    `127.0.0.1:${port}`,
    ...flags,
  ]);
  await child.waitForStderr(/Not backgrounding/);
  return {
    child,
    port,
    [Symbol.asyncDispose]: async () => {
      await child[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}
