import { rm, writeFile } from "node:fs/promises";
import { Child, type Outcome } from "./child.ts";
import { postern, startGateway, type Gateway, type Pieces } from "./gateway.ts";
import { freePort } from "./ports.ts";
import { runSsh, spawnSsh } from "./ssh.ts";
import { startSshd, type Sshd } from "./sshd.ts";
import { stranger } from "./strangers.ts";
import { tempDir } from "./temp-dir.ts";
import { bareKey, makeKey, type KeyFiles } from "./test-keys.ts";

/** A gateway that takes HTTP CONNECT, and sshds of one host key behind it that say their number. */
export interface TargetWorld extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly sshds: readonly Sshd[];
  readonly identity: KeyFiles;
  /** Runs `ssh` through the gateway to a target; `from` is the client's own address. */
  ssh(target: string, command: string, from?: string): Promise<Outcome>;
  /** The same, with a session that stays. */
  staying(target: string, command: string): Child;
  /** `postern WORDS` on this gateway. */
  ask(...words: readonly string[]): Promise<Outcome>;
  rewrite(targets: readonly Pieces[], config?: Pieces): Promise<void>;
}

export interface TargetWorldOptions {
  readonly sshds: number;
  /** Lines for all of them. */
  readonly sshdConfig?: readonly string[];
  readonly targets: (sshds: readonly Sshd[]) => readonly Pieces[];
  readonly config?: Pieces;
  readonly rules?: (sshds: readonly Sshd[], identity: KeyFiles) => readonly Pieces[];
}

export async function startTargetWorld(options: TargetWorldOptions): Promise<TargetWorld> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await tempDir());
  const identity = makeKey(folder.at("id"), "ed25519");
  const hostKey = makeKey(folder.at("host"), "ed25519");
  const sshds: Sshd[] = [];
  for (let at = 0; at < options.sshds; at++) {
    const config = [`SetEnv NUMBER=${at}`, ...(options.sshdConfig ?? [])];
    const authorizedKeys = [identity.publicLine];
    sshds.push(stack.use(await startSshd({ config, authorizedKeys, hostKeyFiles: [hostKey] })));
  }
  const knownHosts = folder.at("known_hosts");
  await writeFile(knownHosts, `target ${bareKey(hostKey.publicLine)}\n`);
  const listen = [{ address: "127.0.0.1:0", entries: ["ssh", "http"] }];
  const rules = [
    { name: "splice", mode: "splice", match: { from: ["127.0.0.0/8"] }, targets: ["*"] },
    ...(options.rules?.(sshds, identity) ?? []),
  ];
  const config = { listen, ...options.config };
  const targets = options.targets(sshds);
  const gateway = stack.use(await startGateway({ config: { ...config, targets }, rules }));
  const place = (target: string, from: string | undefined) => {
    // nc has no address of its own for a proxy, socat has.
    const socat = `socat STDIO PROXY:127.0.0.1:${target}:22,proxyport=${gateway.port},bind=${from}`;
    const nc = `nc -X connect -x 127.0.0.1:${gateway.port} ${target} 22`;
    const where = { host: target, port: 22, user: "root", knownHosts, identity: identity.path };
    return {
      where,
      options: { options: ["HostKeyAlias=target", `ProxyCommand=${from === undefined ? nc : socat}`] },
    };
  };
  const owned = stack.move();
  return {
    gateway,
    sshds,
    identity,
    ssh: async (target, command, from) => {
      const { where, options: more } = place(target, from);
      return await runSsh(where, [command], more);
    },
    staying: (target, command) => {
      const { where, options: more } = place(target, undefined);
      return spawnSsh(where, [command], { ...more, stdin: "open" });
    },
    ask: async (...words) => await postern([...words, "-c", gateway.configFile]),
    rewrite: async (changed, more = {}) => {
      await gateway.rewrite(rules, { ...config, ...more, targets: changed });
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** HAProxy that takes the PROXY protocol and passes on to a port; its lines say who it was told of. */
export async function startAcceptingHaproxy(
  upstream: number,
): Promise<{ port: number; child: Child } & AsyncDisposable> {
  const port = await freePort("127.0.0.1");
  const folder = await tempDir();
  const file = folder.at("haproxy.cfg");
  const lines = [
    "global",
    "  log stdout format raw daemon",
    "defaults",
    "  mode tcp",
    "  log global",
    '  log-format "from=%ci:%cp to=%fi:%fp"',
    "  timeout connect 5s",
    "  timeout client 3s",
    "  timeout server 30s",
    "listen back",
    `  bind 127.0.0.1:${port} accept-proxy`,
    `  server sshd 127.0.0.1:${upstream}`,
  ];
  await writeFile(file, `${lines.join("\n")}\n`);
  const child = new Child(stranger("haproxy"), ["-W", "-db", "-f", file]);
  await child.waitForStderr(/Loading success/);
  return {
    port,
    child,
    [Symbol.asyncDispose]: async () => {
      await child[Symbol.asyncDispose]();
      await rm(file, { force: true });
      await folder[Symbol.asyncDispose]();
    },
  };
}
