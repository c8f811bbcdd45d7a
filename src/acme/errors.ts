import { defineErrors, type ErrorTable } from "#base";

const rows = {
  UPSTREAM_ACME: {
    user: "There is no certificate for this name yet.",
    operator: "the certificate authority did not give out a certificate for this name",
  },
  UPSTREAM_ACME_AWAY: {
    user: "There is no certificate for this name yet.",
    operator: "the certificate authority cannot be reached, or takes no order of ours",
  },
} as const;

export const acmeErrors: ErrorTable<typeof rows> = defineErrors(rows);
