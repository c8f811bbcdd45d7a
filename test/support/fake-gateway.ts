import type { Duplex } from "node:stream";
import { type Clock, type Log, type LogFields, Pattern, parseTemplate, silentLog } from "#base";
import type {
  AuthMethod,
  Credential,
  FileRead,
  HostKeyPolicy,
  LoginStep,
  LoginWay,
  Rule,
  RuleMatch,
  Verdict,
} from "#contract";
import { Acceptor, Admission, FailureDelays, Gateway, Router, TargetRouter, type World } from "#gateway";
import { defaultAlgorithms, systemRandom } from "#ssh/algorithms";
import { defaultRekeyLimits } from "#ssh/transport";
import { testHostKey } from "#test/support/engines";
import { FakeClient, FakeUpstream, type FakeUpstreamOptions } from "#test/support/login-ends";
import { socketPair } from "#test/support/links";

export interface FakeRule {
  readonly name?: string;
  readonly user?: string;
  readonly pattern?: string;
  /** More conditions. */
  readonly match?: RuleMatch;
  readonly login: readonly AuthMethod[];
  /** In place of `login`, where each of several steps is due. */
  readonly steps?: readonly LoginStep[];
  readonly credentials: readonly Credential[];
  readonly hosts?: readonly string[];
  readonly hostKey?: HostKeyPolicy;
  readonly upstreamUser?: string;
}

export interface FakeGatewayOptions {
  readonly clock: Clock;
  readonly rules: readonly FakeRule[];
  /** The upstream at a host; undefined: nobody is there. */
  readonly upstream: (host: string) => FakeUpstreamOptions | undefined;
  readonly files?: Map<string, string>;
  readonly limits?: Partial<World["limits"]>;
}

export interface LoggedLine extends LogFields {
  readonly level: string;
  readonly event: string;
}

/** A gateway in this process, its upstreams played by scripts, its files a map. */
export class FakeGateway implements AsyncDisposable {
  readonly gateway: Gateway;
  readonly lines: LoggedLine[] = [];
  readonly dialled: string[] = [];
  readonly upstreams: FakeUpstream[] = [];
  readonly files: Map<string, string>;
  readonly delays: FailureDelays;
  readonly world: World;
  readonly #acceptor: Acceptor;
  readonly #clients: FakeClient[] = [];
  readonly #stack = new AsyncDisposableStack();

  constructor(options: FakeGatewayOptions) {
    const { clock } = options;
    this.files = options.files ?? new Map();
    this.delays = new FailureDelays({
      clock,
      secret: Buffer.from("test"),
      passwordFloorMs: 100,
      random: () => 0,
    });
    this.world = this.#world(options);
    const log = recordingLog(this.lines, {});
    this.gateway = new Gateway(this.world, { clock, log, delays: this.delays });
    this.#acceptor = new Acceptor({
      admission: new Admission(this.world.limits),
      clock,
      log,
      start: (arrival, ticket) => this.gateway.start(arrival, ticket),
    });
  }

  async connect(): Promise<FakeClient> {
    const sockets = this.#stack.use(await socketPair());
    this.accept(sockets.far);
    const client = new FakeClient(sockets.near);
    this.#clients.push(client);
    return client;
  }

  accept(stream: Duplex): void {
    this.#acceptor.accept({ stream, from: { ip: "192.0.2.7", port: 5, text: "192.0.2.7:5" }, via: "test" });
  }

  events(event: string): LoggedLine[] {
    return this.lines.filter((line) => line.event === event);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.link.destroy();
    for (const upstream of this.upstreams) upstream.link.destroy();
    await this.gateway.whenEmpty();
    await this.#stack.disposeAsync();
  }

  #world({ rules, limits, clock, upstream }: FakeGatewayOptions): World {
    return {
      router: new Router(rules.map(ruleOf)),
      targets: new TargetRouter([], []),
      servers: {
        jump: {
          kind: "jump",
          serve: () => Promise.reject(new Error("nobody is served here")),
          menu: () => {
            throw new Error("nobody is shown a menu here");
          },
        },
        files: { kind: "files", serve: () => Promise.reject(new Error("nobody is served files here")) },
      },
      reception: {
        takes: () => false,
        receive: async ({ stream }) => ({ kind: "session", stream }),
        [Symbol.asyncDispose]: async () => {},
      },
      reach: {
        reach: async () => {
          throw new Error("there are no targets");
        },
        [Symbol.asyncDispose]: async () => {},
      },
      limits: {
        startups: { start: 100, ratePercent: 30, full: 100 },
        maxConnections: 100,
        maxConnectionsPerSource: 100,
        maxStartupsPerSource: 100,
        sourceNetwork: { ipv4Bits: 32, ipv6Bits: 64 },
        handshakeSeconds: 30,
        loginGraceSeconds: 120,
        upstreamLoginSeconds: 30,
        maxAuthTries: 6,
        maxKeyQueries: 48,
        failureDelaySeconds: 0.1,
        maxChannels: 100,
        ...limits,
      },
      settings: {
        name: "Postern_test",
        algorithms: defaultAlgorithms,
        rekey: defaultRekeyLimits,
        handshakeMs: 30_000,
        random: systemRandom,
        clock,
      },
      keepalive: { intervalMs: 0, maxMissed: 3 },
      hostKeys: [signer()],
      signatureAlgorithms: ["ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256"],
      dialer: {
        kind: "fake",
        dial: async ({ host, port }) => {
          this.dialled.push(`${host}:${port}`);
          const script = upstream(host);
          if (script === undefined) throw Object.assign(new Error(`no ${host}`), { code: "ECONNREFUSED" });
          const sockets = this.#stack.use(await socketPair());
          this.upstreams.push(new FakeUpstream(sockets.far, script));
          return sockets.near;
        },
        [Symbol.asyncDispose]: async () => {},
      },
      files: {
        read: async (path): Promise<FileRead | undefined> => {
          const text = this.files.get(path);
          return text === undefined ? undefined : { bytes: Buffer.from(text), mode: 0o600 };
        },
        append: async (path, decide) => {
          const line = decide(this.files.get(path) ?? "");
          if (line !== undefined) this.files.set(path, `${this.files.get(path) ?? ""}${line}\n`);
        },
      },
      [Symbol.asyncDispose]: async () => {},
    };
  }
}

function signer(): World["hostKeys"][number] {
  const key = testHostKey();
  return {
    blob: key.publicKey.blob,
    algorithms: key.algorithms,
    sign: (algorithm, data) => key.sign(algorithm, data),
  };
}

function ruleOf(rule: FakeRule, at: number): Rule {
  return {
    name: rule.name ?? `rule${at}`,
    match: {
      ...(rule.user === undefined ? {} : { user: rule.user }),
      ...(rule.pattern === undefined ? {} : { userPattern: new Pattern(rule.pattern) }),
      ...rule.match,
    },
    login: rule.steps ?? [rule.login],
    upstream: {
      addresses: (rule.hosts ?? ["upstream"]).map((host) => ({
        host: parseTemplate(host),
        port: parseTemplate("22"),
      })),
      spread: "in-order",
      user: parseTemplate(rule.upstreamUser ?? "{user}"),
      credentials: rule.credentials,
      hostKey: rule.hostKey ?? { dangerouslyAcceptAny: true },
      connectTimeoutMs: 10_000,
    },
  };
}

/** Keeps each line, its child's fields in it. */
export function recordingLog(lines: LoggedLine[], inherited: LogFields): Log {
  const method = (level: string) => (event: string, fields?: LogFields) => {
    lines.push({ ...inherited, ...fields, level, event });
  };
  return {
    ...silentLog,
    trace: method("trace"),
    debug: method("debug"),
    info: method("info"),
    warn: method("warn"),
    error: method("error"),
    fatal: method("fatal"),
    enabled: () => true,
    child: (fields) => recordingLog(lines, { ...inherited, ...fields }),
  };
}

/** Checked by the upstream. */
export const deferred: AuthMethod = {
  kind: "password",
  methods: ["password"],
  defers: true,
  givesPassword: true,
  attempt: async () => ({ kind: "deferred" }),
  [Symbol.asyncDispose]: async () => {},
};

/** Checked here: this password is right. `asked` counts. */
export function knownPassword(right: string): AuthMethod & { asked: number } {
  const method = {
    kind: "password",
    methods: ["password"] as const,
    defers: false,
    givesPassword: true,
    asked: 0,
    attempt: async (proof: Parameters<AuthMethod["attempt"]>[0]): Promise<Verdict> => {
      method.asked++;
      const matches = proof.method === "password" && Buffer.from(proof.password).toString() === right;
      return matches ? { kind: "accepted", by: "test" } : { kind: "denied", reason: "wrong" };
    },
    [Symbol.asyncDispose]: async () => {},
  };
  return method;
}

/** A public key that is right. */
export function knownKey(right: Uint8Array): AuthMethod {
  return {
    kind: "publickey",
    methods: ["publickey"],
    defers: false,
    givesPassword: false,
    attempt: async (proof) =>
      proof.method === "publickey" && Buffer.compare(proof.blob, right) === 0
        ? { kind: "accepted", by: "key" }
        : { kind: "denied", reason: "not listed" },
    [Symbol.asyncDispose]: async () => {},
  };
}

export function credential(
  needsClientPassword: boolean,
  ways: (clientPassword: Uint8Array | undefined) => readonly LoginWay[],
): Credential {
  return {
    kind: "test",
    needsClientPassword,
    ways: async ({ clientPassword }) => ways(clientPassword),
    [Symbol.asyncDispose]: async () => {},
  };
}

export const clientPassword: Credential = credential(true, (password) =>
  password === undefined ? [] : [{ method: "password", password, whose: "client" }],
);

export function storedPassword(text: string): Credential {
  return credential(false, () => [{ method: "password", password: Buffer.from(text), whose: "operator" }]);
}

export function storedKey(): Credential {
  const key = testHostKey();
  return credential(false, () => [{ method: "publickey", key }]);
}
