import type { AgentConfig } from "#device-agent";
import { loadFile } from "#config";
import { Option } from "commander";
import type { CliContext } from "./context.ts";

/** Where the unit of `postern agent install` looks. */
const defaultAgentFile = "/etc/postern/agent.yaml";

export function agentFileOption(): Option {
  return new Option("-c, --config <file>", "the agent's file").default(defaultAgentFile);
}

/** Throws ConfigInvalid. */
export async function loadAgentFile(file: string, { environment }: CliContext): Promise<AgentConfig> {
  const { agentSchema } = await import("#device-agent");
  return await loadFile(file, agentSchema, { environment });
}
