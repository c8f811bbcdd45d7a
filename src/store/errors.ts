import { defineErrors, type ErrorTable } from "#base";

const rows = {
  OPERATOR_STORE_UNUSABLE: {
    user: "The gateway is not set up correctly.",
    operator: "the database of devices cannot be opened",
  },
  OPERATOR_STORE_NEWER: {
    user: "The gateway is not set up correctly.",
    operator: "the database of devices was written by a newer Postern",
  },
  OPERATOR_STORE_BACKUP: {
    user: "The gateway is not set up correctly.",
    operator: "the copy of the database cannot be written",
  },
} as const;

export const storeErrors: ErrorTable<typeof rows> = defineErrors(rows);
