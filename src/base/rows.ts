import { defineErrors, type ErrorTable } from "./errors.ts";

const rows = {
  OPERATOR_ADDRESS_INVALID: {
    user: "The gateway is not set up correctly.",
    operator: "an address was written in a form that is not understood",
  },
  OPERATOR_PATTERN_INVALID: {
    user: "The gateway is not set up correctly.",
    operator: "a regular expression cannot be used",
  },
  OPERATOR_QUANTITY_INVALID: {
    user: "The gateway is not set up correctly.",
    operator: "a duration or size was written in a form that is not understood",
  },
} as const;

export const baseErrors: ErrorTable<typeof rows> = defineErrors(rows);
