import { defineErrors, type ErrorTable } from "#base";

const rows = {
  OPERATOR_WEBHOOK_INVALID: {
    user: "The gateway is not set up correctly.",
    operator: "what is needed to ask the webhook cannot be used",
  },
  UPSTREAM_WEBHOOK_FAILED: {
    user: "The gateway could not find out who may log in. Try again later.",
    operator: "the webhook gave no answer that can be used",
  },
} as const;

export const webhookErrors: ErrorTable<typeof rows> = defineErrors(rows);
