import { defineErrors, type ErrorTable } from "#base";

const rows = {
  OPERATOR_NO_DEVICES: {
    user: "The gateway is not set up correctly.",
    operator: "a rule lets devices in, but the configuration has no section `devices`; add `devices: {}`",
  },
} as const;

export const deviceErrors: ErrorTable<typeof rows> = defineErrors(rows);
