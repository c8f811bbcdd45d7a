import * as z from "zod";
import { Cidr, cidr, duration, path, type Secret, secret, type Template, template } from "#base";
import { agentKeyFields } from "../local-agent/index.ts";

/** What OpenSSH knows, and `ssh-keygen -s` gives when nothing is said. */
const extensionNames = [
  "permit-X11-forwarding",
  "permit-agent-forwarding",
  "permit-port-forwarding",
  "permit-pty",
  "permit-user-rc",
] as const;

export interface CertificateConfig {
  readonly kind: "certificate";
  readonly ca?: string | undefined;
  readonly passphrase?: Secret | undefined;
  readonly socket?: string | undefined;
  readonly key?: string | undefined;
  readonly timeoutSeconds: number;
  readonly principals?: readonly Template[] | undefined;
  readonly validSeconds: number;
  readonly clockSkewSeconds: number;
  readonly extensions: readonly string[];
  readonly sourceAddress?: readonly Cidr[] | undefined;
  readonly forceCommand?: string | undefined;
}

/** Far more names than one person has; a certificate holds 256. */
const maxTemplates = 32;

/** Where the key of an authority is. */
export type AuthorityConfig = Pick<
  CertificateConfig,
  "ca" | "passphrase" | "socket" | "key" | "timeoutSeconds"
>;

export const authorityFields: {
  readonly [Name in keyof AuthorityConfig]-?: z.ZodType<AuthorityConfig[Name]>;
} = {
  ca: path({ exists: true, make: "postern ca init" })
    .optional()
    .describe("The user CA's private key (`postern ca init` makes one); read at start and at reload.")
    .meta({ examples: ["state/user_ca_key"] }),
  passphrase: secret.optional().describe("Opens that key."),
  socket: agentKeyFields.socket
    .optional()
    .describe("In place of `ca`: UNIX socket of an ssh-agent that holds the CA's key."),
  key: agentKeyFields.key
    .optional()
    .describe("With `socket`: fingerprint or public line of the CA's key in that agent."),
  timeoutSeconds: agentKeyFields.timeoutSeconds,
};

const fields: z.ZodType<CertificateConfig> = z.strictObject({
  kind: z.literal("certificate"),
  ...authorityFields,
  principals: z
    .array(template)
    .min(1)
    .max(maxTemplates)
    .optional()
    .describe(
      "Names that the certificate is for; may use {captures}. Default: the account at the upstream, which is {user} unless the rule's `upstream.user` says otherwise. One whose capture took no part in the match is left out.",
    )
    .meta({ examples: [["{user}", "web-admin"]] }),
  validSeconds: duration({ min: 10, max: 86_400 })
    .prefault(300)
    .describe("How long the certificate can be used to log in; the session may go on after that."),
  clockSkewSeconds: duration({ min: 0, max: 3600 })
    .prefault(60)
    .describe("It holds from this long ago on, for upstreams whose clock is behind."),
  extensions: z
    .array(z.enum(extensionNames))
    .default([...extensionNames])
    .describe("What the session may do there. An empty list: nothing but to run a command."),
  sourceAddress: z
    .array(cidr)
    .min(1)
    .optional()
    .describe("Addresses from which it may be used, as the upstream sees them: the gateway's own."),
  forceCommand: z
    .string()
    .min(1)
    .refine((value) => !/\p{Cc}/u.test(value), { error: "expected one line without control characters" })
    .optional()
    .describe("The only command that the upstream runs, whatever is asked for. No captures."),
});

/** One place for the key, and what goes with it. */
export function checkAuthority(value: AuthorityConfig, ctx: z.core.$RefinementCtx): void {
  const { ca, passphrase, socket, key } = value;
  const add = (message: string, path: string[] = []): void => ctx.addIssue({ code: "custom", path, message });
  if ((ca === undefined) === (socket === undefined)) add("give either ca, or socket and key");
  else if (socket !== undefined && key === undefined) add("socket needs key: which of the agent's keys");
  else if (socket === undefined && key !== undefined) add("goes with socket, not with ca", ["key"]);
  if (passphrase !== undefined && ca === undefined) add("goes with ca", ["passphrase"]);
}

export const certificateSchema: z.ZodType<CertificateConfig> = fields.superRefine(checkAuthority);
