import { duration, path, type Secret, secret } from "#base";
import * as z from "zod";
import { problemOf } from "../https/index.ts";

const methods = ["publickey", "password", "keyboard-interactive"] as const;

export interface WebhookConfig {
  readonly kind: "webhook";
  readonly url: string;
  readonly methods?: readonly (typeof methods)[number][] | undefined;
  readonly sendPassword?: boolean | undefined;
  readonly authorities?: readonly string[] | undefined;
  readonly upstreamUsers?: readonly string[] | undefined;
  readonly timeoutSeconds?: number | undefined;
  readonly retries?: number | undefined;
  readonly whenDown?: "deny" | "last-answer" | "dangerously-allow" | undefined;
  readonly staleSeconds?: number | undefined;
  readonly bearerToken?: Secret | undefined;
  readonly signingSecret?: Secret | undefined;
  readonly tlsAuthorities?: string | undefined;
  readonly dangerouslyAllowHttp?: boolean | undefined;
}

/** What holds where the configuration says nothing. */
export const defaults = { timeoutSeconds: 5, retries: 1, staleSeconds: 3600, whenDown: "deny" } as const;

/** By which of SSH's methods it is asked. */
export function methodsOf({
  methods: given,
  sendPassword,
}: Pick<WebhookConfig, "methods" | "sendPassword">): NonNullable<WebhookConfig["methods"]> {
  return given ?? (sendPassword === true ? ["publickey", "password"] : ["publickey"]);
}

/** As long as a SHA-256: what is shorter could be guessed from one request. */
const minSigningBytes = 32;

export const schema: z.ZodType<WebhookConfig> = z
  .strictObject({
    kind: z.literal("webhook"),
    url: z
      .string()
      .min(1)
      .describe("Where it is asked: an https address. See [webhook.md](webhook.md).")
      .meta({ examples: ["https://login.example.com/ssh"] }),
    methods: z
      .array(z.enum(methods))
      .min(1)
      .optional()
      .describe(
        "By which of SSH's methods: publickey (the key is shown to it), password, keyboard-interactive (with sendPassword a prompt for one; else nothing is asked, and an earlier step must have proven something). Default: publickey, and password with sendPassword.",
      ),
    sendPassword: z.boolean().optional().describe("It is sent the client's password. Without this, never."),
    authorities: z
      .array(z.string().min(1))
      .min(1)
      .optional()
      .describe(
        "Public keys of the user CAs whose certificates it is asked about. Without, certificates are refused: what stands in them would be anybody's word.",
      )
      .meta({ examples: [["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA… user-ca"]] }),
    upstreamUsers: z
      .array(z.string().min(1))
      .min(1)
      .optional()
      .describe(
        "User names at the upstream that its answer may choose: patterns with * and ?. Without: none. Hosts must be among the rule's `targets`.",
      )
      .meta({ examples: [["deploy", "app-*"]] }),
    timeoutSeconds: duration({ min: 0.1, max: 60 })
      .optional()
      .describe(`Time for an answer, retries included. Default: ${defaults.timeoutSeconds}s.`),
    retries: z
      .int()
      .min(0)
      .max(5)
      .optional()
      .describe(
        `How often it is asked again when it cannot be reached, or answers 429 or 5xx. Default: ${defaults.retries}.`,
      ),
    whenDown: z
      .enum(["deny", "last-answer", "dangerously-allow"])
      .optional()
      .describe(
        "When it gives no answer that can be used. deny: nobody gets in. last-answer: its last answer to the same question holds for staleSeconds. dangerously-allow: the step counts as done; only behind another step. Default: deny.",
      ),
    staleSeconds: duration({ min: 1, max: 30 * 86_400 })
      .optional()
      .describe(
        `How long an answer can stand in for a later one. Default: ${defaults.staleSeconds / 3600}h.`,
      ),
    bearerToken: secret.optional().describe("Sent as `Authorization: Bearer …`."),
    signingSecret: secret
      .optional()
      .describe(
        "Signs the body with HMAC-SHA256, in the header Postern-Signature: it can tell our questions from anybody's. 32 bytes at least.",
      ),
    tlsAuthorities: path({ exists: true })
      .optional()
      .describe("Certificates (PEM) of the authorities to trust for it, in place of the system's."),
    dangerouslyAllowHttp: z
      .boolean()
      .optional()
      .describe("Let the address begin with http://, too: whoever is in between can log in as anybody."),
  })
  .superRefine((value, ctx) => {
    const refuse = (at: keyof WebhookConfig, message: string): void =>
      ctx.addIssue({ code: "custom", path: [at], message });
    const wrong = problemOf(value.url, value.dangerouslyAllowHttp === true);
    if (wrong !== undefined) refuse("url", wrong);
    const { sendPassword, whenDown, staleSeconds, authorities, signingSecret } = value;
    const asked = methodsOf(value);
    if (asked.includes("password") && sendPassword !== true)
      refuse("methods", "password has nothing to show without sendPassword: true");
    if (sendPassword === true && asked.every((method) => method === "publickey"))
      refuse("sendPassword", "has no effect: no password is asked for by these methods");
    if (authorities !== undefined && !asked.includes("publickey"))
      refuse("authorities", "has no effect without the method publickey");
    if (staleSeconds !== undefined && whenDown !== "last-answer")
      refuse("staleSeconds", "has no effect without whenDown: last-answer");
    if (whenDown === "last-answer" && sendPassword === true)
      refuse("whenDown", "last-answer cannot be had with sendPassword: passwords are not remembered");
    if (signingSecret !== undefined && signingSecret.byteLength < minSigningBytes)
      refuse("signingSecret", `is too short: give ${minSigningBytes} bytes at least (openssl rand -hex 32)`);
  });
