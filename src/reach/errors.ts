import { defineErrors, type ErrorTable } from "#base";

const rows = {
  UPSTREAM_TARGET_DOWN: {
    user: "The server behind this gateway is not available now. Try again later.",
    operator: "no address of a target can be used: each is down, drained or failed",
  },
  DENIED_TARGET_FULL: {
    disconnect: 12,
    user: "The server behind this gateway has as many connections as it may have. Try again in a while.",
    operator: "a limit of the target is reached (limits of the target)",
  },
  DENIED_CLIENT_FULL: {
    disconnect: 12,
    user: "You have as many connections to this server as one client may have. Close one, or try again in a minute.",
    operator: "a limit of the target for each client is reached (limits.perClient of the target)",
  },
} as const;

export const reachErrors: ErrorTable<typeof rows> = defineErrors(rows);
