import { createHash } from "node:crypto";
import { type AcmeDesk, type AcmeDesks, isCertifiable } from "#acme";
import { type ApiTurns, CountedTurns } from "#admin";
import { createAuthMethod, openRevocation, Users } from "#auth";
import { type Clock, formatEndpoint, type Log, PosternError } from "#base";
import {
  type Config,
  loginSteps,
  type RuleConfig,
  type SpliceRuleConfig,
  type UpstreamConfig,
} from "#config";
import type {
  AuthMethod,
  AuthPorts,
  MountPlan,
  Pools,
  Revocation,
  Rule,
  SftpPlan,
  SpliceRule,
  UpstreamPlan,
} from "#contract";
import { createCredential } from "#credential";
import { tcp } from "#dialer";
import { createReception } from "#entry";
import { PinnedKeys, Router, TargetRouter, type World } from "#gateway";
import {
  deviceOfHost,
  DeviceSignIn,
  DeviceSite,
  ProgramSite,
  SignInSite,
  SignIns,
  type Site,
  SiteFront,
  ticketKey,
} from "#http-proxy";
import { createDeviceServer, createFiles, createJump } from "#serve";
import { signatureAlgorithms } from "#ssh/algorithms";
import { formatPublicKey, type PrivateKey } from "#ssh/keys";
import { AuditTrail } from "./audit-trail.ts";
import { apiOf, authorityOf, type Devices } from "./devices.ts";
import { appErrors } from "./errors.ts";
import type { Files } from "./files.ts";
import { HostKeys } from "./host-keys.ts";
import { linkSettings } from "./link-settings.ts";
import { createReach } from "./target-reach.ts";

export interface ComposePorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly files: Files;
  /** Who counts the connections to targets. */
  readonly pools: Pools;
  /** Absent: the configuration that the program was started with has none. */
  readonly devices?: Devices | undefined;
  /** Those of the process, which outlive a configuration. Absent: nobody will come. */
  readonly signIns?: SignIns;
  /** That of the process. Absent: no certificate is ordered. */
  readonly acme?: AcmeDesks;
  /** Of the tokens for the devices' API, over all processes. Absent: they are counted for this configuration alone. */
  readonly turns?: ApiTurns;
}

/** What rules are made with, besides. */
type LoginPorts = Omit<ComposePorts, "devices" | "signIns"> &
  Pick<AuthPorts, "users" | "updates" | "stateDir" | "devices" | "signIn"> & {
    readonly revocation: Revocation;
  };

/** A world, and what the process that holds it needs to know besides. */
export interface Composed {
  readonly config: Config;
  readonly world: World;
  /** For FailureDelays: the same in all processes that hold the same host keys. */
  readonly timingSecret: Uint8Array;
}

/**
 * Makes a world of a configuration: the one place where adapters meet the gateway. Reads files, binds nothing.
 * Throws OPERATOR_ errors; then nothing is left open.
 */
export async function compose(config: Config, ports: ComposePorts): Promise<Composed> {
  await using made = new AsyncDisposableStack();
  const hostKeys = await HostKeys.read(config.hostKeys, ports);
  const timingSecret = timingSecretOf(hostKeys.plain);
  const users = new Users(config.users, { ...ports, secret: timingSecret });
  for (const reason of await users.check()) ports.log.warn("user-ignored", { reason });
  const authority = await createAuthority(config, ports);
  if (authority !== undefined) made.use(authority);
  const { devices, signIns = new SignIns(ports.clock), ...shared } = ports;
  const loginPorts: LoginPorts = {
    ...shared,
    ...(authority === undefined ? {} : { devices: authority }),
    ...(config.signIn === undefined ? {} : { signIn: signIns.desk(config.signIn.address) }),
    updates: ports.files,
    users,
    stateDir: config.stateDir,
    revocation: await openRevocation(config.revoked ?? [], ports),
  };
  const rules: Rule[] = [];
  for (const rule of config.rules) rules.push(await createRule(rule, loginPorts, made));
  const router = new Router(rules, Math.random, devices?.tunnels);
  const dialer = made.use(await tcp.create({ kind: "tcp" }, ports));
  const audit = made.use(await AuditTrail.open(config.audit, ports));
  const web = createWeb(config, { ...ports, signIns });
  if (web !== undefined) made.use(web);
  const ordered = orderedOf(config, ports);
  if (ordered !== undefined) made.use(ordered);
  const reception = made.use(
    await createReception(config, {
      ...ports,
      ...(web === undefined ? {} : { web }),
      ...(ordered === undefined ? {} : { ordered }),
      ...(devices === undefined ? {} : { tunnels: devices.tunnels }),
    }),
  );
  const spliceRules: SpliceRule[] = [];
  for (const rule of config.spliceRules) spliceRules.push(await createSpliceRule(rule, loginPorts, made));
  const targets = new TargetRouter(config.targets, spliceRules, devices?.tunnels);
  const settings = linkSettings(config, ports.clock);
  const reach = made.use(
    await createReach(config, ports.pools, { ...ports, settings, tunnels: devices?.tunnels }),
  );
  const { limits, keepalive } = config;
  const owned = made.move();
  const world: World = {
    router,
    targets,
    servers: {
      jump: createJump(ports),
      files: createFiles(ports),
      ...(authority === undefined || devices === undefined || config.devices === undefined
        ? {}
        : {
            devices: createDeviceServer({
              clock: ports.clock,
              authority,
              tunnels: devices.tunnels,
              heartbeat: {
                intervalMs: config.devices.heartbeat.intervalSeconds * 1000,
                maxMissed: config.devices.heartbeat.maxMissed,
              },
              gate: {
                ...config.devices.gate,
                hostKeys: () => hostKeys.plain.map(({ publicKey }) => formatPublicKey(publicKey.blob)),
              },
            }),
          }),
    },
    reception,
    reach,
    limits,
    settings,
    keepalive: { intervalMs: keepalive.intervalSeconds * 1000, maxMissed: keepalive.maxMissed },
    get hostKeys() {
      return hostKeys.offered;
    },
    signatureAlgorithms: clientSignatureAlgorithms(),
    dialer,
    files: ports.files,
    ...(audit === undefined ? {} : { audit }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
  return { config, world, timingSecret };
}

async function createAuthority(
  config: Config,
  { devices, ...ports }: ComposePorts,
): ReturnType<typeof authorityOf> {
  if (config.devices === undefined) return undefined;
  // A store is opened once: tunnels that are held must not be forgotten by a reload.
  if (devices === undefined) throw new appErrors.OPERATOR_DEVICES_RESTART();
  return await authorityOf(config, devices, ports);
}

function createWeb(
  { devices: plan, signIn, stateDir }: Config,
  ports: ComposePorts & Required<Pick<ComposePorts, "signIns">>,
): SiteFront | undefined {
  const { devices, clock, log, files, signIns, turns = new CountedTurns(clock) } = ports;
  const sites: Site[] = [];
  if (signIn !== undefined) sites.push(new SignInSite(signIn, { clock, log, signIns }));
  if (plan !== undefined && devices !== undefined) {
    if (plan.api !== undefined)
      sites.push(new ProgramSite(apiOf(plan, plan.api, devices, { clock, log, turns }), clock));
    if (plan.web !== undefined)
      sites.push(
        new DeviceSite(plan.web, {
          clock,
          devices: devices.store,
          tunnels: devices.tunnels,
          key: ticketKey(files, stateDir),
          ...(signIn === undefined ? {} : { signIn: new DeviceSignIn(signIn, signIns) }),
        }),
      );
  }
  return sites.length === 0 ? undefined : new SiteFront(sites, { clock, log });
}

/** Certificates for names that are ours: the gateway's own, and those of devices whose page somebody may see. */
export function orderedOf(
  { tls, devices: plan, signIn }: Config,
  { acme, devices }: Pick<ComposePorts, "acme" | "devices">,
): AcmeDesk | undefined {
  if (tls.acme === undefined || acme === undefined) return undefined;
  const own = [
    ...tls.gatewayNames,
    ...tls.acme.names,
    ...(signIn === undefined ? [] : [new URL(signIn.address).hostname]),
    ...(plan?.api === undefined ? [] : [plan.api.host]),
    ...(plan?.web?.paths === undefined ? [] : [plan.web.paths.host]),
  ];
  const wants = (name: string): boolean => {
    const device = plan?.web === undefined ? undefined : deviceOfHost(name, plan.web.domain);
    const known = device === undefined ? undefined : devices?.tunnels.known(device);
    return known?.state === "approved" && known.web !== "off";
  };
  return acme.desk(
    tls.acme,
    [...new Set(own.map((name) => name.toLowerCase()))].filter(isCertifiable),
    wants,
  );
}

async function createRule(rule: RuleConfig, shared: LoginPorts, made: AsyncDisposableStack): Promise<Rule> {
  try {
    const ports = { ...shared, revocation: await revocationOf(rule, shared) };
    const login = [];
    for (const each of rule.login) login.push(made.use(await createAuthMethod(each, ports)));
    const upstream = await createUpstream(rule.upstream, ports, made);
    const sftp = rule.sftp === undefined ? undefined : await createFilePlan(rule.sftp, ports, made);
    const { name, match, targets, serve, policy } = rule;
    return {
      name,
      match,
      login: loginSteps(login, ({ kind }) => kind, rule.require),
      upstream,
      ...(targets === undefined ? {} : { targets }),
      ...(serve === undefined ? {} : { serve }),
      ...(policy === undefined ? {} : { policy }),
      ...(sftp === undefined ? {} : { sftp }),
    };
  } catch (error) {
    throw unusable(error, rule);
  }
}

async function createUpstream(
  plan: UpstreamConfig,
  ports: LoginPorts,
  made: AsyncDisposableStack,
): Promise<UpstreamPlan> {
  const credentials = [];
  for (const each of plan.credentials) credentials.push(made.use(await createCredential(each, ports)));
  // Parsed only to find mistakes now and not at the first login.
  void new PinnedKeys(plan.hostKey);
  return { ...plan, credentials };
}

async function createFilePlan(
  { mounts, ...plan }: NonNullable<RuleConfig["sftp"]>,
  ports: LoginPorts,
  made: AsyncDisposableStack,
): Promise<SftpPlan> {
  if (mounts === undefined) return plan;
  const ready: MountPlan[] = [];
  for (const mount of mounts)
    ready.push({ ...mount, upstream: await createUpstream(mount.upstream, ports, made) });
  return { ...plan, mounts: ready };
}

/** Of all rules, and of this one. */
async function revocationOf({ revoked }: RuleConfig, ports: LoginPorts): Promise<Revocation> {
  const { revocation: all } = ports;
  if (revoked === undefined) return all;
  const own = await openRevocation(revoked, ports);
  return { reasonAgainst: async (key) => (await all.reasonAgainst(key)) ?? (await own.reasonAgainst(key)) };
}

async function createSpliceRule(
  { login, ...rule }: SpliceRuleConfig,
  ports: LoginPorts,
  made: AsyncDisposableStack,
): Promise<SpliceRule> {
  if (login === undefined) return rule;
  try {
    const methods: AuthMethod[] = [];
    for (const each of login) methods.push(made.use(await createAuthMethod(each, ports)));
    return { ...rule, login: methods };
  } catch (error) {
    throw unusable(error, rule);
  }
}

/** The error knows what is wrong; only here is it known where. */
function unusable(error: unknown, { name, place }: Pick<RuleConfig, "name" | "place">): unknown {
  if (!(error instanceof PosternError)) return error;
  return new appErrors.OPERATOR_RULE_UNUSABLE(`${place}, rule ${name}: ${error.message}`, { cause: error });
}

/** All that clients may sign with: everything known but SHA-1. */
function clientSignatureAlgorithms(): string[] {
  return [
    ...signatureAlgorithms.keys(),
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
  ].filter((name, at, all) => name !== "ssh-rsa" && all.indexOf(name) === at);
}

/** Nobody outside can know it, and it stays as long as the keys do. */
function timingSecretOf(hostKeys: readonly PrivateKey[]): Uint8Array {
  const hash = createHash("sha256").update("postern failure delays");
  for (const key of hostKeys) hash.update(key.keyObject.export({ format: "der", type: "pkcs8" }));
  return hash.digest();
}

/** For logs: where a configuration listens. */
export function listenNames(config: Config): string[] {
  return config.listen.map(({ endpoint }) => formatEndpoint(endpoint));
}
