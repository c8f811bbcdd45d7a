import * as z from "zod";
import type { CredentialKind } from "#contract";

const schema = z.strictObject({ kind: z.literal("relay") });

export interface RelayConfig {
  readonly kind: "relay";
}

/** What the client answers to the upstream's questions, or its password; nothing, if the login is no relayed one. */
export const relay: CredentialKind<RelayConfig> = {
  kind: "relay",
  summary:
    "The client's own answers to what the upstream asks, with `login: [{ kind: relay }]`. Nothing is kept.",
  schema,
  create: async () => ({
    kind: "relay",
    needsClientPassword: false,
    relays: true,
    ways: async ({ clientExchange, clientPassword: password }) => {
      if (clientExchange !== undefined) return [{ method: "keyboard-interactive", exchange: clientExchange }];
      return password === undefined ? [] : [{ method: "password", password, whose: "client", relayed: true }];
    },
    [Symbol.asyncDispose]: async () => {},
  }),
};
