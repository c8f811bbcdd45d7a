import { join } from "node:path";
import { type HostPort, parsePort } from "#base";
import {
  cipherAlgorithms,
  defaultAlgorithms,
  groupExchanges,
  kexMethods,
  macAlgorithms,
} from "#ssh/algorithms";
import type { InfoRequest } from "#ssh/messages";
import type { ConnectOptions } from "./connect.ts";
import { dialCommand } from "./dial.ts";
import { clientErrors } from "./errors.ts";
import type { HostKeyOptions, HostKeyQuestion } from "./host-keys.ts";
import type { LoginMethod, LoginOptions } from "./login.ts";
import { type HostSettings, readSettings, type SettingsOptions } from "./ssh-config/settings.ts";
import { expandHome, localAccount } from "./ssh-config/tokens.ts";

/** A place as people type it. */
export interface Destination {
  readonly host: string;
  readonly user: string | undefined;
  readonly port: number | undefined;
}

/** What only a person can say. Undefined: no answer. Absent: nobody is there. */
export interface Questions {
  hostKey(question: HostKeyQuestion): Promise<boolean>;
  password(where: string, again: boolean): Promise<string | undefined>;
  newPassword(prompt: string): Promise<string | undefined>;
  passphrase(file: string, wrong: boolean): Promise<string | undefined>;
  prompts(where: string, request: InfoRequest): Promise<readonly string[] | undefined>;
}

export interface DestinationOptions {
  /** Lines of ssh_config that come before all files: `{ keyword: "Port", value: "2222" }`. */
  readonly overrides?: SettingsOptions["overrides"];
  /** Instead of ~/.ssh/config and /etc/ssh/ssh_config; "none" reads nothing. */
  readonly configFile?: string | undefined;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly questions?: Questions | undefined;
  /** Instead of asking. */
  readonly password?: string | undefined;
  /** Keys of hosts that are not known are kept without asking; those that changed are still refused. */
  readonly acceptNew?: boolean;
  readonly notice?: (text: string) => void;
  readonly banner?: (text: string) => void;
}

/** Jump hosts of jump hosts. */
const maxJumps = 16;

const defaultKeyNames = ["id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk"];

/** Reads `[user@]host[:port]`, IPv6 with a port in brackets, or `ssh://…`. Throws OPERATOR_CLIENT_ARGUMENT. */
export function parseDestination(text: string): Destination {
  const fail = (reason: string): never => {
    throw new clientErrors.OPERATOR_CLIENT_ARGUMENT(`"${text.slice(0, 200)}": ${reason}.`);
  };
  const bare = text.replace(/^ssh:\/\//, "").replace(/^([^/]*)\/$/, "$1");
  const at = bare.lastIndexOf("@");
  const user = at < 0 ? undefined : bare.slice(0, at);
  const place = bare.slice(at + 1);
  const [, bracketed, named, portText] =
    /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d*))?$/.exec(place) ??
    (place.includes("[") ? [] : [place, undefined, place]);
  const host = bracketed ?? named ?? "";
  if (user === "") return fail("there is no user before the @");
  // A name that begins so would be taken for an option by whatever it is handed to.
  if (host === "" || host.startsWith("-") || /[\s/\\"'`$;&|<>()]/.test(host) || host.length > 255)
    return fail("write [user@]host[:port]");
  // oxlint-disable-next-line no-control-regex
  if (user !== undefined && (user.startsWith("-") || /[\u0000-\u001f\u007f]/.test(user)))
    return fail("that is no user name");
  const port = portText === undefined || portText === "" ? undefined : parsePort(portText);
  if ((portText ?? "") !== "" && (port === undefined || port === 0)) return fail("a port is 1 to 65535");
  return { host, user, port };
}

/**
 * What `connect` needs for a destination as typed: from ssh_config files, key files, the agent and known_hosts, as ssh(1) takes
 * them. Throws OPERATOR_CLIENT_ARGUMENT, OPERATOR_CLIENT_CONFIG.
 *
 *     await using connection = await connect(await resolveDestination("ada@web1"));
 */
export async function resolveDestination(
  destination: string,
  options: DestinationOptions = {},
): Promise<ResolvedDestination> {
  return await resolve(parseDestination(destination), options, 0, undefined);
}

export interface ResolvedDestination extends ConnectOptions {
  readonly user: string;
  readonly port: number;
  /** All that ssh_config said. */
  readonly settings: HostSettings;
}

async function resolve(
  { host, user, port }: Destination,
  options: DestinationOptions,
  depth: number,
  jumpsBefore: readonly ConnectOptions[] | undefined,
): Promise<ResolvedDestination> {
  if (depth > maxJumps)
    throw new clientErrors.OPERATOR_CLIENT_CONFIG(
      `ProxyJump of ${host} leads through more than ${maxJumps} hosts.`,
    );
  const { environment = process.env, notice } = options;
  const overrides = [
    ...(user === undefined ? [] : [{ keyword: "User", value: quoted(user) }]),
    ...(port === undefined ? [] : [{ keyword: "Port", value: String(port) }]),
    // What is said for the destination says nothing about the hosts on the way.
    ...(depth === 0 ? (options.overrides ?? []) : []),
  ];
  const settings = await readSettings({
    host,
    overrides,
    configFile: options.configFile,
    environment,
    notice,
  });
  const jumps = jumpsBefore ?? (await jumpsOf(settings, options, depth));
  const { proxyCommand, serverAliveSeconds, serverAliveCount, connectSeconds, bindAddress, family } =
    settings;
  const shell = environment["SHELL"] ?? "/bin/sh";
  const { versionAddendum } = settings;
  return {
    settings,
    host: settings.hostName,
    port: settings.port,
    user: settings.user,
    hostKey: hostKeyOptions(settings, options),
    login: loginOptions(settings, options, overrides),
    jumps,
    ...(proxyCommand === undefined || jumps.length > 0
      ? {}
      : { stream: () => dialCommand(proxyCommand, shell) }),
    ...(connectSeconds === undefined || connectSeconds === 0 ? {} : { timeoutMs: connectSeconds * 1000 }),
    keepalive: { intervalMs: serverAliveSeconds * 1000, maxMissed: serverAliveCount },
    ...(notice === undefined ? {} : { notice }),
    ...(versionAddendum === undefined ? {} : { versionComment: versionAddendum }),
    ...(bindAddress === undefined ? {} : { bindAddress }),
    ...(family === undefined ? {} : { family }),
    algorithms: algorithmsOf(settings),
  };
}

async function jumpsOf(
  { proxyJump }: HostSettings,
  options: DestinationOptions,
  depth: number,
): Promise<readonly ConnectOptions[]> {
  if (proxyJump === undefined) return [];
  const jumps: ConnectOptions[] = [];
  for (const [index, text] of proxyJump.split(",").entries()) {
    // The first one may have hosts before it of its own; each other one is reached over those before it here.
    const hop = await resolve(parseDestination(text), options, depth + 1, index === 0 ? undefined : []);
    jumps.push(...(hop.jumps ?? []), { ...hop, jumps: [] });
  }
  return jumps;
}

function hostKeyOptions(
  settings: HostSettings,
  { questions, acceptNew = false }: DestinationOptions,
): HostKeyOptions {
  const { strictHostKeys, batchMode, hostKeyAlias } = settings;
  const accept = acceptNew || strictHostKeys === "accept-new";
  const ask = strictHostKeys === "ask" && !batchMode ? questions : undefined;
  return {
    knownHosts: settings.knownHosts,
    hashNames: settings.hashKnownHosts,
    ...(hostKeyAlias === undefined ? {} : { alias: hostKeyAlias }),
    unknown: accept ? "accept" : ask === undefined ? "refuse" : (question) => ask.hostKey(question),
  };
}

const methods: readonly LoginMethod[] = ["publickey", "keyboard-interactive", "password"];

function loginOptions(
  settings: HostSettings,
  options: DestinationOptions,
  overrides: SettingsOptions["overrides"],
): LoginOptions {
  const { home } = localAccount();
  const { password, banner, notice } = options;
  const where = `${settings.user}@${settings.host}`;
  const asked = settings.batchMode ? undefined : options.questions;
  const named = new Set(
    overrides
      .filter(({ keyword }) => keyword.toLowerCase() === "identityfile")
      .map(({ value }) => expandHome(unquoted(value), home)),
  );
  const files = settings.identityFiles ?? defaultKeyNames.map((name) => join(home, ".ssh", name));
  return {
    methods: settings.methods.flatMap((name) => methods.filter((method) => method === name)),
    // A file of the command line must be there; one of ssh_config may be another machine's.
    keyFiles: files.filter((file) => named.has(file)),
    optionalKeyFiles: files.filter((file) => !named.has(file)),
    certificateFiles: settings.certificateFiles,
    identitiesOnly: settings.identitiesOnly,
    agent: settings.agent,
    ...(asked === undefined
      ? {}
      : {
          passphrase: (file: string, wrong: boolean) => asked.passphrase(file, wrong),
          newPassword: (prompt: string) => asked.newPassword(prompt),
        }),
    ...(password !== undefined
      ? { password }
      : asked === undefined
        ? {}
        : {
            password: (again: boolean) => asked.password(where, again),
            answer: (request: InfoRequest) => asked.prompts(where, request),
          }),
    ...(banner === undefined ? {} : { banner }),
    ...(notice === undefined ? {} : { notice }),
  };
}

function algorithmsOf(settings: HostSettings): NonNullable<ConnectOptions["algorithms"]> {
  const { ciphers, macs, kexAlgorithms, hostKeyAlgorithms } = settings;
  const kex = new Set([...kexMethods.keys(), ...groupExchanges.keys()]);
  return {
    ...(ciphers === undefined
      ? {}
      : { ciphers: listed("Ciphers", ciphers, defaultAlgorithms.ciphers, new Set(cipherAlgorithms.keys())) }),
    ...(macs === undefined
      ? {}
      : { macs: listed("MACs", macs, defaultAlgorithms.macs, new Set(macAlgorithms.keys())) }),
    ...(kexAlgorithms === undefined
      ? {}
      : { kex: listed("KexAlgorithms", kexAlgorithms, defaultAlgorithms.kex, kex) }),
    ...(hostKeyAlgorithms === undefined
      ? {}
      : {
          hostKeys: listed(
            "HostKeyAlgorithms",
            hostKeyAlgorithms,
            defaultAlgorithms.hostKeys,
            new Set([...defaultAlgorithms.hostKeys, "ssh-rsa"]),
          ),
        }),
  };
}

/** A list of ssh_config: `+` adds, `-` takes away, `^` puts in front; else it is the whole. What is not known here is passed over. */
function listed(
  keyword: string,
  text: string,
  usual: readonly string[],
  known: ReadonlySet<string>,
): readonly string[] {
  const sign = /^[+^-]/.exec(text)?.[0];
  const names = text.slice(sign?.length ?? 0).split(",");
  const ours = names.filter((name) => known.has(name));
  const pattern = (name: string): RegExp =>
    new RegExp(
      `^${name
        .replace(/[.+^${}()|[\]\\]/g, "\\$&")
        .replaceAll("*", ".*")
        .replaceAll("?", ".")}$`,
    );
  const rest = usual.filter((name) => !ours.includes(name));
  const left = sign === "-" ? usual.filter((name) => !names.some((each) => pattern(each).test(name))) : [];
  const all = {
    "+": [...usual, ...ours.filter((name) => !usual.includes(name))],
    "^": [...ours, ...rest],
    "-": left,
  };
  const result = sign === "+" || sign === "^" || sign === "-" ? all[sign] : ours;
  if (result.length > 0) return result;
  throw new clientErrors.OPERATOR_CLIENT_CONFIG(
    `ssh_config: nothing in ${keyword} "${text.slice(0, 100)}" is known here.`,
  );
}

function quoted(text: string): string {
  return `"${text.replace(/[\\"]/g, "\\$&")}"`;
}

function unquoted(text: string): string {
  return /^"(.*)"$/s.exec(text)?.[1]?.replace(/\\([\\"])/g, "$1") ?? text;
}

/** `-W host:port` and the like. Throws OPERATOR_CLIENT_ARGUMENT. */
export function parseTarget(text: string): HostPort {
  const { host, port, user } = parseDestination(text);
  if (port === undefined || user !== undefined)
    throw new clientErrors.OPERATOR_CLIENT_ARGUMENT(`"${text.slice(0, 200)}": write host:port.`);
  return { host, port };
}
