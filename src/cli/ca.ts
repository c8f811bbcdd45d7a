import type { AuthorityKey, AuthorityKind, AuthorityLine, SignedHostKey } from "#app";
import { parseSeconds } from "#base";
import { loadConfig, readStateDir } from "#config";
import { fingerprint, formatPublicKey } from "#ssh/keys";
import { Command, Option } from "commander";
import { join } from "node:path";
import { askSecret } from "./ask-secret.ts";
import { configOption } from "./config-option.ts";
import { type CliContext, say } from "./context.ts";
import { cliErrors } from "./errors.ts";
import { examples } from "./examples.ts";

export function caCommand(context: CliContext): Command {
  return new Command("ca")
    .summary("make and use the gateway's own CA keys")
    .description(
      "The gateway's CA keys: one certifies people at the hosts behind (the credential `certificate`), another, with --host, the gateway to its clients.",
    )
    .addCommand(initCommand(context))
    .addCommand(showCommand(context))
    .addCommand(rotateCommand(context))
    .addCommand(signHostCommand(context));
}

interface KeyOptions {
  readonly config: string;
  readonly host?: boolean;
  readonly ca?: string;
}

interface ProtectedOptions extends KeyOptions {
  readonly passphrase?: boolean;
}

const hostOption = (): Option => new Option("--host", "the CA for host keys, in place of that for people");
const caOption = (): Option =>
  new Option("--ca <file>", "the CA's key; default: user_ca_key or host_ca_key in stateDir");
const passphraseOption = (): Option =>
  new Option(
    "-p, --passphrase",
    "ask for a passphrase, or read it from stdin, and encrypt the private key with it",
  );

function kindOf({ host }: { readonly host?: boolean }): AuthorityKind {
  return host === true ? "host" : "user";
}

async function fileOf(options: KeyOptions, kind: AuthorityKind, context: CliContext): Promise<string> {
  if (options.ca !== undefined) return options.ca;
  const stateDir = await readStateDir(options.config, { environment: context.environment });
  return join(stateDir, `${kind}_ca_key`);
}

function initCommand(context: CliContext): Command {
  return new Command("init")
    .summary("make a CA key")
    .description(
      "Makes a CA key (mode 600) and its public half beside it, and prints what others need to trust it.",
    )
    .addOption(configOption())
    .addOption(hostOption())
    .option("-o, --output <file>", "where the key goes; default: user_ca_key or host_ca_key in stateDir")
    .addOption(passphraseOption())
    .addHelpText(
      "after",
      examples("postern ca init -c postern.yaml", "postern ca init --host -o /etc/postern/host_ca_key -p"),
    )
    .action(async ({ output, ...options }: ProtectedOptions & { readonly output?: string }) => {
      const kind = kindOf(options);
      const named = output === undefined ? options : { ...options, ca: output };
      const file = await fileOf(named, kind, context);
      const passphrase = options.passphrase === true ? await askSecret(context, "Passphrase", true) : "";
      const { authority } = await context.app();
      sayLines([await authority.init(file, kind, passphrase)], kind, undefined, context);
    });
}

function showCommand(context: CliContext): Command {
  return new Command("show")
    .summary("print the lines by which others trust the CA")
    .description(
      "Prints the CA's public key and its fingerprint: for people, the lines of a file that sshd_config names in TrustedUserCAKeys; with --host, lines of known_hosts. During a rotation, those of both keys.",
    )
    .addOption(configOption())
    .addOption(hostOption())
    .addOption(caOption())
    .option(
      "-n, --names <patterns>",
      "with --host: the names, with commas, for which clients are to trust it; makes whole lines of known_hosts",
    )
    .addHelpText(
      "after",
      examples(
        "postern ca show -c postern.yaml > trusted_user_ca_keys",
        "postern ca show --host -n '*.gate.example' >> known_hosts",
      ),
    )
    .action(async (options: KeyOptions & { readonly names?: string }) => {
      const kind = kindOf(options);
      const { authority } = await context.app();
      sayLines(await authority.show(await fileOf(options, kind, context)), kind, options.names, context);
    });
}

function rotateCommand(context: CliContext): Command {
  return new Command("rotate")
    .summary("make a new CA key, the old one staying in show")
    .description(
      "Makes a new CA key in place of the old one, which stays beside it, as FILE.old, and in `postern ca show`, until --finish. The gateway takes the new one at its next reload: first make sure that all who trusted the old key trust the new one too.",
    )
    .addOption(configOption())
    .addOption(hostOption())
    .addOption(caOption())
    .addOption(passphraseOption())
    .option("--finish", "forget the old key")
    .addHelpText("after", examples("postern ca rotate -c postern.yaml", "postern ca rotate --finish"))
    .action(async (options: ProtectedOptions & { readonly finish?: boolean }) => {
      const kind = kindOf(options);
      const file = await fileOf(options, kind, context);
      const { authority } = await context.app();
      if (options.finish === true) {
        const { key } = await authority.finishRotation(file);
        say(context, `forgotten: ${fingerprint(key.blob)}`);
        return;
      }
      const passphrase = options.passphrase === true ? await askSecret(context, "Passphrase", true) : "";
      sayLines(await authority.rotate(file, kind, passphrase), kind, undefined, context);
    });
}

/** The lines stand as they are in the file that they are for; what is for people stands in comments. */
function sayLines(
  lines: readonly AuthorityLine[],
  kind: AuthorityKind,
  names: string | undefined,
  context: CliContext,
): void {
  const marker = kind === "host" && names !== undefined ? `@cert-authority ${names} ` : "";
  for (const { key, comment, old } of lines) {
    const state = old ? "of before the rotation; `postern ca rotate --finish` forgets it" : "current";
    say(context, `# ${fingerprint(key.blob)} (${state})`);
    say(context, `${marker}${formatPublicKey(key.blob, comment)}`);
  }
}

interface SignHostOptions extends KeyOptions {
  readonly names: string;
  readonly valid: string;
  readonly socket?: string;
  readonly key?: string;
}

function signHostCommand(context: CliContext): Command {
  return new Command("sign-host")
    .summary("certify the gateway's host keys")
    .description(
      "Signs the gateway's host keys by the CA for host keys: KEY-cert.pub beside each, which the gateway offers from its next reload on. Clients that trust the CA for the names see no fingerprint question.",
    )
    .argument("[file...]", "host keys, private or public; default: hostKeys of the configuration")
    .addOption(configOption())
    .requiredOption(
      "-n, --names <names>",
      "full names that clients type after the @, with commas; many clients take no patterns here",
    )
    .option("--valid <duration>", "how long the certificates hold", "52w")
    .addOption(caOption())
    .option("--socket <socket>", "in place of a file: UNIX socket of an ssh-agent that holds the CA's key")
    .option("--key <key>", "with --socket: fingerprint or public line of the CA's key")
    .addHelpText(
      "after",
      examples(
        "postern ca sign-host -c postern.yaml -n gate.example,web1.gate.example",
        "postern ca sign-host -n gate.example --valid 4w --ca host_ca_key ssh_host_ed25519_key.pub",
      ),
    )
    .action(async (given: readonly string[], options: SignHostOptions) => {
      const names = namesIn(options.names);
      const validSeconds = validityIn(options.valid);
      const key = await authorityKeyOf(options, context);
      const files = given.length > 0 ? given : await hostKeysOf(options.config, context);
      const { authority } = await context.app();
      for (const signed of await authority.signHostKeys(key, { files, names, validSeconds }))
        say(context, shown(signed));
    });
}

/** Host names and patterns, in lower case, as clients compare them. */
function namesIn(text: string): string[] {
  const names = text
    .split(",")
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== "");
  const bad = names.find((name) => !/^[a-z0-9_.:*?-]+$/.test(name));
  if (names.length > 0 && bad === undefined) return names;
  throw new cliErrors.OPERATOR_COMMAND_FAILED(`--names: "${bad ?? text}" is no host name`);
}

/** Shorter ones would be over before the gateway has read them. */
const minValidSeconds = 60;

function validityIn(text: string): number {
  const seconds = parseSeconds(text);
  if (seconds >= minValidSeconds) return seconds;
  throw new cliErrors.OPERATOR_COMMAND_FAILED(`--valid: must be at least ${minValidSeconds} seconds`);
}

async function authorityKeyOf(options: SignHostOptions, context: CliContext): Promise<AuthorityKey> {
  const { socket, key, ca } = options;
  if (socket !== undefined && key !== undefined && ca === undefined) return { socket, key };
  if (socket !== undefined || key !== undefined)
    throw new cliErrors.OPERATOR_COMMAND_FAILED("give --socket and --key together, or --ca");
  const file = await fileOf(options, "host", context);
  return { file, passphrase: () => askSecret(context, `Passphrase of ${file}`, false) };
}

async function hostKeysOf(config: string, context: CliContext): Promise<string[]> {
  const loaded = await loadConfig(config, { environment: context.environment, filesMustExist: false });
  // Certificates may be listed there too.
  return loaded.config.hostKeys.filter((file) => !file.endsWith("-cert.pub"));
}

function shown({ file, certificate }: SignedHostKey): string {
  const until = new Date(Number(certificate.validBefore) * 1000).toISOString().slice(0, 10);
  return `${file}: ${certificate.principals.join(",")} until ${until}, by ${fingerprint(certificate.authority.blob)}`;
}
