import { writeFile } from "node:fs/promises";
import { Child } from "#test/support/child";
import { freePort } from "#test/support/ports";
import { stranger } from "#test/support/strangers";
import { tempDir } from "#test/support/temp-dir";
import { knownHostsLine, makeKey } from "#test/support/test-keys";

/** Another program in the gateway's place. */
export interface Proxy extends AsyncDisposable {
  readonly pid: number;
  readonly host: string;
  readonly port: number;
  readonly knownHosts: string;
}

export interface ProxyOptions {
  readonly upstream: {
    readonly host: string;
    readonly port: number;
    readonly hostKeys: readonly { readonly publicLine: string }[];
  };
  readonly key: { readonly path: string };
  readonly user: string;
}

const host = "127.0.0.1";

/** HAProxy in TCP mode: bytes are copied, nothing is opened. */
export async function startHaproxy({ upstream }: ProxyOptions): Promise<Proxy> {
  const folder = await tempDir();
  const port = await freePort(host);
  const config = [
    "defaults",
    "  mode tcp",
    "  timeout connect 10s",
    "  timeout client 1h",
    "  timeout server 1h",
    "listen ssh",
    `  bind ${host}:${port}`,
    `  server upstream ${upstream.host}:${upstream.port}`,
  ];
  const file = folder.at("haproxy.cfg");
  await writeFile(file, `${config.join("\n")}\n`);
  // -W and -db keep it in the foreground, in two processes: the worker is the child of the master.
  const child = new Child(stranger("haproxy"), ["-W", "-db", "-f", file]);
  await child.waitForStderr(/Loading success/);
  const knownHosts = folder.at("known_hosts");
  const lines = upstream.hostKeys.map((key) => knownHostsLine(host, port, key.publicLine));
  await writeFile(knownHosts, `${lines.join("\n")}\n`);
  return ending(child, folder, { port, knownHosts });
}

/** The proxy of `ssh2-proxy.ts`. */
export async function startSsh2Proxy({ upstream, key, user }: ProxyOptions): Promise<Proxy> {
  const folder = await tempDir();
  const hostKey = makeKey(folder.at("host"));
  const script = new URL("ssh2-proxy.ts", import.meta.url).pathname;
  const args = [script, hostKey.path, upstream.host, String(upstream.port), user, key.path];
  const child = new Child(process.execPath, args);
  const [, port = ""] = await child.waitForStdout(/^(\d+)\n/);
  const knownHosts = folder.at("known_hosts");
  await writeFile(knownHosts, `${knownHostsLine(host, Number(port), hostKey.publicLine)}\n`);
  return ending(child, folder, { port: Number(port), knownHosts });
}

function ending(
  child: Child,
  folder: AsyncDisposable,
  found: { readonly port: number; readonly knownHosts: string },
): Proxy {
  return {
    ...found,
    host,
    pid: child.pid,
    [Symbol.asyncDispose]: async () => {
      await child[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}
