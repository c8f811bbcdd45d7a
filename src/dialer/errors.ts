import { defineErrors, type ErrorTable } from "#base";

const rows = {
  UPSTREAM_UNREACHABLE: {
    user: "The server behind this gateway cannot be reached.",
    operator: "an upstream address could not be connected to",
  },
  UPSTREAM_TIMEOUT: {
    user: "The server behind this gateway does not answer.",
    operator: "an upstream address did not answer in time",
  },
} as const;

export const dialerErrors: ErrorTable<typeof rows> = defineErrors(rows);
