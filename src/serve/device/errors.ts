import { defineErrors, type ErrorTable } from "#base";

const rows = {
  UPSTREAM_TUNNEL_REFUSED: {
    user: "The device does not answer on that port.",
    operator: "a device refused to open what it offers by its tunnel",
  },
  BUG_NO_DEVICE: {
    user: "The gateway made an error; its log says more.",
    operator: "a session is served as a device's, and no device has logged in",
  },
} as const;

export const deviceServerErrors: ErrorTable<typeof rows> = defineErrors(rows);
