import { duration, path, type Secret, secret, type Template, template } from "#base";
import * as z from "zod";
import { problemOf } from "../https/index.ts";

/** Who may go by which name. */
export interface NameSource {
  readonly claim?: string | undefined;
  readonly emailDomain?: string | undefined;
  readonly map?: Readonly<Record<string, readonly string[]>> | undefined;
}

export interface AllowList {
  readonly emails?: readonly string[] | undefined;
  readonly groups?: readonly string[] | undefined;
  readonly subjects?: readonly string[] | undefined;
}

export interface OidcConfig {
  readonly kind: "oidc";
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret?: Secret | undefined;
  readonly scopes?: readonly string[] | undefined;
  readonly allow: AllowList;
  readonly user: NameSource;
  readonly name: Template;
  readonly groupsClaim?: string | undefined;
  readonly dangerouslyTrustEmails?: boolean | undefined;
  readonly flow?: "device" | "browser" | undefined;
  readonly sameNetwork?: boolean | undefined;
  readonly confirm?: boolean | undefined;
  readonly waitSeconds?: number | undefined;
  readonly timeoutSeconds?: number | undefined;
  readonly tlsAuthorities?: string | undefined;
  readonly dangerouslyAllowHttp?: boolean | undefined;
}

/** What holds where the configuration says nothing. */
export const defaults = {
  scopes: ["openid", "email", "profile"],
  groupsClaim: "groups",
  waitSeconds: 100,
  timeoutSeconds: 5,
} as const;

const word = z.string().min(1);

const allow: z.ZodType<AllowList> = z
  .strictObject({
    emails: z
      .array(word)
      .min(1)
      .optional()
      .describe("Verified addresses of theirs: patterns with * and ?; upper and lower case are one.")
      .meta({ examples: [["ada@example.com", "*@staff.example.com"]] }),
    groups: z
      .array(word)
      .min(1)
      .optional()
      .describe("Groups of theirs, of the claim `groupsClaim`.")
      .meta({ examples: [["ssh-users"]] }),
    subjects: z
      .array(word)
      .min(1)
      .optional()
      .describe("What the provider calls them (claim `sub`): never given to anybody else.")
      .meta({ examples: [["248289761001"]] }),
  })
  .refine(({ emails, groups, subjects }) => (emails ?? groups ?? subjects) !== undefined, {
    error: 'give emails, groups or subjects; for everybody whom the provider knows, emails: ["*"]',
  });

const user: z.ZodType<NameSource> = z
  .strictObject({
    claim: word
      .optional()
      .describe(
        "The name must be what this claim says. Make sure that people cannot change it at the provider.",
      )
      .meta({ examples: ["preferred_username"] }),
    emailDomain: z
      .string()
      .regex(/^[a-z0-9.-]+$/, { error: "expected a domain in lower case, as example.com" })
      .optional()
      .describe("The name must be what stands before the @ of their verified address in this domain.")
      .meta({ examples: ["example.com"] }),
    map: z
      .record(word, z.array(word).min(1))
      .optional()
      .describe("Names by who they are: a verified address, `sub:SUBJECT` or `group:NAME`.")
      .meta({
        "x-form": "map of lists",
        examples: [{ "ada@example.com": ["ada", "deploy"], "group:admins": ["root"] }],
      }),
  })
  .refine(({ claim, emailDomain, map }) => (claim ?? emailDomain ?? map) !== undefined, {
    error: "give claim, emailDomain or map: else anybody could log in by anybody's name",
  });

export const schema: z.ZodType<OidcConfig> = z
  .strictObject({
    kind: z.literal("oidc"),
    issuer: word
      .describe(
        "The provider's address, exactly as it calls itself. See [single-sign-on.md](single-sign-on.md).",
      )
      .meta({ examples: ["https://login.example.com"] }),
    clientId: word.describe("What the provider calls this gateway.").meta({ examples: ["postern"] }),
    clientSecret: secret
      .optional()
      .describe("What the gateway proves that with; absent for a public client, as device flows often have."),
    scopes: z
      .array(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, { error: "expected a name without spaces" }))
      .min(1)
      .optional()
      .describe(`What is asked for; must have openid. Default: ${defaults.scopes.join(", ")}.`)
      .meta({ examples: [["openid", "email", "groups"]] }),
    allow: allow.describe("Who may log in: any of these suffices."),
    user: user.describe("By which names they may: any of these suffices."),
    name: template
      .prefault("{user}")
      .describe("The name that `user` is about: the user name, or a capture of it."),
    groupsClaim: word
      .optional()
      .describe(`The claim that lists their groups. Default: ${defaults.groupsClaim}.`),
    dangerouslyTrustEmails: z
      .boolean()
      .optional()
      .describe(
        "Take addresses for verified of which the provider does not say so: only where people cannot choose them.",
      ),
    flow: z
      .enum(["device", "browser"])
      .optional()
      .describe(
        "How the person gets from ssh to the browser. device: with a code of the provider's (device authorization grant). browser: with a code of the gateway's, at the address `signIn`, for providers without that grant. Default: device.",
      ),
    sameNetwork: z
      .boolean()
      .optional()
      .describe(
        "With flow: browser: the browser must be where the login comes from (the same IPv4 address, or IPv6 /64). Keeps out who sends somebody else a link from elsewhere.",
      ),
    confirm: z
      .boolean()
      .optional()
      .describe(
        "Ask the person to press Enter when done, for clients that show a text only with a question. Default: nothing is asked.",
      ),
    waitSeconds: duration({ min: 1, max: 3600 })
      .optional()
      .describe(
        `Time to sign in. \`limits.loginGraceSeconds\` holds, too. Default: ${defaults.waitSeconds}s.`,
      ),
    timeoutSeconds: duration({ min: 0.1, max: 60 })
      .optional()
      .describe(`Time for each answer of the provider. Default: ${defaults.timeoutSeconds}s.`),
    tlsAuthorities: path({ exists: true })
      .optional()
      .describe("Certificates (PEM) of the authorities to trust for the provider, in place of the system's."),
    dangerouslyAllowHttp: z
      .boolean()
      .optional()
      .describe("Let addresses begin with http://, too: whoever is in between can log in as anybody."),
  })
  .superRefine((value, ctx) => {
    const refuse = (at: keyof OidcConfig, message: string): void =>
      ctx.addIssue({ code: "custom", path: [at], message });
    const wrong = problemOf(value.issuer, value.dangerouslyAllowHttp === true);
    if (wrong !== undefined) refuse("issuer", wrong);
    if (value.scopes?.includes("openid") === false) refuse("scopes", "must have openid");
    if (value.sameNetwork === true && value.flow !== "browser")
      refuse("sameNetwork", "needs flow: browser, for the provider does not tell where a browser is");
  });
