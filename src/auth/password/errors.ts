import { defineErrors, type ErrorTable } from "#base";

const rows = {
  OPERATOR_PASSWORD_HASH_INVALID: {
    user: "The gateway is misconfigured.",
    operator:
      "a password hash is not of a known form; make one with `postern key hash`, or give $scrypt$…, $argon2id$… or $2b$…",
  },
} as const;

export const passwordErrors: ErrorTable<typeof rows> = defineErrors(rows);
