import { base32, hashPassword, otpauthAddress, totpField } from "#auth";
import { parsePublicKeyLine } from "#ssh/keys";
import { PosternError, Secret } from "#base";
import { loadConfig } from "#config";
import { Command, InvalidArgumentError, Option } from "commander";
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { renderUnicodeCompact } from "uqr";
import { askSecret } from "./ask-secret.ts";
import { configOption, type ConfigOptions } from "./config-option.ts";
import { type CliContext, complain, say } from "./context.ts";
import { cliErrors } from "./errors.ts";
import { examples } from "./examples.ts";

/** Bytes of a new secret: as long as the hash (RFC 4226, section 4; RFC 6238, section 5.1). */
const secretBytes = { sha1: 20, sha256: 32, sha512: 64 } as const;

type Algorithm = keyof typeof secretBytes;

export function userCommand(context: CliContext): Command {
  return new Command("user")
    .summary("list and change users, enrol second factors")
    .description(
      "Lists the users of the configuration, and changes those in the file of users (`users: { file: … }`). The gateway reads the file at each login: nothing needs to be reloaded.",
    )
    .addCommand(listCommand(context))
    .addCommand(addCommand(context))
    .addCommand(passwordCommand(context))
    .addCommand(totpCommand(context))
    .addCommand(unlockCommand(context))
    .addCommand(removeCommand(context));
}

interface FileOptions extends ConfigOptions {
  readonly file?: string;
}

const fileOption = (): Option =>
  new Option("-f, --file <file>", "the file of users; default: users.file of the configuration");

async function fileOf({ file, config }: FileOptions, context: CliContext): Promise<string> {
  if (file !== undefined) return file;
  const loaded = await loadConfig(config, { environment: context.environment, filesMustExist: false });
  const named = loaded.config.users.file;
  if (named !== undefined) return named;
  throw new cliErrors.OPERATOR_COMMAND_FAILED(
    `${config} names no file of users: add \`users: { file: state/users.yaml }\` to it`,
  );
}

function listCommand(context: CliContext): Command {
  return new Command("ls")
    .summary("list the users")
    .description(
      "Lists everybody in the configuration, the file of users and the htpasswd file, and what each can log in with.",
    )
    .addOption(configOption())
    .addHelpText("after", examples("postern user ls -c postern.yaml"))
    .action(async ({ config }: ConfigOptions) => {
      const loaded = await loadConfig(config, { environment: context.environment, filesMustExist: false });
      const { users } = await context.app();
      for (const { name, passwords, keys, totp, groups } of await users.list(loaded.config.users)) {
        const has = [
          ...(passwords.length > 0 ? ["password"] : []),
          ...(keys.length > 0 ? [`${keys.length} ${keys.length === 1 ? "key" : "keys"}`] : []),
          ...(totp === undefined ? [] : ["totp"]),
          ...groups.map((group) => `@${group}`),
        ];
        say(context, `${name}: ${has.length === 0 ? "nothing to log in with" : has.join(", ")}`);
      }
    });
}

interface AddOptions extends FileOptions {
  readonly key?: readonly string[];
  readonly group?: readonly string[];
  readonly password?: boolean;
}

function addCommand(context: CliContext): Command {
  return new Command("add")
    .summary("add a user")
    .description("Adds a user to the file of users, which is made if it is not there (mode 600).")
    .argument("<name>", "the name that login methods know the user by")
    .addOption(configOption())
    .addOption(fileOption())
    .option("-k, --key <line...>", "public keys: lines of authorized_keys, in quotes", collect)
    .option("-g, --group <name...>", "groups that the user belongs to", collect)
    .option("-p, --password", "ask for a password, or read it from stdin")
    .addHelpText(
      "after",
      examples(
        'postern user add ada -c postern.yaml -g admins -k "$(cat ada.pub)"',
        "pass show gate/ada | postern user add ada -p",
      ),
    )
    .action(async (name: string, options: AddOptions) => {
      const file = await fileOf(options, context);
      const keys = (options.key ?? []).map(checkedKey);
      const passwords = options.password === true ? [await askedHash(context)] : [];
      const { users } = await context.app();
      await users.change(file, name, {
        kind: "add",
        user: { passwords, keys, groups: options.group ?? [] },
      });
      say(context, `${name} is in ${file}`);
    });
}

function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

function checkedKey(line: string): string {
  try {
    parsePublicKeyLine(line.trim());
    return line.trim();
  } catch (error) {
    if (!(error instanceof PosternError)) throw error;
    throw new cliErrors.OPERATOR_COMMAND_FAILED(`--key: ${error.message}`);
  }
}

async function askedHash(context: CliContext): Promise<string> {
  return await hashPassword(await askSecret(context, "Password", true));
}

function passwordCommand(context: CliContext): Command {
  return new Command("password")
    .summary("set a user's password")
    .description("Asks for a password, or reads it from stdin, and puts its hash in place of those before.")
    .argument("<name>", "a user in the file of users")
    .addOption(configOption())
    .addOption(fileOption())
    .addHelpText("after", examples("postern user password ada -c postern.yaml"))
    .action(async (name: string, options: FileOptions) => {
      const file = await fileOf(options, context);
      const hashes = [await askedHash(context)];
      const { users } = await context.app();
      await users.change(file, name, { kind: "passwords", hashes });
      say(context, `the password of ${name} is changed in ${file}`);
    });
}

interface TotpOptions extends FileOptions {
  readonly algorithm: Algorithm;
  readonly digits: 6 | 8;
  readonly issuer: string;
  readonly print?: boolean;
  readonly force?: boolean;
}

function totpCommand(context: CliContext): Command {
  return new Command("totp")
    .summary("enrol a user's authenticator app")
    .description(
      "Makes a secret for one-time codes, writes it to the file of users, and shows it as a QR code for an authenticator app. What is shown is the secret: show it to nobody else. A user who is not in the file is added.",
    )
    .argument("<name>", "the user")
    .addOption(configOption())
    .addOption(fileOption())
    .addOption(
      new Option("-a, --algorithm <name>", "some apps know sha1 alone")
        .choices(Object.keys(secretBytes))
        .default("sha1"),
    )
    .addOption(new Option("-d, --digits <n>", "length of a code: 6 or 8").argParser(digitsIn).default(6))
    .addOption(
      new Option("-i, --issuer <name>", "what the app calls the gateway").default(
        `Postern ${hostname()}`,
        "Postern and the name of this machine",
      ),
    )
    .option("--print", "write nothing; print the lines for the file, to be pasted")
    .option("--force", "replace the secret that the user has")
    .addHelpText(
      "after",
      examples("postern user totp ada -c postern.yaml", "postern user totp ada --print --digits 8 -a sha256"),
    )
    .action(async (name: string, options: TotpOptions) => {
      const { algorithm, digits, issuer } = options;
      const totp = { secret: new Secret(randomBytes(secretBytes[algorithm])), digits, algorithm };
      if (options.print === true) {
        say(context, `people:\n  ${name}:\n    totp: ${JSON.stringify(totpField(totp))}`);
      } else {
        const file = await fileOf(options, context);
        const { users } = await context.app();
        await users.change(file, name, { kind: "totp", totp, replace: options.force === true });
        complain(context, `The secret of ${name} is in ${file}. Scan this with an authenticator app:`);
      }
      const address = otpauthAddress(name, issuer, totp);
      if (context.stdout.isTTY === true) say(context, qrCode(address));
      say(context, address);
      complain(
        context,
        `Or type it into the app: ${base32(totp)} (time-based, ${digits} digits, ${algorithm})`,
      );
    });
}

function digitsIn(text: string): 6 | 8 {
  if (text === "6") return 6;
  if (text === "8") return 8;
  throw new InvalidArgumentError("expected 6 or 8");
}

/** Dark on light, whatever the terminal's colours: many readers take no inverted code. */
function qrCode(text: string): string {
  const lines = renderUnicodeCompact(text, { border: 2, ecc: "L" }).split("\n");
  return lines.map((line) => `\x1b[40;97m${line}\x1b[0m`).join("\n");
}

function unlockCommand(context: CliContext): Command {
  return new Command("unlock")
    .summary("let a user try codes again at once")
    .description("After too many wrong one-time codes in a row a user must wait. This ends the wait.")
    .argument("<name>", "the user")
    .addOption(configOption())
    .addHelpText("after", examples("postern user unlock ada -c postern.yaml"))
    .action(async (name: string, { config }: ConfigOptions) => {
      const loaded = await loadConfig(config, { environment: context.environment, filesMustExist: false });
      const { users } = await context.app();
      await users.forgive(loaded.config.stateDir, name);
      say(context, `${name} may try again`);
    });
}

function removeCommand(context: CliContext): Command {
  return new Command("rm")
    .summary("remove a user")
    .description("Removes a user from the file of users. Sessions that are open go on.")
    .argument("<name>", "a user in the file of users")
    .addOption(configOption())
    .addOption(fileOption())
    .addHelpText("after", examples("postern user rm ada -c postern.yaml"))
    .action(async (name: string, options: FileOptions) => {
      const file = await fileOf(options, context);
      const { users } = await context.app();
      await users.change(file, name, { kind: "remove" });
      say(context, `${name} is no longer in ${file}`);
    });
}
