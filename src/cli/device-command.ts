import type { DeviceDesk } from "#app";
import { type Config, loadConfig } from "#config";
import type { HeldTunnel } from "#contract";
import { Command, InvalidArgumentError, Option } from "commander";
import { configOption, type ConfigOptions } from "./config-option.ts";
import { type CliContext, say } from "./context.ts";

export interface DeviceOptions extends ConfigOptions {
  readonly json?: boolean;
}

/** With `-c` and `--json`. */
export function deviceWord(name: string, summary: string): Command {
  return new Command(name)
    .summary(summary)
    .description(`${summary[0]?.toUpperCase()}${summary.slice(1)}.`)
    .addOption(configOption())
    .option("--json", "print JSON; docs/devices.md says what is in it");
}

export async function loaded({ config }: ConfigOptions, context: CliContext): Promise<Config> {
  return (await loadConfig(config, { environment: context.environment, filesMustExist: false })).config;
}

/** Opens the database for one piece of work. `held`: what the gateway says that devices offer now. */
export async function atDesk<T>(
  options: ConfigOptions,
  context: CliContext,
  work: (desk: DeviceDesk) => Promise<T>,
  held?: readonly HeldTunnel[],
): Promise<T> {
  const config = await loaded(options, context);
  const app = await context.app();
  await using desk = await app.openDevices(config, held);
  return await work(desk);
}

export function tell(context: CliContext, { json }: DeviceOptions, report: unknown, text: string): void {
  say(context, json === true ? JSON.stringify(report, undefined, 2) : text);
}

const webOption = (): Option =>
  new Option("--web <who>", "whether its web page has an address, and for whom").choices([
    "off",
    "login",
    "public",
  ]);

/** `--tag` and `--port`, each as often as needed. */
export function withGrantOptions(command: Command): Command {
  return command
    .option("-t, --tag <tag>", "a tag for rules to name it by; may be given again", collect)
    .option("-p, --port <port>", "a port of its own that it may offer; may be given again", collectPort)
    .addOption(webOption());
}

function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

export function collectPort(value: string, before: readonly number[] | undefined): readonly number[] {
  const port = Number(value);
  if (!/^\d{1,5}$/.test(value) || port < 1 || port > 65_535)
    throw new InvalidArgumentError("expected a port, 1 to 65535");
  return [...(before ?? []), port];
}

export function countOf(value: string): number {
  const count = Number(value);
  if (!/^\d{1,7}$/.test(value) || count < 1) throw new InvalidArgumentError("expected a number from 1 on");
  return count;
}
