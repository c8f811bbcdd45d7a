import * as z from "zod";
import type { CredentialKind } from "#contract";

const schema = z.strictObject({ kind: z.literal("none") });

export interface NoneConfig {
  readonly kind: "none";
}

/** Asking to be let in (RFC 4252, section 5.2). */
export const none: CredentialKind<NoneConfig> = {
  kind: "none",
  summary: "Nothing: the upstream lets this user in without proof.",
  schema,
  create: async () => ({
    kind: "none",
    needsClientPassword: false,
    ways: async () => [{ method: "none" }],
    [Symbol.asyncDispose]: async () => {},
  }),
};
