import { size, template } from "#base";
import { type FileRight, fileRights, type Policy, type SftpPlan } from "#contract";
import * as z from "zod";
import { withoutAbsent } from "./absent.ts";
import { policySchema } from "./policy.ts";

const shorthands: Readonly<Record<string, readonly FileRight[]>> = {
  all: fileRights,
  "read-only": ["list", "read"],
  "upload-only": ["create", "mkdir"],
  none: [],
};

const words = Object.keys(shorthands);

const rights: z.ZodType<readonly FileRight[]> = z
  .union([z.enum(words), z.array(z.enum(fileRights))], {
    error: `expected ${words.join(", ")}, or a list of ${fileRights.join(", ")}`,
  })
  .transform((value) => (typeof value === "string" ? (shorthands[value] ?? []) : value))
  .meta({ "x-form": `${words.join(", ")}, or list of rights` });

const place = z
  .string()
  .min(1)
  .regex(/^(?!.*(?:^|\/)\.\.?(?:\/|$))[^\0]+$/, { error: "expected a pattern for a path, without . and .." })
  .refine((text) => text.startsWith("/") || !text.includes("/"), {
    error: "expected a whole path that begins with /, or a name without /",
  });

export const sftpSchema: z.ZodType<SftpPlan> = z
  .strictObject({
    root: template
      .optional()
      .describe(
        "The folder at the upstream that the client sees as /, and nothing outside of it: absolute, or below the login's home. Captures and {user} may be used; what they bring may have no slash.",
      )
      .meta({ examples: ["/var/www/{user}"] }),
    rights: rights
      .default(fileRights)
      .describe(
        "What may be done: all, read-only (list, read), upload-only (create, mkdir: a drop box), none, or a list of list, read, write (change what is there), create, delete, rename, mkdir, chmod (permissions and owner), touch (times) and link.",
      )
      .meta({ examples: ["read-only"] }),
    paths: z
      .array(z.strictObject({ path: place.describe("A pattern."), rights: rights.describe("As above.") }))
      .default([])
      .describe(
        "Other rights for some paths, as the client sees them: the first pattern that fits counts, for all that lies below too. * and ? stand within a name, ** for any folders; without / in front, for a name anywhere.",
      )
      .meta({
        "x-form": "list of path and rights",
        examples: [[{ path: "/incoming", rights: "upload-only" }]],
      }),
    hide: z
      .array(place)
      .default([])
      .describe("What is not there for the client: patterns as above.")
      .meta({ "x-form": "list of patterns", examples: [[".git", "/private"]] }),
    maxFileBytes: size()
      .optional()
      .describe("Largest file that may be written.")
      .meta({ examples: ["2GiB"] }),
    maxSessionBytes: size()
      .optional()
      .describe("How much of files one session may read and write together.")
      .meta({ examples: ["20GiB"] }),
    extensions: z
      .array(z.string().min(1))
      .min(1)
      .optional()
      .describe("Endings of names that may be written, in either case.")
      .meta({ examples: [[".csv", ".pdf"]] }),
    record: z
      .boolean()
      .default(false)
      .describe("Tells the audit of each file that is opened, closed, listed or changed."),
  })
  .transform((plan) =>
    withoutAbsent({
      ...plan,
      confining:
        plan.root !== undefined ||
        plan.rights.length < fileRights.length ||
        plan.paths.length > 0 ||
        plan.hide.length > 0 ||
        plan.maxFileBytes !== undefined ||
        plan.maxSessionBytes !== undefined ||
        plan.extensions !== undefined,
    }),
  );

/** What a rule with `sftp` allows besides: where it confines, only SFTP is parsed, and so only that is let through unsaid. */
export function sftpPolicy(
  { policy, sftp }: { readonly policy?: Policy | undefined; readonly sftp?: SftpPlan | undefined },
  ctx: z.RefinementCtx,
): Policy | undefined {
  if (sftp?.confining !== true) return policy;
  if (policy === undefined) return policySchema.parse({ sftp: true });
  if (!policy.sftp && !policy.scp && policy.forcedCommand !== "internal-sftp") {
    const message = "has no effect: the policy does not allow sftp";
    ctx.addIssue({ code: "custom", path: ["sftp"], message });
  }
  // The old protocol of scp names paths of the host.
  return { ...policy, sftp: policy.sftp || policy.scp, scp: false };
}
