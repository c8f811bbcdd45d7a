import * as z from "zod";
import { duration } from "#base";
import type { CredentialKind } from "#contract";

export interface AgentConfig {
  readonly kind: "agent";
  readonly waitSeconds: number;
  readonly timeoutSeconds: number;
}

const schema: z.ZodType<AgentConfig> = z.strictObject({
  kind: z.literal("agent"),
  waitSeconds: duration({ min: 1, max: 3600 })
    .prefault(30)
    .describe(
      "How long a client that has logged in may take to open its first session and offer its agent there.",
    ),
  timeoutSeconds: duration({ min: 1, max: 600 })
    .prefault(60)
    .describe("How long the agent may take for each answer; a person who must confirm or touch needs some."),
});

/** The client's own keys, through the agent that it forwards; nothing, if it forwards none. */
export const agent: CredentialKind<AgentConfig> = {
  kind: "agent",
  summary:
    "The client's own keys: the agent that it forwards (`ssh -A`, `ForwardAgent yes`) signs for the upstream. The gateway keeps no secret.",
  schema,
  create: async ({ waitSeconds, timeoutSeconds }) => ({
    kind: "agent",
    needsClientPassword: false,
    clientAgent: { waitMs: waitSeconds * 1000 },
    ways: async ({ clientAgent }) =>
      clientAgent === undefined
        ? []
        : [
            {
              method: "publickey",
              keys: (binding) => clientAgent.keys(binding, timeoutSeconds * 1000),
            },
          ],
    [Symbol.asyncDispose]: async () => {},
  }),
};
