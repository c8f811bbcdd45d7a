import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join, relative, resolve } from "node:path";
import type { Writable } from "node:stream";
import { startDemoUpstream } from "#serve";
import {
  formatKnownHostsLine,
  formatPrivateKey,
  formatPublicKey,
  generatePrivateKey,
  parsePrivateKey,
  type PrivateKey,
} from "#ssh/keys";
import { serve } from "./serve.ts";

export interface DemoOptions {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly stdout: Writable;
  /** Where keys and the demo's configuration are kept. Default: `state` in the working directory. */
  readonly stateDir?: string;
  /** The first port to try. Default 2222. */
  readonly port?: number;
}

const host = "127.0.0.1";
const firstPort = 2222;
/** Ports looked at before one is left to chance. */
const portsTried = 20;

/** Known to everybody: the upstream is a toy on loopback. */
const user = "demo";
const password = "demo";

/** A gateway on loopback with a toy upstream behind it, without any set-up: says what to type. Resolves with the exit code. */
export async function demo({
  environment,
  stdout,
  stateDir = resolve("state"),
  port: first = firstPort,
}: DemoOptions): Promise<number> {
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const gatewayKey = await keyAt(join(stateDir, "ssh_host_ed25519_key"));
  const upstreamKey = await keyAt(join(stateDir, "demo_upstream_key"));
  await using upstream = await startDemoUpstream({
    listen: { host, port: 0 },
    hostKey: upstreamKey,
    users: { [user]: password },
  });
  const port = await freePort(first);
  const suffix = port === first ? "" : `-${port}`;
  const configFile = join(stateDir, `demo${suffix}.yaml`);
  const key = formatPublicKey(upstreamKey.publicKey.blob);
  await writeFile(configFile, configText(port, upstream.port, key, suffix), { mode: 0o600 });
  const knownHosts = join(stateDir, `demo_known_hosts${suffix}`);
  await writeFile(knownHosts, `${formatKnownHostsLine({ host, port, key: gatewayKey.publicKey })}\n`);
  return await serve({
    configFile,
    environment,
    ready: () => {
      stdout.write(invitation(port, shown(knownHosts), shown(configFile)));
    },
  });
}

function configText(port: number, upstreamPort: number, key: string, suffix: string): string {
  return `# Written by "postern demo" at each start; docs/config.md explains every line.
listen: ["${host}:${port}"]
hostKeys: [ssh_host_ed25519_key]
stateDir: .
control: control${suffix}.sock
drain: { limitSeconds: 0 }
rules:
  - name: demo
    match: { user: ${user} }
    # The password goes to the upstream, whose answer is the answer.
    login: [{ kind: password, check: upstream }]
    upstream:
      host: ${host}
      port: ${upstreamPort}
      credentials: [{ kind: client-password }]
      hostKey: { keys: ["${key}"] }
`;
}

function invitation(port: number, knownHosts: string, configFile: string): string {
  const command = `ssh -p ${port} -o UserKnownHostsFile=${knownHosts} ${user}@${host}`;
  return `
Postern is running, with a toy upstream behind it. Try it from another terminal:

    ${command}

and type the password: ${password}

Its configuration is in ${configFile}; Ctrl-C ends it.

`;
}

/** As one would type it from here. */
function shown(path: string): string {
  const near = relative(process.cwd(), path);
  const short = near.startsWith("..") ? path : near;
  return /^[\w./-]+$/.test(short) ? short : `'${short.replaceAll("'", "'\\''")}'`;
}

/** A host key, made on the first start. */
async function keyAt(path: string): Promise<PrivateKey> {
  try {
    return await parsePrivateKey(await readFile(path));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  const key = generatePrivateKey("ssh-ed25519", "postern demo");
  await writeFile(path, await formatPrivateKey(key), { mode: 0o600, flag: "wx" });
  await chmod(path, 0o600);
  return key;
}

async function freePort(first: number): Promise<number> {
  for (let port = first; port < first + portsTried; port++) {
    if ((await bound(port)) !== undefined) return port;
  }
  return (await bound(0)) ?? first;
}

/** The port, if it can be had. */
async function bound(port: number): Promise<number | undefined> {
  const server = createServer();
  return await new Promise((resolve) => {
    server.once("error", () => resolve(undefined));
    server.listen(port, host, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" ? address?.port : undefined));
    });
  });
}
