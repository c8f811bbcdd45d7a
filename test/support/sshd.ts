import { mkdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { Child } from "./child.ts";
import { freePort } from "./ports.ts";
import { isRoot } from "./test-user.ts";
import { stranger } from "./strangers.ts";
import { tempDir } from "./temp-dir.ts";
import { knownHostsLine, makeKey, type KeyFiles, type KeyKind } from "./test-keys.ts";

export interface SshdOptions {
  /** Lines of sshd_config, before the ones that make it a test's own: the first setting of a keyword wins. */
  readonly config?: readonly string[];
  /** Public lines that any user may log in with. */
  readonly authorizedKeys?: readonly string[];
  readonly hostKeys?: readonly KeyKind[];
  /** Host keys made before, instead of `hostKeys`. */
  readonly hostKeyFiles?: readonly KeyFiles[];
  readonly host?: string;
  /** The program, under a name of its own perhaps: the name is PAM's name of the service. */
  readonly program?: string;
  /** A port chosen before; else a free one. */
  readonly port?: number;
}

export interface Sshd extends AsyncDisposable {
  readonly child: Child;
  readonly host: string;
  readonly port: number;
  readonly hostKeys: readonly KeyFiles[];
  /** Path of a known_hosts file with all its keys under this address. */
  readonly knownHosts: string;
  readonly authorizedKeysFile: string;
  /** How often its log shows the pattern. */
  count(pattern: RegExp): number;
}

/** A real OpenSSH server on loopback, in a directory of its own. */
export async function startSshd(options: SshdOptions = {}): Promise<Sshd> {
  const folder = await tempDir();
  const host = options.host ?? "127.0.0.1";
  const kinds = options.hostKeys ?? ["ed25519"];
  const hostKeys = options.hostKeyFiles ?? kinds.map((kind) => makeKey(folder.at(`host_${kind}`), kind));
  const authorizedKeysFile = folder.at("authorized_keys");
  await writeFile(authorizedKeysFile, `${(options.authorizedKeys ?? []).join("\n")}\n`, { mode: 0o644 });
  // sshd as root insists on its directory for privilege separation, which a fresh container lacks.
  if (isRoot) mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  for (let attempt = 1; ; attempt += 1) {
    const port = options.port ?? (await freePort(host));
    const config = [
      ...(options.config ?? []),
      `ListenAddress ${host.includes(":") ? `[${host}]` : host}:${port}`,
      // With both families, sshd keeps a port that it allocated on ::1 although others hold it on 127.0.0.1, and tests would talk to them.
      `AddressFamily ${host.includes(":") ? "inet6" : "inet"}`,
      ...hostKeys.map((key) => `HostKey ${key.path}`),
      `AuthorizedKeysFile ${authorizedKeysFile}`,
      `PidFile none`,
      "StrictModes no",
      "UsePAM no",
      "UseDNS no",
      "LogLevel DEBUG1",
      "PasswordAuthentication no",
      "KbdInteractiveAuthentication no",
      "PermitRootLogin yes",
      "MaxStartups 500",
      "MaxSessions 500",
      "AcceptEnv LC_* POSTERN_*",
      "X11Forwarding yes",
      "PermitTunnel yes",
      "AllowStreamLocalForwarding yes",
      "GatewayPorts clientspecified",
      "Subsystem sftp internal-sftp",
      "PrintMotd no",
    ];
    const file = folder.at("sshd_config");
    await writeFile(file, `${config.join("\n")}\n`);
    const child = new Child(options.program ?? stranger("sshd"), ["-D", "-e", "-f", file]);
    try {
      await child.waitForStderr(/Server listening on/);
    } catch (error) {
      await child[Symbol.asyncDispose]();
      const taken = child.stderr.includes("Address already in use");
      if (taken && options.port === undefined && attempt < 4) continue;
      await folder[Symbol.asyncDispose]();
      throw error;
    }
    const knownHosts = folder.at("known_hosts");
    const lines = hostKeys.map((key) => knownHostsLine(host, port, key.publicLine));
    await writeFile(knownHosts, `${lines.join("\n")}\n`);
    return {
      child,
      host,
      port,
      hostKeys,
      knownHosts,
      authorizedKeysFile,
      count: (pattern) => child.stderr.match(new RegExp(pattern, "g"))?.length ?? 0,
      [Symbol.asyncDispose]: async () => {
        await child[Symbol.asyncDispose]();
        await folder[Symbol.asyncDispose]();
      },
    };
  }
}
