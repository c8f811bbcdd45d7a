import type { DeviceOffice, HeldTunnel, SeenDevice } from "#contract";
import { Argument, Command, Option } from "commander";
import { resolve } from "node:path";
import type { ConfigOptions } from "./config-option.ts";
import { apiTokenCommand } from "./device-api-token.ts";
import type { CliContext } from "./context.ts";
import { askGateway } from "./control-client.ts";
import {
  atDesk,
  collectPort,
  countOf,
  type DeviceOptions,
  deviceWord,
  loaded,
  tell,
  withGrantOptions,
} from "./device-command.ts";
import { deviceText, devicesText, logText } from "./device-text.ts";
import { tokenCommand } from "./device-token.ts";
import { cliErrors } from "./errors.ts";
import { examples } from "./examples.ts";

export function deviceCommand(context: CliContext): Command {
  return new Command("device")
    .summary("say which devices may come, and see who is there")
    .description(
      "The authority over devices: machines that hold tunnels to the gateway. Works on the database itself, whether the gateway runs or not; a running gateway acts upon it within a second. A device is said by its name, its code or its id.",
    )
    .addCommand(listCommand(context))
    .addCommand(showCommand(context))
    .addCommand(approveCommand(context))
    .addCommand(
      simple(
        context,
        "deny",
        "refuse a device that waits",
        "is denied; its key may not ask again",
        (office, said) => office.deny(said),
      ),
    )
    .addCommand(renameCommand(context))
    .addCommand(tagCommand(context))
    .addCommand(portsCommand(context))
    .addCommand(webCommand(context))
    .addCommand(
      simple(
        context,
        "revoke",
        "cut a device's tunnels and refuse its key from now on",
        "is revoked; its name is free",
        (office, said) => office.revoke(said),
      ),
    )
    .addCommand(
      simple(
        context,
        "rm",
        "forget a device: its key is a stranger's again",
        "is forgotten",
        (office, said) => office.remove(said),
      ),
    )
    .addCommand(logCommand(context))
    .addCommand(tokenCommand(context))
    .addCommand(apiTokenCommand(context))
    .addCommand(backupCommand(context));
}

/** What the running gateway says; undefined where none can be asked. */
async function liveTunnels(
  options: ConfigOptions,
  context: CliContext,
): Promise<readonly HeldTunnel[] | undefined> {
  try {
    const { whole } = await askGateway({ command: "tunnels" }, options, context);
    return (whole as { readonly tunnels: readonly HeldTunnel[] }).tunnels;
  } catch (error) {
    if (
      error instanceof cliErrors.OPERATOR_CONTROL_UNREACHABLE ||
      error instanceof cliErrors.OPERATOR_CONTROL_REFUSED
    )
      return undefined;
    throw error;
  }
}

interface ListOptions extends DeviceOptions {
  readonly state?: string;
  readonly tag?: string;
  readonly online?: boolean;
}

function listCommand(context: CliContext): Command {
  return deviceWord("ls", "list the devices")
    .addOption(
      new Option("-s, --state <state>", "only those in this state").choices([
        "pending",
        "approved",
        "denied",
        "revoked",
      ]),
    )
    .option("-t, --tag <tag>", "only those with this tag")
    .option("--online", "only those that are there")
    .addHelpText("after", examples("postern device ls", "postern device ls --state pending --json"))
    .action(async (options: ListOptions) => {
      const tunnels = await liveTunnels(options, context);
      const { state, tag, online } = options;
      const devices: SeenDevice[] = [];
      await atDesk(
        options,
        context,
        async ({ office }) => {
          for await (const device of office.list())
            if (
              (state === undefined || device.state === state) &&
              (tag === undefined || device.tags.includes(tag)) &&
              (online !== true || device.online === true)
            )
              devices.push(device);
        },
        tunnels,
      );
      tell(context, options, devices, devicesText(devices));
    });
}

function showCommand(context: CliContext): Command {
  return deviceWord("show", "show all that is known of a device")
    .argument("<device>", "its name, code or id")
    .addHelpText("after", examples("postern device show kiosk7"))
    .action(async (said: string, options: DeviceOptions) => {
      const tunnels = await liveTunnels(options, context);
      const device = await atDesk(options, context, ({ office }) => office.find(said), tunnels);
      tell(context, options, device, deviceText(device));
    });
}

interface ApproveOptions extends DeviceOptions {
  readonly name?: string;
  readonly tag?: readonly string[];
  readonly port?: readonly number[];
  readonly web?: "off" | "login" | "public";
}

function approveCommand(context: CliContext): Command {
  return withGrantOptions(
    deviceWord("approve", "let a device in")
      .argument("<code>", "the code that it shows; its id; or the name of one that was denied or revoked")
      .option("-n, --name <name>", "its name; default: the one that it asked for"),
  )
    .addHelpText(
      "after",
      examples(
        "postern device approve K7QM-2XPA",
        "postern device approve k7qm2xpa -n kiosk7 -t hall1 -p 22 -p 80",
      ),
    )
    .action(async (said: string, options: ApproveOptions) => {
      const { name, tag, port, web } = options;
      const device = await atDesk(options, context, ({ office }) =>
        office.approve(said, {
          ...(name === undefined ? {} : { name }),
          ...(tag === undefined ? {} : { tags: tag }),
          ...(port === undefined ? {} : { ports: port }),
          ...(web === undefined ? {} : { web }),
        }),
      );
      const app = await context.app();
      const setUp =
        options.json === true ? "" : await app.deviceSetUp(await loaded(options, context), device);
      tell(context, options, device, setUp.trimEnd());
    });
}

/** A word that does one thing to one device. */
function simple(
  context: CliContext,
  name: string,
  summary: string,
  done: string,
  act: (office: DeviceOffice, said: string) => Promise<{ readonly name: string; readonly id: string }>,
): Command {
  return deviceWord(name, summary)
    .argument("<device>", "its name, code or id")
    .addHelpText("after", examples(`postern device ${name} kiosk7`))
    .action(async (said: string, options: DeviceOptions) => {
      const device = await atDesk(options, context, ({ office }) => act(office, said));
      tell(context, options, device, `${device.name === "" ? device.id : device.name} ${done}`);
    });
}

function renameCommand(context: CliContext): Command {
  return deviceWord("rename", "give a device another name")
    .argument("<device>", "its name, code or id")
    .argument("<name>", "its new name; its tunnels are cut, and it must ask for the new one")
    .addHelpText("after", examples("postern device rename kiosk7 kiosk7-old"))
    .action(async (said: string, name: string, options: DeviceOptions) => {
      const device = await atDesk(options, context, ({ office }) => office.rename(said, name));
      tell(context, options, device, `${said} is now ${device.name}`);
    });
}

interface TagOptions extends DeviceOptions {
  readonly add?: boolean;
  readonly remove?: boolean;
}

function tagCommand(context: CliContext): Command {
  return deviceWord("tag", "set a device's tags")
    .argument("<device>", "its name, code or id")
    .argument("[tag...]", "tags for rules to name it by; none: it has none")
    .addOption(new Option("-a, --add", "add these to those that it has").conflicts("remove"))
    .option("-r, --remove", "take these from those that it has")
    .addHelpText(
      "after",
      examples("postern device tag kiosk7 hall1 paying", "postern device tag -r kiosk7 paying"),
    )
    .action(async (said: string, said2: readonly string[], options: TagOptions) => {
      const device = await atDesk(options, context, async ({ office }) => {
        const { tags: had } = await office.find(said);
        const tags =
          options.add === true
            ? [...had, ...said2]
            : options.remove === true
              ? had.filter((tag) => !said2.includes(tag))
              : said2;
        return await office.grant(said, { tags });
      });
      tell(context, options, device, `${device.name} has the tags ${device.tags.join(", ") || "(none)"}`);
    });
}

function portsCommand(context: CliContext): Command {
  return deviceWord("ports", "set which ports of its own a device may offer")
    .argument("<device>", "its name, code or id")
    .argument("<port...>", "ports; tunnels to others are cut", collectPort)
    .addHelpText("after", examples("postern device ports kiosk7 22 80"))
    .action(async (said: string, ports: readonly number[], options: DeviceOptions) => {
      const device = await atDesk(options, context, ({ office }) => office.grant(said, { ports }));
      tell(context, options, device, `${device.name} may offer ${device.ports.join(", ")}`);
    });
}

function webCommand(context: CliContext): Command {
  return deviceWord("web", "say who may see a device's web page")
    .argument("<device>", "its name, code or id")
    .addArgument(
      new Argument("<who>", "nobody, who logs in, or everybody").choices(["off", "login", "public"]),
    )
    .addHelpText("after", examples("postern device web kiosk7 login"))
    .action(async (said: string, web: "off" | "login" | "public", options: DeviceOptions) => {
      const device = await atDesk(options, context, ({ office }) => office.grant(said, { web }));
      tell(context, options, device, `the web page of ${device.name}: ${device.web}`);
    });
}

function logCommand(context: CliContext): Command {
  return deviceWord("log", "show what happened to a device, the newest first")
    .argument("<device>", "its name, code or id")
    .addOption(new Option("-l, --lines <n>", "how many").argParser(countOf).default(20))
    .addHelpText("after", examples("postern device log kiosk7"))
    .action(async (said: string, options: DeviceOptions & { readonly lines: number }) => {
      const entries = await atDesk(options, context, ({ office }) => office.log(said, options.lines));
      tell(context, options, entries, logText(entries));
    });
}

function backupCommand(context: CliContext): Command {
  return deviceWord("backup", "copy the database to a new file, as of one moment")
    .argument("<file>", "a file that is not there yet; it is made with mode 600")
    .addHelpText("after", examples("postern device backup /root/devices-$(date +%F).sqlite"))
    .action(async (file: string, options: DeviceOptions) => {
      const path = resolve(file);
      await atDesk(options, context, (desk) => desk.backup(path));
      tell(context, options, { file: path }, `${path} has all devices and join tokens`);
    });
}
