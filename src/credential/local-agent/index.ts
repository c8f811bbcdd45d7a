/**
 * local-agent: a key in an ssh-agent on the gateway.
 *
 * Law: asks the agent that the configuration names for the key that it names, and for nothing else; whatever the agent does, a
 * request ends within its time.
 */
export { type AgentKeyConfig, agentKeyFields, localAgent, type LocalAgentConfig } from "./local-agent.ts";
export { openAgentKey } from "./agent-key.ts";
export { AgentSocket, type AgentSocketOptions } from "./agent-socket.ts";
