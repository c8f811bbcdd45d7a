import { execFile } from "node:child_process";
import { glob, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { parsePort } from "#base";
import { fileReasonOf } from "../dial.ts";
import { clientErrors } from "../errors.ts";
import { type ConfigFile, type ConfigPorts, type ConfigQuery, resolveConfig } from "./resolve.ts";
import { maxConfigBytes } from "./lines.ts";
import {
  expandEnvironment,
  expandHome,
  expandTokens,
  type LocalAccount,
  localAccount,
  type TokenValues,
} from "./tokens.ts";

/** What ssh_config says of one host, defaults filled in. Paths and commands have their tokens resolved. */
export interface HostSettings {
  /** As typed. */
  readonly host: string;
  /** Where the connection goes. */
  readonly hostName: string;
  readonly port: number;
  readonly user: string;
  /** Undefined: the usual ones. */
  readonly identityFiles: readonly string[] | undefined;
  readonly certificateFiles: readonly string[];
  readonly identitiesOnly: boolean;
  /** A socket's path, or undefined for none. */
  readonly agent: string | undefined;
  /** `[user@]host[:port],…` */
  readonly proxyJump: string | undefined;
  readonly proxyCommand: string | undefined;
  readonly knownHosts: readonly string[];
  readonly hostKeyAlias: string | undefined;
  readonly strictHostKeys: "yes" | "ask" | "accept-new";
  readonly hashKnownHosts: boolean;
  readonly serverAliveSeconds: number;
  readonly serverAliveCount: number;
  readonly connectSeconds: number | undefined;
  readonly methods: readonly string[];
  readonly batchMode: boolean;
  readonly family: 4 | 6 | undefined;
  readonly bindAddress: string | undefined;
  readonly localForwards: readonly string[];
  readonly remoteForwards: readonly string[];
  readonly dynamicForwards: readonly string[];
  /** No forwarding at all, not even those of the command line. */
  readonly clearForwards: boolean;
  readonly exitOnForwardFailure: boolean | undefined;
  readonly unlinkSockets: boolean;
  readonly requestTerminal: "yes" | "no" | "force" | "auto";
  readonly remoteCommand: string | undefined;
  readonly sendEnvironment: readonly string[];
  readonly setEnvironment: readonly string[];
  readonly versionAddendum: string | undefined;
  /** The socket of the agent that the server may use. */
  readonly forwardAgent: string | undefined;
  readonly forwardX11: boolean;
  readonly forwardX11Trusted: boolean;
  /** 0: for ever. */
  readonly forwardX11Seconds: number;
  /** The program xauth(1). */
  readonly xauth: string | undefined;
  readonly ciphers: string | undefined;
  readonly macs: string | undefined;
  readonly kexAlgorithms: string | undefined;
  readonly hostKeyAlgorithms: string | undefined;
}

export interface SettingsOptions extends ConfigQuery {
  /** Instead of the usual two; "none" reads nothing. */
  readonly configFile?: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly notice?: ((text: string) => void) | undefined;
  readonly account?: LocalAccount;
}

/** Reads what ssh(1) would read about a host. Throws OPERATOR_CLIENT_CONFIG. */
export async function readSettings(options: SettingsOptions): Promise<HostSettings> {
  const account = options.account ?? localAccount();
  const { environment, notice = (): void => {} } = options;
  const files = filesFor(options.configFile, account.home);
  const ports: ConfigPorts = { account, environment, notice, read, glob: globbed, succeeds };
  const values = await resolveConfig(options, files, ports);
  const all = (keyword: string): readonly string[] => values.get(keyword) ?? [];
  const first = (keyword: string): string | undefined => all(keyword)[0];
  const { host } = options;
  const hostName = hostNameOf(first("hostname"), host);
  const user = expandEnvironment(first("user") ?? account.user, environment);
  const port = number(first("port"), "Port", 22);
  if (port === 0 || parsePort(String(port)) === undefined) throw bad("Port", String(port));
  const proxyJump = unlessNone(first("proxyjump"));
  const tokens: TokenValues = {
    host,
    hostName,
    port,
    user,
    alias: first("hostkeyalias") ?? host,
    jump: proxyJump ?? "",
  };
  const expand = (text: string): string => expandTokens(text, tokens, account);
  const path = (text: string): string =>
    expandHome(expandEnvironment(expand(text), environment), account.home);
  const agent = agentOf(first("identityagent"), environment, path);
  const proxyCommand = unlessNone(first("proxycommand"));
  const command = unlessNone(first("remotecommand"));
  const alias = first("hostkeyalias");
  const known = [
    ...(values.get("userknownhostsfile") ?? ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"]),
    ...(values.get("globalknownhostsfile") ?? ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"]),
  ];
  return {
    host,
    hostName,
    port,
    user,
    identityFiles: values
      .get("identityfile")
      ?.filter((file) => file !== "none")
      .map(path),
    certificateFiles: all("certificatefile")
      .filter((file) => file !== "none")
      .map(path),
    identitiesOnly: yes(first("identitiesonly"), "IdentitiesOnly") ?? false,
    agent,
    proxyJump,
    proxyCommand: proxyCommand === undefined ? undefined : expand(proxyCommand),
    knownHosts: known.filter((file) => file !== "none").map(path),
    hostKeyAlias:
      alias === undefined ? undefined : expandEnvironment(expandAlias(alias, tokens, account), environment),
    strictHostKeys: strictness(first("stricthostkeychecking")),
    hashKnownHosts: yes(first("hashknownhosts"), "HashKnownHosts") ?? false,
    serverAliveSeconds: number(first("serveraliveinterval"), "ServerAliveInterval", 0),
    serverAliveCount: number(first("serveralivecountmax"), "ServerAliveCountMax", 3),
    connectSeconds:
      first("connecttimeout") === undefined
        ? undefined
        : number(first("connecttimeout"), "ConnectTimeout", 0),
    methods: methodsOf(first),
    batchMode: yes(first("batchmode"), "BatchMode") ?? false,
    family: familyOf(first("addressfamily")),
    bindAddress: first("bindaddress"),
    localForwards: all("localforward").map((text) => expandEnvironment(text, environment)),
    remoteForwards: all("remoteforward").map((text) => expandEnvironment(text, environment)),
    dynamicForwards: all("dynamicforward"),
    clearForwards: yes(first("clearallforwardings"), "ClearAllForwardings") ?? false,
    exitOnForwardFailure: yes(first("exitonforwardfailure"), "ExitOnForwardFailure"),
    unlinkSockets: yes(first("streamlocalbindunlink"), "StreamLocalBindUnlink") ?? false,
    requestTerminal: terminalOf(first("requesttty")),
    remoteCommand: command === undefined ? undefined : expand(command),
    sendEnvironment: all("sendenv"),
    setEnvironment: all("setenv"),
    versionAddendum: versionOf(first("versionaddendum"), expand),
    forwardAgent: forwardedAgentOf(first("forwardagent"), agent, (text) => agentOf(text, environment, path)),
    forwardX11: yes(first("forwardx11"), "ForwardX11") ?? false,
    forwardX11Trusted: yes(first("forwardx11trusted"), "ForwardX11Trusted") ?? false,
    forwardX11Seconds: number(first("forwardx11timeout"), "ForwardX11Timeout", 1200),
    xauth: first("xauthlocation"),
    ciphers: first("ciphers"),
    macs: first("macs"),
    kexAlgorithms: first("kexalgorithms"),
    hostKeyAlgorithms: first("hostkeyalgorithms"),
  };
}

function filesFor(configFile: string | undefined, home: string): ConfigFile[] {
  const folder = join(home, ".ssh");
  if (configFile === "none") return [];
  if (configFile !== undefined) return [{ path: configFile, includeFolder: folder, required: true }];
  return [
    { path: join(folder, "config"), includeFolder: folder, required: false },
    { path: "/etc/ssh/ssh_config", includeFolder: "/etc/ssh", required: false },
  ];
}

async function read(path: string): Promise<string | undefined> {
  try {
    const { size } = await stat(path);
    if (size > maxConfigBytes)
      throw new clientErrors.OPERATOR_CLIENT_CONFIG(`${path} is larger than ${maxConfigBytes} bytes.`);
    return await readFile(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    if (code === undefined || !/^E[A-Z]+$/.test(code)) throw error;
    throw new clientErrors.OPERATOR_CLIENT_CONFIG(`${path} cannot be read: ${fileReasonOf(error)}.`, {
      cause: error,
    });
  }
}

async function globbed(pattern: string): Promise<string[]> {
  if (!/[*?[]/.test(pattern)) return [pattern];
  const found: string[] = [];
  for await (const path of glob(pattern)) found.push(path);
  return found.sort();
}

/** As ssh(1): by the user's shell. */
function succeeds(command: string): Promise<boolean> {
  return new Promise((resolve) => {
    execFile(process.env["SHELL"] ?? "/bin/sh", ["-c", command], (error) => resolve(error === null));
  });
}

function hostNameOf(text: string | undefined, host: string): string {
  if (text === undefined) return host;
  return text.replace(/%(.?)/gs, (_whole, token: string) => {
    if (token === "h" || token === "n") return host;
    if (token === "%") return "%";
    throw bad("HostName", text);
  });
}

/** Only some versions of ssh(1) take tokens here; %h of the alias itself is the host typed. */
function expandAlias(alias: string, tokens: TokenValues, account: LocalAccount): string {
  return expandTokens(alias, { ...tokens, alias: tokens.host }, account);
}

function unlessNone(text: string | undefined): string | undefined {
  return text === undefined || text.toLowerCase() === "none" ? undefined : text;
}

function yes(text: string | undefined, keyword: string): boolean | undefined {
  if (text === undefined) return undefined;
  if (/^(?:yes|true)$/i.test(text)) return true;
  if (/^(?:no|false)$/i.test(text)) return false;
  throw bad(keyword, text);
}

const unitSeconds: Readonly<Record<string, number>> = { "": 1, s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/** A count, or a time as `1m30s`. */
function number(text: string | undefined, keyword: string, fallback: number): number {
  if (text === undefined || (keyword === "ConnectTimeout" && text === "none")) return fallback;
  if (!/^(?:\d{1,9}[smhdwSMHDW]?)+$/.test(text)) throw bad(keyword, text);
  let sum = 0;
  for (const [, digits = "0", unit = ""] of text.matchAll(/(\d+)([smhdw]?)/gi))
    sum += Number(digits) * (unitSeconds[unit.toLowerCase()] ?? 1);
  return sum;
}

function strictness(text = "ask"): HostSettings["strictHostKeys"] {
  switch (text.toLowerCase()) {
    case "yes":
    case "true":
      return "yes";
    case "ask":
      return "ask";
    case "accept-new":
    // What has changed is refused here even so.
    case "no":
    case "false":
    case "off":
      return "accept-new";
    default:
      throw bad("StrictHostKeyChecking", text);
  }
}

function agentOf(
  text: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
  path: (text: string) => string,
): string | undefined {
  if (text?.toLowerCase() === "none") return undefined;
  if (text === undefined || text === "SSH_AUTH_SOCK") return environment["SSH_AUTH_SOCK"] || undefined;
  if (/^\$[A-Za-z_]\w*$/.test(text)) return environment[text.slice(1)];
  return path(text);
}

/** `yes` is the agent that we use ourselves; else it is a socket's path, or $NAME of a variable that holds one. */
function forwardedAgentOf(
  text: string | undefined,
  own: string | undefined,
  named: (text: string) => string | undefined,
): string | undefined {
  if (text === undefined || /^(?:no|false)$/i.test(text)) return undefined;
  return /^(?:yes|true)$/i.test(text) ? own : named(text);
}

function methodsOf(first: (keyword: string) => string | undefined): string[] {
  const listed = first("preferredauthentications")?.split(",") ?? [
    "publickey",
    "keyboard-interactive",
    "password",
  ];
  const off = new Set(
    [
      ["pubkeyauthentication", "publickey"],
      ["kbdinteractiveauthentication", "keyboard-interactive"],
      ["passwordauthentication", "password"],
    ]
      .filter(([keyword = ""]) => /^(?:no|false)$/i.test(first(keyword) ?? ""))
      .map(([, method]) => method),
  );
  return listed.filter((method) => !off.has(method));
}

function familyOf(text: string | undefined): 4 | 6 | undefined {
  if (text === undefined || text === "any") return undefined;
  if (text === "inet") return 4;
  if (text === "inet6") return 6;
  throw bad("AddressFamily", text);
}

function terminalOf(text = "auto"): HostSettings["requestTerminal"] {
  const lower = text.toLowerCase();
  if (lower === "true") return "yes";
  if (lower === "false") return "no";
  if (lower === "yes" || lower === "no" || lower === "force" || lower === "auto") return lower;
  throw bad("RequestTTY", text);
}

/** Printable ASCII only: it stands in the first line of the connection. */
function versionOf(text: string | undefined, expand: (text: string) => string): string | undefined {
  if (text === undefined || text.toLowerCase() === "none") return undefined;
  const addendum = expand(text);
  if (/^[\x20-\x7e]{1,200}$/.test(addendum)) return addendum;
  throw bad("VersionAddendum", text);
}

function bad(keyword: string, text: string): Error {
  return new clientErrors.OPERATOR_CLIENT_CONFIG(
    `ssh_config: "${text.slice(0, 100)}" is no value for ${keyword}.`,
  );
}
