import { once } from "node:events";
import { createServer as createSite } from "node:http";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import type { AddressInfo, Server } from "node:net";
import { userInfo } from "node:os";
import { createServer as createTlsSite } from "node:tls";
import { selfSigned } from "./certificates.ts";
import { type Gateway, type Pieces, program, startGateway } from "./gateway.ts";
import { startSshd, type Sshd } from "./sshd.ts";
import { debianPython, stranger } from "./strangers.ts";
import { tempDir, type TempDir } from "./temp-dir.ts";
import { bareKey, knownHostsLine, makeKey, type KeyFiles } from "./test-keys.ts";
import { keyLogin } from "./world.ts";

export const names = ["web1", "web2", "web3"] as const;
export type Name = (typeof names)[number];
export const account: string = userInfo().username;

/** One gateway on one port, and three targets that are reached in every way there is. */
export interface NineWays extends AsyncDisposable {
  readonly folder: TempDir;
  readonly gateway: Gateway;
  readonly identity: KeyFiles;
  /** An ssh_config with a host for each way and target: `sni-web1`. */
  readonly sshConfig: string;
  readonly knownHosts: string;
}

async function site(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

export async function startNineWays(): Promise<NineWays> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await tempDir());
  const identity = makeKey(folder.at("id"));
  const people = names.map((name) => makeKey(folder.at(`key-of-${name}`)));
  const pair = await selfSigned(folder, "gate", "localhost", ...names);
  const pem = { cert: readFileSync(pair.certificate), key: readFileSync(pair.key) };
  const sshds: Sshd[] = [];
  const targets: Pieces[] = [];
  const rules: Pieces[] = [];
  for (const [at, name] of names.entries()) {
    const sshd = stack.use(
      await startSshd({ config: [`SetEnv TARGET=${name}`], authorizedKeys: [identity.publicLine] }),
    );
    sshds.push(sshd);
    const web = createSite((request, response) => response.end(`${name} ${request.headers.host}`));
    const tls = createTlsSite(pem, (socket) => socket.on("error", () => {}).end(`${name} by itself`));
    stack.defer(() => void web.close());
    stack.defer(() => void tls.close());
    targets.push(
      { name, host: "127.0.0.1", port: sshd.port, at: [`127.0.1.${at + 1}`] },
      { name: `www-${name}`, names: [`www.${name}`], host: "127.0.0.1", port: await site(web), http: true },
      { name: `tls-${name}`, names: [`tls.${name}`], host: "127.0.0.1", port: await site(tls), tls: true },
    );
    const upstream = {
      host: "127.0.0.1",
      port: sshd.port,
      user: account,
      credentials: [{ kind: "key", file: identity.path }],
      hostKey: { knownHosts: sshd.knownHosts },
    };
    const person = people[at];
    rules.push(
      { name: `user-${name}`, match: { user: name }, login: [keyLogin(identity)], upstream },
      {
        name: `key-${name}`,
        match: { user: "by-key", key: [person?.publicLine ?? ""] },
        login: [{ kind: "publickey", matched: true }],
        upstream,
      },
    );
  }
  const keyOf = ({ hostKeys: [key] }: Sshd): string => bareKey(key?.publicLine ?? "");
  const menu = {
    user: account,
    credentials: [{ kind: "key", file: identity.path }],
    hostKey: { keys: sshds.map(keyOf) },
  };
  const gateway = stack.use(
    await startGateway({
      config: {
        listen: [
          {
            address: "0.0.0.0:0",
            entries: ["ssh", "version", "tls", "http", "websocket", "host", "address"],
            silentSeconds: "1s",
          },
        ],
        tls: { certificates: [pair], gatewayNames: ["localhost"] },
        targets,
      },
      rules: [
        ...rules,
        {
          name: "jump",
          match: { user: "jump" },
          login: [keyLogin(identity)],
          serve: "jump",
          targets: [...names],
          upstream: menu,
        },
        { name: "splice", mode: "splice", match: { from: ["127.0.0.0/8"] }, targets: ["*"] },
      ],
    }),
  );
  const knownHosts = folder.at("known_hosts");
  const own = gateway.hostKeys[0]?.publicLine ?? "";
  await writeFile(
    knownHosts,
    [
      knownHostsLine("127.0.0.1", gateway.port, own),
      `gate ${bareKey(own)}`,
      ...names.map((name, at) => `${name} ${sshds[at] === undefined ? "" : keyOf(sshds[at])}`),
      "",
    ].join("\n"),
  );
  const sshConfig = folder.at("ssh_config");
  await writeFile(sshConfig, configOf({ gateway, identity, knownHosts, sshConfig, folder }));
  const owned = stack.move();
  return {
    folder,
    gateway,
    identity,
    sshConfig,
    knownHosts,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Ways that a stock ssh goes, with the settings that a person writes for a target. */
export const sshWays = {
  "user name": "user",
  "TLS, by SNI": "sni",
  "HTTP CONNECT by nc": "nc",
  "HTTP CONNECT by corkscrew": "corkscrew",
  "HTTP CONNECT by proxytunnel": "proxytunnel",
  "HTTP CONNECT by ncat": "ncat",
  WebSocket: "websocket",
  "WebSocket in TLS": "wss",
  "jump host, -J": "jump",
  "jump host, ssh -W": "forward",
  "jump host, ssh GATE nc": "netcat",
  "destination address": "address",
  "client key": "key",
} as const;

function configOf({
  gateway,
  identity,
  knownHosts,
  sshConfig,
  folder,
}: Omit<NineWays, keyof AsyncDisposable>): string {
  const { port } = gateway;
  const gate = `127.0.0.1:${port}`;
  const python = `${debianPython} ${new URL("python/websocket_pipe.py", import.meta.url).pathname}`;
  const jump = `ssh -F ${sshConfig} gate`;
  const proxied = (command: string): string[] => [`ProxyCommand ${command}`];
  const blocks = names.flatMap((name, at) => {
    const ways: Record<(typeof sshWays)[keyof typeof sshWays], string[]> = {
      user: ["HostName 127.0.0.1", `Port ${port}`, `User ${name}`, "HostKeyAlias gate"],
      sni: proxied(`${stranger("openssl")} s_client -quiet -connect ${gate} -servername %h`),
      nc: proxied(`${stranger("nc")} -X connect -x ${gate} %h %p`),
      corkscrew: proxied(`${stranger("corkscrew")} 127.0.0.1 ${port} %h %p`),
      proxytunnel: proxied(`${stranger("proxytunnel")} -q -p ${gate} -d %h:%p`),
      ncat: proxied(`${stranger("ncat")} --proxy ${gate} --proxy-type http %h %p`),
      websocket: proxied(`${python} ws://${gate}/ssh/%h`),
      wss: proxied(`${python} wss://localhost:${port}/ssh/%h ${folder.at("gate.pem")}`),
      jump: ["ProxyJump gate"],
      forward: proxied(`${jump} -W %h:%p`),
      netcat: proxied(`${jump} nc %h %p`),
      address: [`HostName 127.0.1.${at + 1}`, `Port ${port}`, `HostKeyAlias ${name}`],
      key: [
        "HostName 127.0.0.1",
        `Port ${port}`,
        "User by-key",
        "HostKeyAlias gate",
        `IdentityFile ${folder.at(`key-of-${name}`)}`,
      ],
    };
    return Object.entries(ways).map(([way, lines]) => {
      const whole = lines.some((line) => line.startsWith("HostName"))
        ? lines
        : [`HostName ${name}`, ...lines];
      return [`Host ${way}-${name}`, ...whole].join("\n  ");
    });
  });
  const common = [
    "Host *",
    `User ${account}`,
    `IdentityFile ${identity.path}`,
    `UserKnownHostsFile ${knownHosts}`,
    "GlobalKnownHostsFile none",
    "StrictHostKeyChecking yes",
    "UpdateHostKeys no",
    "IdentityAgent none",
    "IdentitiesOnly yes",
    "BatchMode yes",
  ];
  const own = ["Host gate", "HostName 127.0.0.1", `Port ${port}`, "User jump", "HostKeyAlias gate"];
  return [...blocks, own.join("\n  "), common.join("\n  "), ""].join("\n\n");
}

/** Postern's own client, which alone can name the target in its first words where OpenSSH is older than 10. */
export function ownClient(
  { gateway, identity, knownHosts }: NineWays,
  via: "version" | "host-header",
): readonly string[] {
  const settings = [`UserKnownHostsFile=${knownHosts}`, "GlobalKnownHostsFile=none", "BatchMode=yes"];
  return [
    process.execPath,
    program,
    "ssh",
    "-F",
    "none",
    "-q",
    "-i",
    identity.path,
    "-l",
    account,
    ...settings.flatMap((setting) => ["-o", setting]),
    "--via",
    via,
    "--gate",
    `127.0.0.1:${gateway.port}`,
  ];
}
