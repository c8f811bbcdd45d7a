import { defineErrors, type ErrorTable } from "#base";

const rows = {
  OPERATOR_AUTHORIZED_KEY_INVALID: {
    user: "The gateway is not set up correctly.",
    operator: "a public key in the configuration is not one line of authorized_keys",
  },
  OPERATOR_KEY_SOURCE_INVALID: {
    user: "The gateway is not set up correctly.",
    operator: "what is needed to ask an address for public keys cannot be used",
  },
  UPSTREAM_KEY_SOURCE_FAILED: {
    user: "The gateway could not find out whose keys may log in. Try again later.",
    operator: "an address that holds public keys did not give them",
  },
} as const;

export const publicKeyErrors: ErrorTable<typeof rows> = defineErrors(rows);
