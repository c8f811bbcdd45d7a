import type { ForwardSpec, HostSettings } from "#client";
import type { Command } from "commander";
import { collect } from "./client-options.ts";

/** Forwardings as commander gives them. */
export interface ForwardSpecOptions {
  readonly local?: readonly string[];
  readonly remote?: readonly string[];
  readonly dynamic?: readonly string[];
}

export function withForwardSpecs(command: Command): Command {
  return command
    .option("-L, --local <forward>", "[address:]port:host:port, with a socket's path on either side", collect)
    .option(
      "-R, --remote <forward>",
      "the same with the server listening; [address:]port alone is SOCKS",
      collect,
    )
    .option("-D, --dynamic <listen>", "[address:]port that speaks SOCKS 4, 4a and 5", collect);
}

/** Those of the command line, then those of ssh_config. Throws OPERATOR_CLIENT_ARGUMENT. */
export async function forwardsOf(
  options: ForwardSpecOptions,
  settings: HostSettings,
): Promise<ForwardSpec[]> {
  if (settings.clearForwards) return [];
  const { parseDynamic, parseForward } = await import("#client");
  return [
    ...(options.local ?? []).map((text) => parseForward("local", text)),
    ...(options.remote ?? []).map((text) => parseForward("remote", text)),
    ...(options.dynamic ?? []).map(parseDynamic),
    ...settings.localForwards.map((text) => parseForward("local", text)),
    ...settings.remoteForwards.map((text) => parseForward("remote", text)),
    ...settings.dynamicForwards.map(parseDynamic),
  ];
}
