/**
 * agent: the agent that the client forwards.
 *
 * Law: keeps nothing, and asks for nothing before its turn; the client's keys sign for this one upstream.
 */
export { agent, type AgentConfig } from "./agent.ts";
