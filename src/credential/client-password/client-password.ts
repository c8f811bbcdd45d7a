import * as z from "zod";
import type { CredentialKind } from "#contract";

const schema = z.strictObject({ kind: z.literal("client-password") });

export interface ClientPasswordConfig {
  readonly kind: "client-password";
}

/** The password that the client showed; nothing, if it showed none. */
export const clientPassword: CredentialKind<ClientPasswordConfig> = {
  kind: "client-password",
  summary: "The password with which the client logged in here.",
  schema,
  create: async () => ({
    kind: "client-password",
    needsClientPassword: true,
    ways: async ({ clientPassword: password }) =>
      password === undefined ? [] : [{ method: "password", password, whose: "client" }],
    [Symbol.asyncDispose]: async () => {},
  }),
};
