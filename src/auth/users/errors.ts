import { defineErrors, type ErrorTable } from "#base";

const rows = {
  OPERATOR_USERS_FILE_INVALID: {
    user: "The gateway is not set up correctly.",
    operator: "the file of users is wrong; nobody in it can log in by it until it is put right",
  },
  OPERATOR_USER_CHANGE_REFUSED: {
    user: "The gateway is not set up correctly.",
    operator: "the file of users was not changed",
  },
} as const;

export const usersErrors: ErrorTable<typeof rows> = defineErrors(rows);
