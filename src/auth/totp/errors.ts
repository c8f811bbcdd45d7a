import { defineErrors, type ErrorTable } from "#base";

const rows = {
  OPERATOR_CODE_STATE_INVALID: {
    user: "The gateway is not set up correctly.",
    operator:
      "the file that remembers which codes are spent cannot be read; remove it when all codes in it are a minute old",
  },
} as const;

export const totpErrors: ErrorTable<typeof rows> = defineErrors(rows);
