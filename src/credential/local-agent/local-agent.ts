import * as z from "zod";
import { duration, path } from "#base";
import type { CredentialKind } from "#contract";
import { keyNameProblem, openAgentKey } from "./agent-key.ts";
import { AgentSocket } from "./agent-socket.ts";

/** Which key of which agent. */
export interface AgentKeyConfig {
  readonly socket: string;
  readonly key: string;
  readonly timeoutSeconds: number;
}

export interface LocalAgentConfig extends AgentKeyConfig {
  readonly kind: "local-agent";
}

/** The fields that name a key in an agent, for every kind that can use one. */
export const agentKeyFields: {
  readonly socket: z.ZodType<string>;
  readonly key: z.ZodType<string>;
  readonly timeoutSeconds: z.ZodType<number>;
} = {
  socket: path()
    .describe(
      "UNIX socket of the agent. There is no default: to use the agent that the gateway was started with, say so by `${env:SSH_AUTH_SOCK}`.",
    )
    .meta({ examples: ["/run/postern/agent.sock"] }),
  key: z
    .string()
    .superRefine((value, ctx) => {
      const message = keyNameProblem(value);
      if (message !== undefined) ctx.addIssue({ code: "custom", message });
    })
    .describe(
      "The key's fingerprint, or its public line; a certificate is named by its line. No other key of that agent is ever offered.",
    )
    .meta({ examples: ["SHA256:uNiVztksCsDhcc0u9e8BrNwzT1XtI7XwBhHDBpa0ZtY"] }),
  timeoutSeconds: duration({ min: 0.1, max: 120 })
    .prefault(10)
    .describe("How long the agent may take for each answer; a person who must confirm or touch needs some."),
};

const schema: z.ZodType<LocalAgentConfig> = z.strictObject({
  kind: z.literal("local-agent"),
  ...agentKeyFields,
});

/** A key in an ssh-agent of the operator's. */
export const localAgent: CredentialKind<LocalAgentConfig> = {
  kind: "local-agent",
  summary: "A key in an ssh-agent on the gateway: the gateway never sees its private half.",
  schema,
  create: async ({ socket, key, timeoutSeconds }, { clock }) => {
    const opened = new AgentSocket({ socket, timeoutMs: timeoutSeconds * 1000, clock });
    return {
      kind: "local-agent",
      needsClientPassword: false,
      // Asked when its turn has come: an agent that is started later, or anew, does as well.
      ways: async () => [{ method: "publickey", key: () => openAgentKey(opened, key) }],
      [Symbol.asyncDispose]: async () => {},
    };
  },
};
