import { type Cidr, cidr, count, instant } from "#base";
import * as z from "zod";

/** What a token may do: look; decide about devices; make and void join tokens. */
export const apiScopes = ["read", "decide", "join-tokens"] as const;
export type ApiScope = (typeof apiScopes)[number];

export interface ApiTokenConfig {
  /** Who it is, in the audit and the log of devices. */
  readonly name: string;
  /** SHA-256 of the token, hex. */
  readonly hash: string;
  readonly scopes: readonly ApiScope[];
  readonly from?: readonly Cidr[] | undefined;
  /** Milliseconds since 1970. */
  readonly until?: number | undefined;
}

export interface ApiConfig {
  /** In lower case. */
  readonly host: string;
  readonly tokens: readonly ApiTokenConfig[];
  readonly requestsPerMinute: number;
}

const hostName = /^(?=.{1,253}$)(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9-]{1,63}$/;

const token: z.ZodType<ApiTokenConfig> = z.strictObject({
  name: z
    .string()
    .regex(/^[\w.-]{1,64}$/, { error: "expected up to 64 letters, digits, dots, dashes or underscores" })
    .describe("Who it is: the audit and the log of each device say `api:NAME`."),
  hash: z
    .string()
    .regex(/^sha256:[0-9a-f]{64}$/, {
      error: "expected sha256: and 64 hex digits, as postern device api-token prints them",
    })
    .transform((text) => text.slice("sha256:".length))
    .describe("Of the token: `postern device api-token` prints the token once, and this line."),
  scopes: z
    .array(z.enum(apiScopes))
    .min(1)
    .describe(
      "read: devices, their logs, and the join tokens there are. decide: approve, deny, rename, tag, revoke, forget. join-tokens: make them and void them.",
    ),
  from: z.array(cidr).min(1).optional().describe("Networks from which it may be used. Default: all."),
  until: instant.optional().describe("When it ends. Default: never."),
});

export const apiSchema: z.ZodType<ApiConfig> = z
  .strictObject({
    host: z
      .string()
      .regex(hostName, { error: "expected a host name: device-api.example.com" })
      .transform((text) => text.toLowerCase())
      .describe(
        "The name by which programs reach it, at every listener that takes `web`, by TLS alone; a certificate of tls.certificates must hold for it.",
      )
      .meta({ examples: ["device-api.example.com"] }),
    tokens: z
      .array(token)
      .default([])
      .superRefine((all, ctx) => {
        const names = all.map(({ name }) => name);
        for (const [at, name] of names.entries())
          if (names.indexOf(name) < at)
            ctx.addIssue({ code: "custom", path: [at, "name"], message: "stands there twice" });
      })
      .describe("Who may use it: `postern device api-token` makes one.")
      .meta({ "x-form": "list: { name, hash, scopes, from, until }" }),
    requestsPerMinute: count({ min: 1, max: 100_000 })
      .prefault(600)
      .describe("Of one token; more are told to come later."),
  })
  .describe("The authority over devices by HTTP. See [device-api.md](device-api.md).");
