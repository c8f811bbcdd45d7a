import * as z from "zod";
import type { AuthKind, AuthMethod } from "#contract";

export interface RelayConfig {
  readonly kind: "relay";
  readonly methods: readonly ("keyboard-interactive" | "password")[];
  readonly prompt: string;
  readonly bannerFirst?: boolean | undefined;
}

const schema: z.ZodType<RelayConfig> = z.strictObject({
  kind: z.literal("relay"),
  methods: z
    .array(z.enum(["keyboard-interactive", "password"]))
    .min(1)
    .default(["keyboard-interactive", "password"])
    .describe(
      "SSH's methods that are passed on. A public key cannot be: its signature holds for one connection only.",
    ),
  prompt: z
    .string()
    .min(1)
    .max(200)
    .default("Password: ")
    .describe(
      "What a name that leads nowhere is asked. Write what the upstream asks first, so that nobody can tell the difference.",
    ),
  bannerFirst: z
    .boolean()
    .optional()
    .describe(
      "The upstream's banner comes before its first question, as without a gateway, and not only after the login. It tells strangers that the name leads to an upstream: for rules whose names are no secret.",
    ),
});

/** The upstream's own login: its questions go to the client, the client's answers to it. */
export const relay: AuthKind<RelayConfig> = {
  kind: "relay",
  summary:
    "The upstream's own login, passed on in both directions: its questions (PAM, one-time codes, Duo), password changes and partial successes. Needs the credential `relay`.",
  schema,
  create: async ({ methods, prompt, bannerFirst = false }) =>
    ({
      kind: "relay",
      methods,
      defers: true,
      relays: true,
      tellsBanner: bannerFirst,
      givesPassword: false,
      attempt: async (proof, { pretended }) => {
        if (proof.method === "keyboard-interactive" && pretended)
          await proof.ask({ name: "", instruction: "", prompts: [{ text: prompt, echo: false }] });
        return { kind: "deferred" };
      },
      [Symbol.asyncDispose]: async () => {},
    }) satisfies AuthMethod,
};
