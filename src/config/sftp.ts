import { size, template } from "#base";
import { type FileRight, fileRights, type MountPlan, type Policy, type SftpPlan } from "#contract";
import * as z from "zod";
import { withoutAbsent } from "./absent.ts";
import { policySchema } from "./policy.ts";
import { mountUpstreamSchema, type UpstreamConfig } from "./upstream.ts";

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

/** What may be said of the files of a rule, and of one mount. */
const fileFields = {
  root: template
    .optional()
    .describe(
      "The folder at the upstream that the client sees as /, and nothing outside of it: absolute, or below the login's home. Captures and {user} may be used; what they bring may have no slash or backslash.",
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
  extensions: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe("Endings of names that may be written, in either case.")
    .meta({ examples: [[".csv", ".pdf"]] }),
};

/** What is told of them, for the whole rule. */
const recordFields = {
  record: z
    .boolean()
    .default(false)
    .describe("Tells the audit of each file that is opened, closed, listed or changed."),
  hash: z
    .boolean()
    .default(true)
    .describe(
      "Whether the record has the SHA-256 of files that passed whole; it is most of what a record costs.",
    ),
};

/** Of one rule. */
const maxMounts = 32;

/** A mount as it is written: what its upstream does not say, the rule's says. */
export type WrittenMount = Omit<MountPlan, "upstream"> & { readonly upstream: Partial<UpstreamConfig> };

export const mountSchema: z.ZodType<WrittenMount> = z
  .strictObject({
    at: template
      .refine(({ text }) => /^(?:\/(?!\.\.?(?:\/|$))[^/\0]+)+$/.test(text), {
        error: "expected an absolute path below /, without . and .., and without / at its end",
      })
      .describe(
        "Its place in the client's tree. Captures and {user} may be used; what they bring may have no slash.",
      )
      .meta({ "x-form": "path with captures", examples: ["/incoming"] }),
    upstream: mountUpstreamSchema.prefault({}),
    ...fileFields,
  })
  .transform((plan) => withoutAbsent({ ...plan, confining: true, record: false, hash: true }));

export const sftpSchema: z.ZodType<Omit<SftpPlan, "mounts"> & { readonly mounts?: readonly WrittenMount[] }> =
  z
    .strictObject({
      ...fileFields,
      ...recordFields,
      maxSessionBytes: size()
        .optional()
        .describe("How much of files one session may read and write together.")
        .meta({ examples: ["20GiB"] }),
      mounts: z
        .array(mountSchema)
        .min(1)
        .max(maxMounts)
        .optional()
        .describe(
          "The tree is put together of folders of several upstreams, each at its place; see [sftp.md](sftp.md#several-folders-several-hosts-one-tree). What else stands here holds for the whole tree, besides what each mount says for its own files, by paths in it. Nothing but SFTP is there then.",
        )
        .meta({
          "x-form": "list of mounts",
          examples: [[{ at: "/incoming", root: "/srv/in", upstream: { host: "a.example.lan" } }]],
        }),
    })
    .superRefine(({ mounts, root }, ctx) => {
      if (mounts === undefined || root === undefined) return;
      ctx.addIssue({
        code: "custom",
        path: ["root"],
        message: "has no effect with mounts: each has its own",
      });
    })
    .transform((plan) =>
      withoutAbsent({
        ...plan,
        confining:
          plan.root !== undefined ||
          plan.mounts !== undefined ||
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
  {
    policy,
    sftp,
  }: { readonly policy?: Policy | undefined; readonly sftp?: Pick<SftpPlan, "confining"> | undefined },
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
