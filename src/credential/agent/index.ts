/**
 * agent: a key in an ssh-agent on the gateway.
 *
 * Law: asks the agent that the configuration names for the key that it names, and for nothing else; whatever the agent does, a
 * request ends within its time.
 */
export { agent, type AgentConfig, type AgentKeyConfig, agentKeyFields } from "./agent.ts";
export { openAgentKey } from "./agent-key.ts";
export { AgentSocket, type AgentSocketOptions } from "./agent-socket.ts";
