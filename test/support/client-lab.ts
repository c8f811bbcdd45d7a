import { userInfo } from "node:os";
import { Child, type ChildOptions } from "./child.ts";
import { program } from "./gateway.ts";
import { startSshd, type Sshd, type SshdOptions } from "./sshd.ts";
import { tempDir, type TempDir } from "./temp-dir.ts";
import { makeKey, type KeyFiles } from "./test-keys.ts";

/** An sshd that takes one key, and the client commands as somebody runs them who has nothing but that key. */
export interface ClientLab extends AsyncDisposable {
  readonly sshd: Sshd;
  readonly folder: TempDir;
  readonly key: KeyFiles;
  /** `user@host:port` */
  readonly destination: string;
  /** Options before the destination that make a client of this lab. */
  readonly options: readonly string[];
  /** `postern forward` with more options. */
  forward(options: readonly string[], child?: ChildOptions): Child;
  /** Any command of the program. */
  postern(args: readonly string[], child?: ChildOptions): Child;
}

/** What `startClientLab` takes besides. */
export interface LabOptions extends SshdOptions {
  /** For Node, before the program. */
  readonly nodeFlags?: readonly string[];
}

export async function startClientLab({ nodeFlags = [], ...options }: LabOptions = {}): Promise<ClientLab> {
  const folder = await tempDir();
  const key = makeKey(folder.at("id"), "ed25519");
  // What it says at DEBUG1 comes out of sessions as well.
  const config = ["LogLevel VERBOSE", ...(options.config ?? [])];
  const sshd = await startSshd({ authorizedKeys: [key.publicLine], ...options, config });
  const { username } = userInfo();
  const host = sshd.host.includes(":") ? `[${sshd.host}]` : sshd.host;
  const own = clientOptions(key.path, sshd.knownHosts);
  const destination = `${username}@${host}:${sshd.port}`;
  const postern = (args: readonly string[], child: ChildOptions = {}): Child =>
    new Child(process.execPath, [...nodeFlags, program, ...args], {
      ...child,
      env: { HOME: folder.path, SSH_AUTH_SOCK: "", SSH_ASKPASS: "", ...child.env },
    });
  return {
    sshd,
    folder,
    key,
    destination,
    options: own,
    postern,
    forward: (more, child) => postern(["forward", ...own, ...more, destination], child),
    [Symbol.asyncDispose]: async () => {
      await sshd[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** Nothing of the machine's own configuration counts, and nobody is asked. */
export function clientOptions(identity: string, knownHosts: string): string[] {
  return [
    "-F",
    "none",
    "-i",
    identity,
    "-o",
    `UserKnownHostsFile=${knownHosts}`,
    "-o",
    "GlobalKnownHostsFile=none",
    "-o",
    "BatchMode=yes",
  ];
}
