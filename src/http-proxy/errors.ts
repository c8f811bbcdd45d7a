import { defineErrors, type ErrorTable } from "#base";

const rows = {
  UPSTREAM_WEB_SILENT: {
    user: "The device did not answer in time.",
    operator: "a device's web server did not begin to answer in time",
  },
  UPSTREAM_WEB_NONSENSE: {
    user: "The device's answer cannot be read.",
    operator: "a device's web server answered what is no HTTP, or what HTTP forbids",
  },
  UPSTREAM_WEB_BUSY: {
    user: "The device has too many requests already. Try again in a moment.",
    operator: "a device has as many requests at once as devices.web.maxRequestsPerDevice allows",
  },
} as const;

export const webErrors: ErrorTable<typeof rows> = defineErrors(rows);
