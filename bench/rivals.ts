import { spawnSync } from "node:child_process";
import { existsSync, realpathSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Child } from "#test/support/child";
import { freePort } from "#test/support/ports";
import { debianPython, programPath } from "#test/support/strangers";
import { tempDir, type TempDir } from "#test/support/temp-dir";
import { knownHostsLine, makeKey } from "#test/support/test-keys";
import { compiledGoPipe, compiledRecrypt, whyNoCompiler, whyNoGoPipe } from "./compiled.ts";
import { listening } from "./listening.ts";
import { until } from "#test/support/waiting";
import { ssh2WithAddon, whyNoSsh2Addon } from "./ssh2-addon.ts";

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
    /** File of its host keys. */
    readonly knownHosts: string;
  };
  /** Who logs in. */
  readonly key: { readonly path: string; readonly publicLine: string };
  /** An RSA key that the upstream also takes. */
  readonly rsaKey: { readonly path: string };
  readonly user: string;
}

interface Rival {
  readonly text: string;
  /** Why it cannot be measured here; undefined: it can. */
  absent(): string | undefined;
  start(options: ProxyOptions): Promise<Proxy>;
}

const host = "127.0.0.1";

/** What copies bytes and opens nothing. */
const copiers = ["haproxy", "nginx"] as const;
type Copier = (typeof copiers)[number];

/** The configuration of one that passes a port on to another. */
function copierConfig(name: Copier, port: number, upstream: { host: string; port: number }): string[] {
  if (name === "haproxy") {
    const timeouts = ["connect", "client", "server"].map((each) => `  timeout ${each} 1h`);
    const server = `  server upstream ${upstream.host}:${upstream.port}`;
    return ["defaults", "  mode tcp", ...timeouts, "listen ssh", `  bind ${host}:${port}`, server];
  }
  const server = `server { listen ${host}:${port}; proxy_pass ${upstream.host}:${upstream.port}; proxy_timeout 1h; }`;
  return [
    "include /etc/nginx/modules-enabled/*stream*.conf;",
    "daemon off;",
    "worker_processes 1;",
    "error_log stderr notice;",
    "events {}",
    `stream { ${server} }`,
  ];
}

/** One of the copiers between a free port and another. */
export async function startCopier(
  name: Copier,
  upstream: { readonly host: string; readonly port: number },
): Promise<{ readonly child: Child; readonly folder: TempDir; readonly port: number }> {
  const folder = await tempDir();
  const port = await freePort(host);
  const file = folder.at("config");
  const lines = copierConfig(name, port, upstream);
  if (name === "nginx") lines.unshift(`pid ${folder.at("pid")};`);
  await writeFile(file, `${lines.join("\n")}\n`);
  // -W and -db keep haproxy in the foreground. Both are two processes: the worker is the child of the master.
  const args = name === "haproxy" ? ["-W", "-db", "-f", file] : ["-c", file];
  const child = new Child(programPath(name) ?? name, args);
  await child.waitForStderr(name === "haproxy" ? /Loading success/ : /start worker process /);
  return { child, folder, port };
}

async function startCopying(name: Copier, { upstream }: ProxyOptions): Promise<Proxy> {
  const { child, folder, port } = await startCopier(name, upstream);
  const lines = upstream.hostKeys.map((key) => knownHostsLine(host, port, key.publicLine));
  return await ending(child, folder, port, lines);
}

/** The proxy of recrypt.c where real ends speak: it has their bytes pass as they are, and does as much cryptography beside. */
async function startRecrypt({ upstream }: ProxyOptions): Promise<Proxy> {
  const folder = await tempDir();
  const port = await freePort(host);
  const words = ["between", String(port), String(upstream.port), "aes128-gcm"];
  const child = new Child(await compiledRecrypt(), words);
  await child.waitForStdout(/ready/);
  const lines = upstream.hostKeys.map((key) => knownHostsLine(host, port, key.publicLine));
  return await ending(child, folder, port, lines);
}

/** A program that is given HOSTKEY UPSTREAM-HOST UPSTREAM-PORT USER IDENTITY (or the two in one word), and prints its port. */
async function startPrinting(
  command: readonly string[],
  { upstream, key, user }: ProxyOptions,
  address: readonly string[] = [upstream.host, String(upstream.port)],
  env: Readonly<Record<string, string>> = {},
): Promise<Proxy> {
  const folder = await tempDir();
  const hostKey = makeKey(folder.at("host"));
  const [program = "", ...words] = command;
  const child = new Child(program, [...words, hostKey.path, ...address, user, key.path], { env });
  const [, port = ""] = await child.waitForStdout(/^(\d+)\n/);
  return await ending(child, folder, Number(port), [knownHostsLine(host, Number(port), hostKey.publicLine)]);
}

/** The gateway that Postern takes the place of, by its own configuration. */
async function startPysshrp({ upstream, key, rsaKey, user }: ProxyOptions): Promise<Proxy> {
  const folder = await tempDir();
  const hostKey = makeKey(folder.at("host"), "rsa", "", ["-m", "PEM"]);
  const port = await freePort(host);
  await writeFile(folder.at("keys"), `${key.publicLine}\n`);
  const rule = {
    user,
    upstream_host: upstream.host,
    upstream_port: upstream.port,
    upstream_key: rsaKey.path,
    upstream_authorized_keys: folder.at("keys"),
  };
  // What JSON writes here is Python too.
  const globals = { listen: `${host}:${port}`, level: "INFO", key: hostKey.path, servers: [rule] };
  const lines = Object.entries(globals).map(([name, value]) => `${name} = ${JSON.stringify(value)}`);
  await writeFile(folder.at("config.py"), `${lines.join("\n")}\n`);
  const child = new Child(programPath("pysshrpd") ?? "", ["-c", folder.at("config.py")]);
  await child.waitForStderr(/Configuration loaded/);
  return await ending(child, folder, port, [knownHostsLine(host, port, hostKey.publicLine)]);
}

/** sshpiperd's plugin that takes its routes from a file: where a build leaves it, where its image has it, or on the PATH. */
function sshpiperPlugin(): string | undefined {
  const program = programPath("sshpiperd");
  if (program === undefined) return undefined;
  const folder = dirname(realpathSync(program));
  const beside = [join(folder, "yaml"), join(folder, "plugins", "yaml")];
  return beside.find((path) => existsSync(path)) ?? programPath("yaml");
}

async function startSshpiperd({ upstream, key, user }: ProxyOptions): Promise<Proxy> {
  const folder = await tempDir();
  const hostKey = makeKey(folder.at("host"));
  const port = await freePort(host);
  await writeFile(folder.at("keys"), `${key.publicLine}\n`);
  const pipe = {
    from: [{ username: user, authorized_keys: folder.at("keys") }],
    to: {
      host: `${upstream.host}:${upstream.port}`,
      username: user,
      private_key: key.path,
      known_hosts: upstream.knownHosts,
    },
  };
  // What JSON writes is YAML too.
  await writeFile(folder.at("config.yaml"), JSON.stringify({ version: "1.0", pipes: [pipe] }), {
    mode: 0o600,
  });
  const own = [
    "--address",
    host,
    "--port",
    String(port),
    "--server-key",
    hostKey.path,
    "--log-level",
    "warn",
  ];
  const plugin = [sshpiperPlugin() ?? "yaml", "--config", folder.at("config.yaml"), "--no-check-perm"];
  const child = new Child(programPath("sshpiperd") ?? "", [...own, ...plugin]);
  await until("sshpiperd to listen", () => listening(port));
  return await ending(child, folder, port, [knownHostsLine(host, port, hostKey.publicLine)]);
}

async function ending(
  child: Child,
  folder: TempDir,
  port: number,
  hostKeyLines: readonly string[],
): Promise<Proxy> {
  const knownHosts = folder.at("known_hosts");
  await writeFile(knownHosts, `${hostKeyLines.join("\n")}\n`);
  return {
    host,
    port,
    knownHosts,
    pid: child.pid,
    [Symbol.asyncDispose]: async () => {
      await child[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

function withoutProgram(name: string, hint: string): () => string | undefined {
  return () => (programPath(name) === undefined ? `${name} is not on the PATH (${hint})` : undefined);
}

function withoutPython(module: string): () => string | undefined {
  return () => {
    const { status } = spawnSync(debianPython, ["-c", `import ${module}`], { stdio: "ignore" });
    return status === 0 ? undefined : `Debian's python3-${module} is not installed`;
  };
}

const here = (name: string): string => new URL(name, import.meta.url).pathname;

export type RivalName =
  | "ssh2"
  | "ssh2-addon"
  | "sshpiperd"
  | "go"
  | "asyncssh"
  | "paramiko"
  | "pysshrp"
  | "haproxy"
  | "nginx"
  | "c";

/** Everything but ourselves and OpenSSH. */
export const rivals: Readonly<Record<RivalName, Rival>> = {
  ssh2: {
    text: "a proxy made of ssh2's public API (without its native part)",
    absent: () => undefined,
    start: (options) => startPrinting([process.execPath, here("ssh2-proxy.ts")], options),
  },
  "ssh2-addon": {
    text: "the same with ssh2's own addon",
    absent: whyNoSsh2Addon,
    start: async (options) =>
      startPrinting([process.execPath, here("ssh2-proxy.ts")], options, undefined, {
        BENCH_SSH2: await ssh2WithAddon(),
      }),
  },
  sshpiperd: {
    text: "sshpiper with its plugin for files",
    absent: () =>
      sshpiperPlugin() === undefined
        ? "sshpiperd is not on the PATH with its plugin yaml beside it (github.com/tg123/sshpiper)"
        : undefined,
    start: startSshpiperd,
  },
  go: {
    text: "a proxy made of Go's x/crypto/ssh, by its public API",
    absent: () => whyNoGoPipe(),
    start: async (options) =>
      startPrinting([await compiledGoPipe()], options, [`${options.upstream.host}:${options.upstream.port}`]),
  },
  asyncssh: {
    text: "a proxy made of asyncssh",
    absent: withoutPython("asyncssh"),
    start: (options) => startPrinting([debianPython, "-W", "ignore", here("asyncssh-proxy.py")], options),
  },
  paramiko: {
    text: "a proxy made of paramiko",
    absent: withoutPython("paramiko"),
    start: (options) => startPrinting([debianPython, "-W", "ignore", here("paramiko-proxy.py")], options),
  },
  pysshrp: {
    text: "pysshrp",
    absent: withoutProgram("pysshrpd", "Python 2 with paramiko before 3"),
    start: startPysshrp,
  },
  haproxy: {
    text: "HAProxy in TCP mode: no cryptography",
    absent: withoutProgram("haproxy", "Debian: haproxy"),
    start: (options) => startCopying("haproxy", options),
  },
  nginx: {
    text: "nginx's stream module: no cryptography",
    absent: withoutProgram("nginx", "Debian: nginx, libnginx-mod-stream"),
    start: (options) => startCopying("nginx", options),
  },
  c: {
    text: "a proxy in C over OpenSSL that does nothing but open and seal",
    absent: whyNoCompiler,
    start: startRecrypt,
  },
};
