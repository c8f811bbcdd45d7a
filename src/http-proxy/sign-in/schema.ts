import * as z from "zod";

/** Where browsers find the gateway, to sign in. */
export interface SignInConfig {
  /** https://host, or https://host:port. */
  readonly address: string;
  readonly plain: "redirect" | "serve";
}

const expected = "expected an address as https://login.gate.example.com, without a path";

export const signInSchema: z.ZodType<SignInConfig> = z
  .strictObject({
    address: z
      .string()
      .transform((text, ctx) => {
        const url = URL.parse(text);
        const isPlain = url !== null && url.href === `${url.origin}/` && !url.hostname.includes("[");
        if (isPlain && url.protocol === "https:") return url.origin;
        ctx.addIssue({ code: "custom", message: expected });
        return z.NEVER;
      })
      .describe(
        "The address of the gateway's own pages, at a listener that takes web: people enter codes there, and come back there from the provider. Each provider must know ADDRESS/callback/PROVIDER, PROVIDER being its `issuer` without https://.",
      )
      .meta({ examples: ["https://login.gate.example.com"] }),
    plain: z
      .enum(["redirect", "serve"])
      .default("redirect")
      .describe(
        "What is done with HTTP without TLS. redirect: browsers are sent to https. serve: it is served, because a proxy in front has ended TLS.",
      ),
  })
  .describe("Pages for people who sign in with a browser. See [single-sign-on.md](single-sign-on.md).");
