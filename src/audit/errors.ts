import { defineErrors, type ErrorTable } from "#base";

const rows = {
  OPERATOR_AUDIT_UNWRITABLE: {
    user: "The gateway is not set up correctly.",
    operator: "the audit's file cannot be written",
  },
} as const;

export const auditErrors: ErrorTable<typeof rows> = defineErrors(rows);
