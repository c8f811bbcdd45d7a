import { type Certificate, parsePrivateKey, parsePublicKeyLine, type PublicKey } from "#ssh/keys";
import { Command, Option } from "commander";
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { knownHostsLines, sshConfigLines } from "./client-config-text.ts";
import { parsePortOption } from "./client-options.ts";
import { configOption, type ConfigOptions, loadWithWarnings } from "./config-option.ts";
import { type CliContext, say } from "./context.ts";
import { cliErrors } from "./errors.ts";
import { examples } from "./examples.ts";

interface ClientConfigOptions extends ConfigOptions {
  readonly gate?: string;
  readonly port?: number;
  readonly only?: "ssh-config" | "known-hosts";
}

export function clientConfigCommand(context: CliContext): Command {
  return new Command("client-config")
    .summary("print what users need in their ssh_config and known_hosts")
    .description(
      "Prints the lines that users of a gateway need in ~/.ssh/config, for each of its rules, targets and ways in, and in known_hosts.",
    )
    .addOption(configOption())
    .option("--gate <name>", "the name by which users reach the gateway; default: this machine's")
    .option(
      "--port <port>",
      "the port by which they reach it, where that is not the listener's",
      parsePortOption,
    )
    .addOption(new Option("--only <part>", "one of the two parts").choices(["ssh-config", "known-hosts"]))
    .addHelpText(
      "after",
      examples(
        "postern client-config --gate gate.example.com",
        "postern client-config --gate gate.example.com --only known-hosts >> /etc/ssh/ssh_known_hosts",
      ),
    )
    .action(async ({ config: file, gate, port, only }: ClientConfigOptions) => {
      const config = await loadWithWarnings(file, context);
      const found = await Promise.all(config.hostKeys.map(publicKeys));
      const identity = {
        name: gate ?? hostname(),
        ...(port === undefined ? {} : { port }),
        keys: found.flatMap(({ keys }) => keys),
        certificates: found.flatMap(({ certificates }) => certificates),
      };
      if (only !== "known-hosts") for (const line of sshConfigLines(config, identity)) say(context, line);
      if (only !== "ssh-config") for (const line of knownHostsLines(config, identity)) say(context, line);
    });
}

interface HostKeyFile {
  readonly keys: readonly PublicKey[];
  readonly certificates: readonly Certificate[];
}

/** The public half of a host key: of the file beside it, which anybody may read, or of the key itself. */
async function publicKeys(file: string): Promise<HostKeyFile> {
  const beside = (await publicLine(`${file}.pub`)) ?? (await publicLine(file));
  const certified = await publicLine(`${file}-cert.pub`);
  const certificates = [beside, certified].filter((key) => key !== undefined && "key" in key);
  if (beside !== undefined) return { keys: "key" in beside ? [] : [beside], certificates };
  try {
    return { keys: [(await parsePrivateKey(await readFile(file))).publicKey], certificates };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new cliErrors.OPERATOR_COMMAND_FAILED(`${file} cannot be read: ${reason}.`, { cause });
  }
}

async function publicLine(file: string): Promise<PublicKey | Certificate | undefined> {
  try {
    return parsePublicKeyLine(await readFile(file, "utf8")).key;
  } catch {
    return undefined;
  }
}
