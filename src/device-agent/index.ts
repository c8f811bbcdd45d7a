/**
 * device-agent: what a device may run instead of `ssh -R`: it enrols, holds its tunnels at several gateways, and offers a small service on board.
 *
 * Law: stands on the client, beside the gateway, of which it knows only what any device sees. It opens no socket to listen on: what is
 * offered on board is reached through the tunnel alone. Programs are started by their words, never by a shell, and only those that the
 * operator's file names.
 */
export { DeviceAgent, type AgentParts, type AgentStatus } from "./agent.ts";
export { agentErrors } from "./errors.ts";
export type { GateReport } from "./gate-line.ts";
export {
  type AgentConfig,
  agentSchema,
  type ForwardConfig,
  type GateConfig,
  isOneLine,
  type ServiceConfig,
} from "./schema.ts";
export { type InstalledFile, type InstallOptions, installPlan } from "./install.ts";
