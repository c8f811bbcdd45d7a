import { formatHostPort } from "#base";
import type { Config, RuleConfig, TargetConfig } from "#config";
import { type Certificate, formatPublicKey, knownHostName, type PublicKey } from "#ssh/keys";

/** What the gateway shows of itself. */
export interface GateIdentity {
  /** The name by which users reach it. */
  readonly name: string;
  /** The port by which users reach it, where it is not the listener's. */
  readonly port?: number;
  readonly keys: readonly PublicKey[];
  readonly certificates: readonly Certificate[];
}

type Way = "address" | "tls" | "http" | "websocket" | "version";

/** The best first: what works with every ssh, then what needs another program, then what shows the name in clear. */
const ways: readonly Way[] = ["address", "tls", "http", "websocket", "version"];

/** ssh_config lines for every rule and target of a configuration. */
export function sshConfigLines(config: Config, gate: GateIdentity): string[] {
  const port = portFor(config, "ssh", gate);
  const lines = [
    `# For ~/.ssh/config: how to reach what is behind ${gate.name}.`,
    "",
    ...(port === undefined ? [] : block(gate.name, [`Port ${port}`], "the gateway itself")),
  ];
  const spliced = config.spliceRules.flatMap(({ targets }) => targets);
  for (const target of config.targets)
    if (isListed(target, spliced)) lines.push(...targetLines(target, config, gate));
  if (port !== undefined)
    for (const rule of config.rules) lines.push(...ruleLines(rule, gate.name, port, config));
  return lines;
}

/** known_hosts lines: the gateway's authorities if it has certificates of any, else its keys. */
export function knownHostsLines(config: Config, { name, port, keys, certificates }: GateIdentity): string[] {
  const ports = port === undefined ? tcpPorts(config) : [port];
  const authorities = new Map(
    certificates.map(({ authority }) => [Buffer.from(authority.blob).toString("base64"), authority]),
  );
  const names = ports.map((each) => knownHostName(name, each)).join(",");
  const lines = [`# For ~/.ssh/known_hosts: the gateway's own host keys.`];
  if (authorities.size > 0) {
    for (const authority of authorities.values())
      lines.push(`@cert-authority ${names} ${formatPublicKey(authority.blob)}`);
  } else for (const key of keys) lines.push(`${names} ${formatPublicKey(key.blob)}`);
  if (config.spliceRules.length > 0)
    lines.push(
      "# Hosts that are reached by --via, SNI, CONNECT or a jump show host keys of their own, by their own names.",
    );
  return lines;
}

/** Whether a rule's list of names, tags or `*` means this target. */
function isListed({ name, tags }: TargetConfig, list: readonly string[]): boolean {
  return [name, ...tags.map((tag) => `tag:${tag}`), "*"].some((each) => list.includes(each));
}

function ruleLines(rule: RuleConfig, gate: string, port: number, config: Config): string[] {
  const { user, userPattern } = rule.match;
  if (rule.serve?.kind === "devices") return [];
  if (rule.serve?.kind === "jump") {
    const who = user ?? "USER";
    const { targets } = rule.serve;
    const names = config.targets
      .filter((target) => target.pattern === undefined && isListed(target, targets))
      .map(({ name }) => name);
    if (names.length === 0) return [];
    const place = port === 22 ? gate : `${gate}:${port}`;
    return block(
      names.join(" "),
      [`ProxyJump ${who}@${place}`],
      `rule ${rule.name}: a jump host${user === undefined ? "; put your name there for USER" : ""}`,
    );
  }
  if (user === undefined) {
    const form = userPattern === undefined ? "any name" : `a name like ${userPattern.source}`;
    return [`# rule ${rule.name}: ssh NAME@${gate}, with ${form} for NAME`, ""];
  }
  return block(
    rule.name,
    [`HostName ${gate}`, `Port ${port}`, `User ${user}`],
    `rule ${rule.name}: ssh ${rule.name}`,
  );
}

function targetLines(target: TargetConfig, config: Config, gate: GateIdentity): string[] {
  const names = target.pattern === undefined ? [target.name, ...target.names] : ["NAME"];
  return names.flatMap((name) => {
    const found = ways.flatMap((way) => {
      const lines = wayLines(way, name, target, config, gate);
      return lines === undefined ? [] : [{ way, lines }];
    });
    const [best, ...others] = found;
    if (best === undefined) return [];
    const pattern = target.pattern === undefined ? "" : `; NAME is any name like ${target.pattern.source}`;
    return block(
      name,
      [
        ...best.lines,
        ...others.flatMap(({ way, lines }) => [`# or by ${way}:`, ...lines.map((line) => `# ${line}`)]),
      ],
      `target ${target.name}, by ${best.way}${pattern}`,
    );
  });
}

/** How one target is named in one way; undefined where that is not open. */
function wayLines(
  way: Way,
  name: string,
  target: TargetConfig,
  config: Config,
  gate: GateIdentity,
): string[] | undefined {
  if (way === "address") {
    // A range stands for many hosts; only one address can be written down.
    const at = target.at?.find(({ range }) => range !== undefined && !range.text.includes("/"));
    if (at?.range === undefined || target.pattern !== undefined) return undefined;
    const port = at.port === undefined ? [] : [`Port ${at.port}`];
    return [`HostName ${at.range.text}`, ...port, `HostKeyAlias ${name}`];
  }
  const port = portFor(config, way, gate);
  if (port === undefined) return undefined;
  const place = formatHostPort({ host: gate.name, port });
  switch (way) {
    case "tls":
      return [
        `ProxyCommand openssl s_client -quiet -verify_return_error -verify_quiet -connect ${place} -servername %n`,
        `# or: ProxyCommand postern connect ${place} %n %p`,
      ];
    case "http":
      return [
        `ProxyCommand nc -X connect -x ${place} %n %p`,
        `# or: ProxyCommand postern connect --via connect ${place} %n %p`,
      ];
    case "websocket":
      return [`ProxyCommand postern connect --via websocket ${place} %n`];
    case "version":
      return [
        `HostName ${gate.name}`,
        `Port ${port}`,
        `HostKeyAlias ${name}`,
        "# OpenSSH 10.0 or later; with others: postern ssh --via version",
        `VersionAddendum Host: ${name}`,
      ];
  }
}

/** The port of the first TCP listener that takes this. */
function portFor(
  config: Config,
  entry: "ssh" | Exclude<Way, "address">,
  gate: GateIdentity,
): number | undefined {
  const open = config.listen.find(
    ({ entries, endpoint }) => entries.includes(entry) && endpoint.kind !== "unix",
  );
  if (open === undefined) return undefined;
  return gate.port ?? (open.endpoint.kind === "tcp" ? open.endpoint.port : 22);
}

function tcpPorts(config: Config): number[] {
  const ports = config.listen.flatMap(({ endpoint }) => (endpoint.kind === "tcp" ? [endpoint.port] : []));
  return ports.length === 0 ? [22] : [...new Set(ports)];
}

function block(host: string, lines: readonly string[], comment: string): string[] {
  return [`# ${comment}`, `Host ${host}`, ...lines.map((line) => `    ${line}`), ""];
}
