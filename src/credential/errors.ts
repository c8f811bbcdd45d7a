import { defineErrors, type ErrorTable } from "#base";

const rows = {
  OPERATOR_CREDENTIAL_FILE_MISSING: {
    user: "The gateway is not set up correctly.",
    operator: "the private key file of a credential does not exist",
  },
} as const;

export const credentialErrors: ErrorTable<typeof rows> = defineErrors(rows);
