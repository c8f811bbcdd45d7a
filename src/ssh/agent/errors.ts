import { defineErrors, type ErrorTable } from "#base";

const rows = {
  PEER_AGENT_INVALID: {
    user: "The agent that holds the key answered with something that makes no sense.",
    operator: "an ssh-agent does not keep to the agent protocol",
  },
} as const;

export const agentErrors: ErrorTable<typeof rows> = defineErrors(rows);
