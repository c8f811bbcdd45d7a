import type { Gate, GateTls, GateWay, ResolvedDestination } from "#client";
import { parseHostPort } from "#base";
import { type Command, Option } from "commander";
import { readFile } from "node:fs/promises";
import type { CliContext } from "./context.ts";
import { cliErrors } from "./errors.ts";
import { questionsOf } from "./questions.ts";

/** Ways by which a name is said to a gate. The last two belong to the SSH client itself. */
export const streamWays: readonly GateWay[] = ["sni", "connect", "websocket"];
const clientWays = ["version", "host-header"] as const;

export interface GateCommandOptions {
  readonly proxyUser?: string;
  readonly proxyPasswordFile?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly tlsName?: string;
  readonly dangerouslyAcceptAnyCertificate?: boolean;
}

export interface ViaOptions extends GateCommandOptions {
  readonly via?: GateWay | (typeof clientWays)[number];
  readonly gate?: string;
}

export function withGateOptions(command: Command): Command {
  return command
    .option("--proxy-user <user>", "log in at the gate as this user, whose password is asked for")
    .option("--proxy-password-file <file>", "the first line of this file is that password")
    .option("--ca <file>", "trust these authorities for the gate's certificate, instead of the system's")
    .option("--cert <file>", "show this certificate to the gate")
    .option("--key <file>", "its private key")
    .option("--tls-name <name>", "the name that the gate's certificate must have")
    .option("--dangerously-accept-any-certificate", "do not check the gate's certificate");
}

export function withViaOptions(command: Command): Command {
  return withGateOptions(
    command
      .addOption(
        new Option("--via <way>", "say to a gate which host is meant").choices([
          ...clientWays,
          ...streamWays,
        ]),
      )
      .option("--gate <place>", "the gate, as host:port; default: where the destination's name leads"),
  );
}

/** The destination, reached as --via says: its name is what was typed, and its host key is known by that name. */
export async function throughGate(
  target: ResolvedDestination,
  options: ViaOptions,
  context: CliContext,
): Promise<ResolvedDestination> {
  const { via } = options;
  if (via === undefined) {
    if (options.gate === undefined) return target;
    throw new cliErrors.OPERATOR_COMMAND_LINE("--gate needs --via, which says how to speak to it.");
  }
  const { settings } = target;
  const name = settings.host;
  const named = {
    ...target,
    hostKey: { ...target.hostKey, alias: settings.hostKeyAlias ?? name },
  };
  if (via === "version" || via === "host-header") {
    if (!/^[A-Za-z0-9._:-]{1,253}$/.test(name))
      throw new cliErrors.OPERATOR_COMMAND_FAILED(`"${name}" cannot be said to a gate.`);
    const gate = options.gate === undefined ? {} : parseHostPort(options.gate, settings.port);
    const said = via === "version" ? { versionComment: `Host: ${name}` } : { hostHeader: name };
    return { ...named, ...gate, ...said };
  }
  if (options.gate === undefined)
    throw new cliErrors.OPERATOR_COMMAND_LINE(`--via ${via} needs --gate, the place of the gate.`);
  const client = await import("#client");
  const gate = await gateWithLogin(client.parseGate(options.gate, via), options, context);
  const tls = await tlsOf(options);
  const to = { host: name, port: settings.port };
  return { ...named, jumps: [], stream: (signal) => client.openGate({ way: via, gate, to, tls, signal }) };
}

/** User and password of the gate: of its URL, of a file, or asked for. */
export async function gateWithLogin(
  gate: Gate,
  options: GateCommandOptions,
  context: CliContext,
): Promise<Gate> {
  const user = options.proxyUser ?? gate.user;
  if (user === undefined) return gate;
  let { password } = gate;
  if (options.proxyPasswordFile !== undefined) password = await textOf(options.proxyPasswordFile, true);
  if (password === undefined) {
    const { printable } = await import("#client");
    password = await questionsOf(context, printable)?.password(`${user} at the gate`, false);
  }
  if (password !== undefined) return { ...gate, user, password };
  throw new cliErrors.OPERATOR_COMMAND_FAILED(
    "The gate's password is missing: give --proxy-password-file, or call it on a terminal.",
  );
}

export async function tlsOf(options: GateCommandOptions): Promise<GateTls> {
  const { ca, cert, key, tlsName } = options;
  return {
    ...(ca === undefined ? {} : { authorities: await textOf(ca, false) }),
    ...(cert === undefined ? {} : { certificate: await textOf(cert, false) }),
    ...(key === undefined ? {} : { key: await textOf(key, false) }),
    ...(tlsName === undefined ? {} : { name: tlsName }),
    ...(options.dangerouslyAcceptAnyCertificate === true ? { dangerouslyAcceptAny: true } : {}),
  };
}

async function textOf(file: string, firstLine: boolean): Promise<string> {
  try {
    const text = await readFile(file, "utf8");
    return firstLine ? (text.split(/\r?\n/, 1)[0] ?? "") : text;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new cliErrors.OPERATOR_COMMAND_FAILED(`${file} cannot be read: ${reason}.`, { cause });
  }
}
