/**
 * agent: the protocol that ssh-agent speaks, from the side of the one who asks.
 *
 * Law: bytes in, bytes out: no socket, no timer, no choice of a key. What an agent says is believed as little as any peer: bounded,
 * and checked to be the answer to what was asked. Source: draft-ietf-sshm-ssh-agent.
 */
export { AgentClient, type AgentClientOptions, maxAgentReplyBytes } from "./agent-client.ts";
export { agentErrors } from "./errors.ts";
export {
  type AgentIdentity,
  type AgentReply,
  agentFlagsFor,
  type AgentSignRequest,
  decodeAgentReply,
  encodeIdentitiesRequest,
  encodeSessionBind,
  encodeSignRequest,
  maxAgentIdentities,
  type SessionBinding,
} from "./messages.ts";
