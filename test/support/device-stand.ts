import { writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import type { Child, Outcome } from "./child.ts";
import { type Gateway, type GatewayOptions, type Pieces, postern, startGateway } from "./gateway.ts";
import { runSsh, spawnSsh, type SshOptions, type SshTarget } from "./ssh.ts";
import { startSshd, type Sshd } from "./sshd.ts";
import { tempDir, type TempDir } from "./temp-dir.ts";
import { bareKey, type KeyFiles, makeKey } from "./test-keys.ts";
import { keyLogin } from "./world.ts";

/** What `postern device … --json` tells of a device. */
export interface DeviceJson {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly code?: string;
  readonly tags: readonly string[];
  readonly ports: readonly number[];
  readonly cameBy: string;
  readonly online: boolean | null;
  readonly tunnels: readonly { readonly port: number }[];
}

/** A gateway that devices come to, and the sshd that runs on each of them. */
export interface DeviceStand extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly folder: TempDir;
  /** Of the devices. */
  readonly sshd: Sshd;
  /** The person's own. */
  readonly ada: KeyFiles;
  key(name: string): KeyFiles;
  /** `postern device WORDS --json`. Throws unless it succeeds. */
  office<T = DeviceJson>(...words: readonly string[]): Promise<T>;
  /** The same, whatever comes of it. */
  ask(...words: readonly string[]): Promise<Outcome>;
  /** `ssh -N` of a device with these flags. */
  hold(key: KeyFiles, flags: readonly string[], user?: string, options?: SshOptions): Child;
  /** Makes a key a device of that name, by a token. */
  enrol(key: KeyFiles, name: string, ...flags: readonly string[]): Promise<void>;
  /** Waits until the gateway says that the tunnel is held, the `count`th of that name. */
  held(name: string, count?: number): Promise<void>;
  /** `ssh -J` of the person to a device's own sshd. */
  jump(device: string, command: string, options?: SshOptions): Promise<Outcome>;
  /** As the person, at the gateway itself. */
  readonly person: SshTarget;
}

export const deviceRule: Pieces = {
  name: "devices",
  match: { userPattern: "(?:host|device(?:\\+(?<name>.+))?|join\\+(?<token>[a-z0-9]+))" },
  login: [{ kind: "device" }],
  serve: "devices",
};

export interface DeviceStandOptions {
  readonly devices?: Pieces;
  readonly config?: Pieces;
  readonly targets?: readonly Pieces[];
  /** Besides those for devices and for the person, and before them. */
  readonly rules?: (ada: KeyFiles, sshd: Sshd) => readonly Pieces[];
  /** What the person may reach. */
  readonly reach?: readonly string[];
  readonly gateway?: GatewayOptions;
}

export async function startDeviceStand(options: DeviceStandOptions = {}): Promise<DeviceStand> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await tempDir());
  const ada = makeKey(folder.at("ada"), "ed25519");
  const hostKey = makeKey(folder.at("device_host_key"), "ed25519");
  const sshd = stack.use(
    await startSshd({
      authorizedKeys: [ada.publicLine],
      hostKeyFiles: [hostKey],
      config: ["SetEnv PLACE=device"],
    }),
  );
  const person: Pieces = {
    name: "people",
    match: { user: "ada" },
    login: [keyLogin(ada)],
    serve: "jump",
    targets: options.reach ?? ["fleet"],
  };
  const gateway = stack.use(
    await startGateway({
      config: {
        devices: options.devices ?? {},
        targets: options.targets ?? [{ name: "fleet", devices: true }],
        audit: [{ kind: "jsonl", file: folder.at("audit.jsonl") }],
        ...options.config,
      },
      rules: [...(options.rules?.(ada, sshd) ?? []), deviceRule, person],
      ...options.gateway,
    }),
  );
  // Whatever a device is called, it is this sshd.
  const knownHosts = folder.at("known_hosts");
  await writeFile(knownHosts, `* ${bareKey(hostKey.publicLine)}\n`);
  const keys = new Map<string, KeyFiles>();
  const owned = stack.move();
  const ask = async (...words: readonly string[]): Promise<Outcome> =>
    await postern(["device", ...words, "-c", gateway.configFile]);
  const office = async <T>(...words: readonly string[]): Promise<T> => {
    const { code, stdout, stderr } = await ask(...words, "--json");
    if (code !== 0) throw new Error(`postern device ${words.join(" ")}: ${stderr}`);
    return JSON.parse(stdout.toString()) as T;
  };
  const stand: DeviceStand = {
    gateway,
    folder,
    sshd,
    ada,
    key: (name) => {
      const known = keys.get(name) ?? makeKey(folder.at(`key-${name}`), "ed25519");
      keys.set(name, known);
      return known;
    },
    office,
    ask,
    hold: (key, flags, user = "device", more = {}) =>
      spawnSsh(gateway.target(user, key.path), [], {
        ...more,
        flags: ["-N", ...flags],
        options: [...(more.options ?? []), "ExitOnForwardFailure=yes", "ServerAliveInterval=10"],
      }),
    enrol: async (key, name, ...flags) => {
      const { token } = await office<{ token: string }>("token", "create", ...flags);
      const { code, stderr } = await runSsh(gateway.target(`join+${token}`, key.path), [name]);
      if (code !== 0) throw new Error(`${name} was not enrolled: ${stderr}`);
    },
    held: async (name, count = 1) => {
      await gateway.waitForLog(
        `tunnel of ${name}`,
        () => gateway.events("tunnel-held").filter(({ device }) => device === name).length >= count,
      );
    },
    person: gateway.target("ada", ada.path),
    jump: async (device, command, more = {}) =>
      await runSsh(
        { host: device, port: 22, user: userInfo().username, knownHosts, identity: ada.path },
        [command],
        { ...more, options: [`ProxyCommand=${jumpCommand(gateway, ada)}`, ...(more.options ?? [])] },
      ),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
  return stand;
}

/** What `-J` runs; `-J` itself takes no key and known_hosts of its own. */
function jumpCommand(gateway: Gateway, { path }: KeyFiles): string {
  return `ssh -F none -o UserKnownHostsFile=${gateway.knownHosts} -o IdentitiesOnly=yes -o IdentityAgent=none -i ${path} -p ${gateway.port} -W [%h]:%p ada@${gateway.host}`;
}
