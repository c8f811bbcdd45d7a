import { userInfo } from "node:os";
import { Child } from "#test/support/child";
import { type Gateway, type Pieces, startGateway } from "#test/support/gateway";
import { sshCommand, type SshOptions, sshSettings, type SshTarget } from "#test/support/ssh";
import { type Sshd, startSshd } from "#test/support/sshd";
import { stranger } from "#test/support/strangers";
import { type KeyFiles, testKeys } from "#test/support/test-keys";
import { childless, treeCpuSeconds, treeResidentBytes } from "./cpu.ts";
import { type Proxy, type RivalName, rivals } from "./rivals.ts";

const ours = {
  direct: "ssh straight to sshd",
  jump: "ssh -J through an sshd, which decrypts and encrypts once",
  gateway: "ssh through Postern, which decrypts and encrypts twice",
  pure: "the same without its native part (POSTERN_NATIVE=off)",
} as const;

/** A way from the client to the upstream. */
export type Subject = keyof typeof ours | RivalName;

const rivalNames = Object.keys(rivals) as RivalName[];
export const subjects: readonly Subject[] = [...(Object.keys(ours) as (keyof typeof ours)[]), ...rivalNames];

/** Where a gateway's rule leads, and how the upstream's host key is checked. */
export interface UpstreamPlace {
  readonly host: string;
  readonly port: number;
  readonly hostKey: Pieces;
}

/** With its native part, where that was built, and without. */
export type GatewayKind = "gateway" | "pure";

export interface GatewayVariant {
  readonly kind?: GatewayKind;
  /** See `GatewayOptions` of the tests. */
  readonly launcher?: readonly string[];
  readonly config?: Pieces;
}

export interface StageOptions {
  /** Folder for profiles of our own processes; none: they are not profiled. */
  readonly profileFolder?: string;
}

/** Everything that takes part, started when first asked for: one upstream sshd, and the ways to it. */
export class Stage implements AsyncDisposable {
  readonly #options: StageOptions;
  readonly #owned = new AsyncDisposableStack();
  readonly #user: string = userInfo().username;
  readonly #started = new Map<string, Promise<unknown>>();

  constructor(options: StageOptions = {}) {
    this.#options = options;
  }

  /** Ends this with the stage. */
  own<T extends AsyncDisposable>(made: T): T {
    return this.#owned.use(made);
  }

  #once<T>(name: string, start: () => Promise<T>): Promise<T> {
    const started = (this.#started.get(name) as Promise<T> | undefined) ?? start();
    this.#started.set(name, started);
    return started;
  }

  /** For Node where our own programs are started: the profiler, if there is to be one. */
  get nodeFlags(): readonly string[] {
    const folder = this.#options.profileFolder;
    return folder === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${folder}`];
  }

  /** Who logs in, everywhere. */
  get user(): string {
    return this.#user;
  }

  /** Whoever logs in, at the gateway and behind it. */
  keys(): Promise<KeyFiles> {
    return this.#key("ed25519");
  }

  async #key(kind: "ed25519" | "rsa"): Promise<KeyFiles> {
    const keys = await this.#once("keys", async () => this.#owned.use(await testKeys()));
    return keys.key(kind, `id-${kind}`);
  }

  upstream(): Promise<Sshd> {
    return this.#once("upstream", () => this.#sshd());
  }

  jump(): Promise<Sshd> {
    return this.#once("jump", () => this.#sshd());
  }

  async #sshd(): Promise<Sshd> {
    const keys = [await this.keys(), await this.#key("rsa")];
    const config = ["LogLevel INFO", "MaxStartups 2000"];
    return this.#owned.use(
      await startSshd({ authorizedKeys: keys.map(({ publicLine }) => publicLine), config }),
    );
  }

  gateway(kind: GatewayKind = "gateway"): Promise<Gateway> {
    return this.#once(kind, async () => {
      const upstream = await this.upstream();
      const { host, port, knownHosts } = upstream;
      return this.#owned.use(await this.startGateway({ host, port, hostKey: { knownHosts } }, { kind }));
    });
  }

  /** A gateway of its own with one rule to the upstream; the caller ends it. */
  async startGateway(upstream: UpstreamPlace, options: GatewayVariant = {}): Promise<Gateway> {
    const key = await this.keys();
    return await startGateway({
      launcher: options.launcher ?? [],
      env: { POSTERN_NATIVE: options.kind === "pure" ? "off" : undefined },
      config: { log: { level: "info", format: "json" }, ...gatewayConfig, ...options.config },
      nodeFlags: this.nodeFlags,
      rules: [
        {
          name: "bench",
          match: { user: this.#user },
          login: [{ kind: "publickey", keys: [key.publicLine] }],
          upstream: {
            host: upstream.host,
            port: upstream.port,
            user: this.#user,
            credentials: [{ kind: "key", file: key.path }],
            hostKey: upstream.hostKey,
          },
        },
      ],
    });
  }

  rival(name: RivalName): Promise<Proxy> {
    return this.#once(name, async () => {
      const upstream = await this.upstream();
      const [key, rsaKey] = [await this.keys(), await this.#key("rsa")];
      return this.#owned.use(await rivals[name].start({ upstream, key, rsaKey, user: this.#user }));
    });
  }

  /** Where `ssh` goes for this subject. */
  async target(subject: Subject): Promise<SshTarget> {
    const { path } = await this.keys();
    switch (subject) {
      case "gateway":
      case "pure":
        return (await this.gateway(subject)).target(this.#user, path);
      case "direct":
      case "jump": {
        const { host, port, knownHosts } = await this.upstream();
        return { host, port, knownHosts, user: this.#user, identity: path };
      }
      default:
        return { ...(await this.rival(subject)), user: this.#user, identity: path };
    }
  }

  /** The command line after "ssh" for this subject. */
  async ssh(subject: Subject, command: readonly string[], options: SshOptions = {}): Promise<string[]> {
    const target = await this.target(subject);
    if (subject !== "jump") return sshCommand(target, command, options);
    // What -J does, but that the inner ssh needs the same settings and cipher.
    const { host, port, knownHosts } = await this.jump();
    const inner = sshSettings({ ...target, host, port, knownHosts }, options);
    const words = [stranger("ssh"), ...inner, "-l", target.user, "-p", String(port), "-W", "%h:%p", host];
    const through = `ProxyCommand=${words.join(" ")}`;
    return sshCommand(target, command, { ...options, options: [through, ...(options.options ?? [])] });
  }

  async #middle(subject: Subject): Promise<number | undefined> {
    switch (subject) {
      case "direct":
        return undefined;
      case "jump":
        return (await this.jump()).child.pid;
      case "gateway":
      case "pure":
        return (await this.gateway(subject)).child.pid;
      default:
        return (await this.rival(subject)).pid;
    }
  }

  /** CPU seconds of what stands in the middle so far; undefined when nothing does. */
  async middleCpuSeconds(subject: Subject): Promise<number | undefined> {
    const pid = await this.#middle(subject);
    return pid === undefined ? undefined : await treeCpuSeconds(pid);
  }

  async middleResidentBytes(subject: Subject): Promise<number | undefined> {
    const pid = await this.#middle(subject);
    return pid === undefined ? undefined : await treeResidentBytes(pid);
  }

  async upstreamCpuSeconds(): Promise<number> {
    return await treeCpuSeconds((await this.upstream()).child.pid);
  }

  /** Waits until no connection is left anywhere, so that all CPU time has been booked. */
  async quiet(): Promise<void> {
    await childless((await this.upstream()).child.pid);
    if (this.#started.has("jump")) await childless((await this.jump()).child.pid);
  }

  /** Starts `ssh` for this subject; the caller ends it. */
  async spawn(subject: Subject, command: readonly string[], options: SshOptions = {}): Promise<Child> {
    return new Child(stranger("ssh"), await this.ssh(subject, command, options), options);
  }

  /** Ends the gateway in order, so that a profile is written. */
  async stopGateway(): Promise<void> {
    if (this.#started.has("gateway")) await (await this.gateway()).stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }
}

/** Limits that a benchmark would reach long before anyone who is no attacker. */
export const gatewayConfig: Pieces = {
  limits: {
    startups: { start: 2000, ratePercent: 30, full: 3000 },
    maxStartupsPerSource: 2000,
    maxConnections: 20_000,
    maxConnectionsPerSource: 20_000,
  },
};

/** Subjects that cannot be measured here, and why. */
export function absentSubjects(): ReadonlyMap<string, string> {
  const found = rivalNames.map((name) => [name, rivals[name].absent()] as const);
  return new Map(found.flatMap(([name, why]) => (why === undefined ? [] : [[name, why]])));
}
