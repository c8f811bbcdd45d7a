import type { DestinationOptions, ResolvedDestination } from "#client";
import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import { readFile } from "node:fs/promises";
import { complain, type CliContext } from "./context.ts";
import { cliErrors } from "./errors.ts";
import { questionsOf } from "./questions.ts";

/** Options that `forward` and `ssh` have in common, as commander gives them. */
export interface ClientOptions {
  readonly identity?: readonly string[];
  readonly login?: string;
  readonly jump?: string;
  readonly sshConfig?: string;
  readonly option?: readonly string[];
  readonly acceptNew?: boolean;
  readonly passwordFile?: string;
  readonly ipv4?: boolean;
  readonly ipv6?: boolean;
  readonly quiet?: boolean;
}

/** More than any password file holds. */
const maxPasswordBytes = 4096;

export function withClientOptions(command: Command): Command {
  return command
    .option("-i, --identity <file>", "log in with this private key; may be given again", collect)
    .option("-l, --login <user>", "the user to log in as")
    .option("-J, --jump <hosts>", "go through these hosts: [user@]host[:port], apart by commas")
    .option(
      "-F, --ssh-config <file>",
      'instead of ~/.ssh/config and /etc/ssh/ssh_config; "none" reads nothing',
    )
    .option("-o, --option <setting>", "a line of ssh_config, as Key=value; may be given again", collect)
    .option("-4, --ipv4", "connect by IPv4 only")
    .option("-6, --ipv6", "connect by IPv6 only")
    .option("-q, --quiet", "say nothing but errors")
    .option(
      "--accept-new",
      "keep the keys of hosts that are not known, without asking; changed ones are refused",
    )
    .option("--password-file <file>", "the first line of this file is the password");
}

export function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

export function parsePortOption(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port >= 1 && port <= 65_535) return port;
  throw new InvalidArgumentError("A port is 1 to 65535.");
}

/** What the destination and its options lead to. Throws errors of #client, and OPERATOR_COMMAND_FAILED. */
export async function resolved(
  destination: string,
  options: ClientOptions,
  context: CliContext,
  overrides: NonNullable<DestinationOptions["overrides"]> = [],
): Promise<ResolvedDestination> {
  const client = await import("#client");
  const password =
    options.passwordFile === undefined
      ? undefined
      : await firstLineOf(options.passwordFile, client.fileReasonOf);
  const quiet = options.quiet === true;
  return await client.resolveDestination(destination, {
    overrides: [...overrides, ...overridesOf(options)],
    configFile: options.sshConfig,
    environment: context.environment,
    questions: questionsOf(context, client.printable),
    acceptNew: options.acceptNew === true,
    notice: (text) => {
      if (!quiet) complain(context, text);
    },
    banner: (text) => {
      // Of a stranger, so far: it may move no cursor.
      if (!quiet) complain(context, client.printable(text));
    },
    ...(password === undefined ? {} : { password }),
  });
}

function overridesOf(options: ClientOptions): NonNullable<DestinationOptions["overrides"]> {
  const one = (keyword: string, value: string | undefined): { keyword: string; value: string }[] =>
    value === undefined ? [] : [{ keyword, value: quoted(value) }];
  const settings = (options.option ?? []).map((text) => {
    const [, keyword = "", value = ""] = /^\s*([A-Za-z0-9]+)(?:\s*=\s*|\s+)(.*)$/s.exec(text) ?? [];
    if (keyword !== "") return { keyword, value };
    throw new cliErrors.OPERATOR_COMMAND_LINE(`-o ${text.slice(0, 100)}: write Key=value.`);
  });
  return [
    ...one("User", options.login),
    ...one("ProxyJump", options.jump),
    ...(options.ipv4 === true ? one("AddressFamily", "inet") : []),
    ...(options.ipv6 === true ? one("AddressFamily", "inet6") : []),
    ...(options.identity ?? []).flatMap((file) => one("IdentityFile", file)),
    ...settings,
  ];
}

function quoted(text: string): string {
  return `"${text.replace(/[\\"]/g, "\\$&")}"`;
}

async function firstLineOf(file: string, reasonOf: (cause: unknown) => string): Promise<string> {
  try {
    const [line = ""] = (await readFile(file, "utf8")).split(/\r?\n/, 1);
    if (line === "" || line.length > maxPasswordBytes) throw new Error("its first line is no password");
    return line;
  } catch (cause) {
    throw new cliErrors.OPERATOR_COMMAND_FAILED(`${file} cannot be used as a password: ${reasonOf(cause)}.`, {
      cause,
    });
  }
}
