import { defineErrors, type ErrorTable } from "#base";

const rows = {
  OPERATOR_AGENT_FILE: {
    user: "The device agent is not set up correctly.",
    operator: "a file that the device agent keeps (its key, its token) cannot be used or written",
  },
} as const;

export const agentErrors: ErrorTable<typeof rows> = defineErrors(rows);
