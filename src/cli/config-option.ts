import { type Config, formatProblem, loadConfig } from "#config";
import { Option } from "commander";
import { complain, type CliContext } from "./context.ts";

/** Where the packages put it. */
export const defaultConfigFile = "/etc/postern/postern.yaml";

export interface ConfigOptions {
  readonly config: string;
}

export function configOption(): Option {
  return new Option("-c, --config <file>", "configuration file").default(defaultConfigFile);
}

/** Loads the file; warnings go to stderr. Throws ConfigInvalid. */
export async function loadWithWarnings(file: string, context: CliContext): Promise<Config> {
  const { config, warnings } = await loadConfig(file, { environment: context.environment });
  for (const warning of warnings) complain(context, formatProblem(warning));
  return config;
}
