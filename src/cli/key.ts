import { hashPassword } from "#auth";
import { PosternError } from "#base";
import {
  fingerprint,
  formatPrivateKey,
  formatPublicKey,
  type GeneratedType,
  generatePrivateKey,
  parsePrivateKey,
  parsePublicKeyLine,
} from "#ssh/keys";
import { Command, Option } from "commander";
import { mkdir, readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { askSecret } from "./ask-secret.ts";
import { type CliContext, say } from "./context.ts";
import { cliErrors } from "./errors.ts";
import { examples } from "./examples.ts";
import { writeNew } from "./write-new.ts";

const types: Readonly<Record<string, GeneratedType>> = {
  ed25519: "ssh-ed25519",
  ecdsa: "ecdsa-sha2-nistp256",
  "ecdsa-256": "ecdsa-sha2-nistp256",
  "ecdsa-384": "ecdsa-sha2-nistp384",
  "ecdsa-521": "ecdsa-sha2-nistp521",
  rsa: "ssh-rsa",
};

export function keyCommand(context: CliContext): Command {
  return new Command("key")
    .summary("make keys and password hashes, show fingerprints")
    .description(
      "Makes keys for the gateway, shows fingerprints of keys, and makes password hashes for the configuration.",
    )
    .addCommand(generateCommand(context))
    .addCommand(fingerprintCommand(context))
    .addCommand(hashPasswordCommand(context));
}

interface GenerateOptions {
  readonly type: string;
  readonly comment?: string;
  readonly passphrase?: boolean;
  readonly force?: boolean;
}

function generateCommand(context: CliContext): Command {
  return new Command("generate")
    .summary("make a key pair")
    .description("Makes a private key in OpenSSH's form in FILE (mode 600), and the public key in FILE.pub.")
    .argument("<file>", "where the private key goes")
    .addOption(
      new Option("-t, --type <type>", "type of the key").choices(Object.keys(types)).default("ed25519"),
    )
    .option(
      "-C, --comment <text>",
      "comment in the public key; default: postern@ and the name of this machine",
    )
    .option(
      "-p, --passphrase",
      "ask for a passphrase, or read it from stdin, and encrypt the private key with it",
    )
    .option("-f, --force", "replace what is there")
    .addHelpText(
      "after",
      examples(
        "postern key generate /var/lib/postern/ssh_host_ed25519_key",
        "postern key generate id_rsa -t rsa -p",
      ),
    )
    .action(async (file: string, options: GenerateOptions) => {
      const passphrase = options.passphrase === true ? await askSecret(context, "Passphrase", true) : "";
      const comment = options.comment ?? `postern@${hostname()}`;
      const key = generatePrivateKey(types[options.type] ?? "ssh-ed25519", comment);
      await mkdir(dirname(file), { recursive: true, mode: 0o700 });
      await writeNew(file, await formatPrivateKey(key, passphrase), 0o600, options.force === true);
      await writeNew(
        `${file}.pub`,
        `${formatPublicKey(key.publicKey.blob, key.comment)}\n`,
        0o644,
        options.force === true,
      );
      say(context, `${fingerprint(key.publicKey.blob)} ${key.comment} (${key.publicKey.type})`);
    });
}

function fingerprintCommand(context: CliContext): Command {
  return new Command("fingerprint")
    .summary("show fingerprints of keys")
    .description(
      "Prints the fingerprint of every key in files of public keys, known_hosts, authorized_keys, or of private keys.",
    )
    .argument("<file...>", "files of keys")
    .addHelpText(
      "after",
      examples(
        "postern key fingerprint state/ssh_host_ed25519_key.pub",
        "postern key fingerprint ~/.ssh/known_hosts",
      ),
    )
    .action(async (files: readonly string[]) => {
      for (const file of files) {
        for (const line of await fingerprintsOf(file, context)) say(context, line);
      }
    });
}

/** Far more than any file of keys holds. */
const maxKeyFileBytes = 4 * 1024 * 1024;

async function fingerprintsOf(file: string, context: CliContext): Promise<string[]> {
  const text = await readKeyFile(file);
  if (text.includes("PRIVATE KEY-----")) {
    const { publicKey, comment } = await openKey(file, text, context);
    return [`${fingerprint(publicKey.blob)} ${comment || "no comment"} (${publicKey.type})`];
  }
  const found = text.split("\n").flatMap((line) => {
    const key = publicKeyIn(line);
    return key === undefined ? [] : [`${fingerprint(key.blob)} ${key.comment || "no comment"} (${key.type})`];
  });
  if (found.length > 0) return found;
  throw new cliErrors.OPERATOR_COMMAND_FAILED(`${file} holds no key`);
}

async function openKey(file: string, text: string, context: CliContext): ReturnType<typeof parsePrivateKey> {
  try {
    return await parsePrivateKey(text);
  } catch (error) {
    if (!(error instanceof PosternError && error.code === "OPERATOR_KEY_PASSPHRASE_NEEDED")) throw error;
    return await parsePrivateKey(text, await askSecret(context, `Passphrase of ${file}`, false));
  }
}

/** The key of a line: alone, or behind what known_hosts and authorized_keys put before it. */
function publicKeyIn(line: string): { blob: Uint8Array; type: string; comment: string } | undefined {
  const words = line.trim().split(/\s+/);
  if (line.startsWith("#")) return undefined;
  for (let at = 0; at + 1 < words.length; at++) {
    try {
      const { key, comment } = parsePublicKeyLine(words.slice(at).join(" "));
      return { blob: key.blob, type: key.type, comment: comment || words.slice(0, at).join(" ") };
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
    }
  }
  return undefined;
}

async function readKeyFile(file: string): Promise<string> {
  try {
    const bytes = await readFile(file);
    if (bytes.length <= maxKeyFileBytes) return bytes.toString("latin1");
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const detail = code === "ENOENT" ? `there is no file ${file}` : `${file} cannot be read: ${message}`;
    throw new cliErrors.OPERATOR_COMMAND_FAILED(detail, { cause });
  }
  throw new cliErrors.OPERATOR_COMMAND_FAILED(`${file} is too large for a file of keys`);
}

function hashPasswordCommand(context: CliContext): Command {
  return new Command("hash-password")
    .alias("hash")
    .summary("make the hash of a password")
    .description(
      "Asks for a password, or reads it from stdin, and prints its hash for `hashes` of the login kind password.",
    )
    .addHelpText(
      "after",
      examples("postern key hash-password", "pass show gate/ada | postern key hash-password"),
    )
    .action(async () => {
      say(context, await hashPassword(await askSecret(context, "Password", true)));
    });
}
