import { parseSeconds, PosternError } from "#base";
import { Command, InvalidArgumentError, Option } from "commander";
import type { CliContext } from "./context.ts";
import {
  atDesk,
  countOf,
  type DeviceOptions,
  deviceWord,
  loaded,
  tell,
  withGrantOptions,
} from "./device-command.ts";
import { tokensText } from "./device-text.ts";
import { examples } from "./examples.ts";

export function tokenCommand(context: CliContext): Command {
  return new Command("token")
    .summary("make join tokens, by which new devices come in at once")
    .description(
      "Join tokens: who has one makes a new key a device, without an operator. Each may be used so often and so long, and gives the tags and ports that it was made with.",
    )
    .addCommand(createCommand(context))
    .addCommand(listCommand(context))
    .addCommand(removeCommand(context));
}

interface CreateOptions extends DeviceOptions {
  readonly uses: number;
  readonly expires: number;
  readonly names: string;
  readonly tag?: readonly string[];
  readonly port?: readonly number[];
  readonly web?: "off" | "login" | "public";
}

function createCommand(context: CliContext): Command {
  return withGrantOptions(
    deviceWord("create", "make a join token; it is shown here and never again")
      .addOption(
        new Option("-u, --uses <n>", "how many devices may come by it").argParser(countOf).default(1),
      )
      .addOption(
        new Option("-e, --expires <time>", "how long it holds: 30m, 12h, 7d")
          .argParser(secondsOf)
          .default(86_400, "1d"),
      )
      .option("-n, --names <pattern>", "names that it may be used for, with * and ?", "*"),
  )
    .addHelpText(
      "after",
      examples(
        "postern device token create",
        "postern device token create -u 50 -e 7d -n 'kiosk*' -t hall1 -p 22 -p 80",
      ),
    )
    .action(async (options: CreateOptions) => {
      const { uses, expires, names, tag, port, web } = options;
      const { devices } = await loaded(options, context);
      const made = await atDesk(options, context, ({ office }) =>
        office.makeToken({
          uses,
          lifeMs: expires * 1000,
          names: names.toLowerCase(),
          tags: tag ?? [],
          ports: port ?? devices?.ports ?? [],
          web: web ?? "off",
        }),
      );
      tell(context, options, made, made.token);
    });
}

function listCommand(context: CliContext): Command {
  return deviceWord("ls", "list the join tokens, without what they are shown by")
    .addHelpText("after", examples("postern device token ls"))
    .action(async (options: DeviceOptions) => {
      const tokens = await atDesk(options, context, ({ office }) => office.tokens());
      tell(context, options, tokens, tokensText(tokens, Date.now()));
    });
}

function removeCommand(context: CliContext): Command {
  return deviceWord("rm", "make a join token void; devices that came by it stay")
    .argument("<id>", "its id, as `postern device token ls` shows it")
    .addHelpText("after", examples("postern device token rm x4k2mq"))
    .action(async (id: string, options: DeviceOptions) => {
      await atDesk(options, context, ({ office }) => office.removeToken(id));
      tell(context, options, { id }, `the token ${id} is void`);
    });
}

function secondsOf(text: string): number {
  try {
    return parseSeconds(text);
  } catch (error) {
    if (!(error instanceof PosternError)) throw error;
    throw new InvalidArgumentError(error.detail ?? error.message);
  }
}
