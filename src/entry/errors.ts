import { defineErrors, type ErrorTable } from "#base";

const rows = {
  OPERATOR_LISTEN_FAILED: {
    user: "The gateway is not set up correctly.",
    operator: "an address cannot be listened on",
  },
  OPERATOR_SOCKET_NOT_PASSED: {
    user: "The gateway is not set up correctly.",
    operator: "the configuration names a socket of systemd's that was not passed to this process",
  },
} as const;

export const entryErrors: ErrorTable<typeof rows> = defineErrors(rows);
