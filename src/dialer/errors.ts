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
  UPSTREAM_PROXY_REFUSED: {
    user: "The server behind this gateway cannot be reached.",
    operator: "a proxy or jump host on the way to an upstream said no",
  },
  UPSTREAM_PROXY_ANSWER: {
    user: "The server behind this gateway cannot be reached.",
    operator: "a proxy on the way to an upstream answered something that is not its protocol",
  },
} as const;

export const dialerErrors: ErrorTable<typeof rows> = defineErrors(rows);
