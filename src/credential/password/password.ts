import * as z from "zod";
import { type Secret, secret } from "#base";
import type { CredentialKind } from "#contract";

const schema = z.strictObject({
  kind: z.literal("password"),
  password: secret.describe(
    "Sent to the upstream; better as ${file:/path} or ${env:NAME} than in the clear.",
  ),
});

export interface StoredPasswordConfig {
  readonly kind: "password";
  readonly password: Secret;
}

/** A password that the operator stored. */
export const storedPassword: CredentialKind<StoredPasswordConfig> = {
  kind: "password",
  summary: "A stored password.",
  schema,
  create: async ({ password }) => ({
    kind: "password",
    needsClientPassword: false,
    ways: async () => [{ method: "password", password: password.reveal(), whose: "operator" }],
    [Symbol.asyncDispose]: async () => {},
  }),
};
