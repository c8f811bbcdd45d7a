import { path, Secret, type Template, template } from "#base";
import type { TotpSecret, User } from "#contract";
import { Secret as CodeSecret } from "otpauth";
import * as z from "zod";
import { parsePasswordHash } from "../password/hash.ts";

/** RFC 4226, section 4 asks for 128 bits at least, and wishes for 160; much that is in use has 80. */
const minSecretBytes = 10;
const maxSecretBytes = 128;

/** Names of users and groups: they stand in logs, in addresses of authenticator apps, and in a capture of a rule. */
export const personName: z.ZodString = z.string().regex(/^[\p{L}\p{N}_][\p{L}\p{N}._@+-]{0,63}$/u, {
  error: "expected up to 64 letters, digits, dots, dashes, underscores, @ or +",
});

const totpAlgorithms = ["sha1", "sha256", "sha512"] as const;

const base32 = z
  .string({ error: "expected the secret in base32; put it in quotes" })
  .transform((text, ctx) => {
    const plain = text.replaceAll(/[\s-]/g, "").toUpperCase().replace(/=+$/, "");
    const { bytes } = /^[A-Z2-7]+$/.test(plain) ? CodeSecret.fromBase32(plain) : { bytes: new Uint8Array() };
    if (bytes.length >= minSecretBytes && bytes.length <= maxSecretBytes) return new Secret(bytes);
    // Never the text itself.
    const message = `is no secret in base32 of ${minSecretBytes} to ${maxSecretBytes} bytes; \`postern user totp\` makes one`;
    ctx.addIssue({ code: "custom", message });
    return z.NEVER;
  })
  .meta({ "x-form": "secret", examples: ["${file:/run/secrets/totp-ada}"] });

const totp: z.ZodType<TotpSecret> = z
  .union(
    [
      base32.transform((secret): TotpSecret => ({ secret, digits: 6, algorithm: "sha1" })),
      z.strictObject({
        secret: base32.describe("In base32."),
        digits: z
          .union([z.literal(6), z.literal(8)])
          .default(6)
          .describe("Length of a code."),
        algorithm: z.enum(totpAlgorithms).default("sha1").describe("Some apps know sha1 alone."),
      }),
    ],
    {
      error: `is no secret of at least ${minSecretBytes} bytes in base32 (in quotes), and no map with secret, digits and algorithm; \`postern user totp\` makes one`,
    },
  )
  .meta({ "x-form": "secret" })
  .describe(
    "What the codes of the login kind totp are made from: the secret in base32, or a map with secret, digits and algorithm. `postern user totp` makes it.",
  );

const passwordHash = z.string().superRefine((text, ctx) => {
  try {
    parsePasswordHash(text);
  } catch (error) {
    ctx.addIssue({ code: "custom", message: error instanceof Error ? error.message : String(error) });
  }
});

export type UserFields = Omit<User, "name">;

export const userSchema: z.ZodType<UserFields> = z
  .strictObject({
    passwords: z
      .array(passwordHash)
      .default([])
      .describe("Hashes, any of which will do: $scrypt$…, $argon2id$…, $2b$…"),
    keys: z
      .array(z.string().min(1))
      .default([])
      .describe("Public keys: lines in the form of authorized_keys.")
      .meta({ examples: [["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA… ada"]] }),
    totp: totp.optional(),
    groups: z
      .array(personName)
      .default([])
      .describe("What the user belongs to, for `users: { groups: […] }` of a login method.")
      .meta({ examples: [["admins"]] }),
  })
  .transform(({ totp: codes, ...rest }) => ({ ...rest, ...(codes === undefined ? {} : { totp: codes }) }));

/** What a file of users holds, but for the people in it: each of those is judged alone. */
export const usersFileSchema: z.ZodType<{ readonly people: Readonly<Record<string, unknown>> }> =
  z.strictObject({ people: z.record(z.string(), z.unknown()).default({}) });

export interface UsersConfig {
  readonly file?: string | undefined;
  readonly htpasswd?: string | undefined;
  readonly people: Readonly<Record<string, UserFields>>;
}

/** The key `users` of the configuration. */
export const usersSchema: z.ZodType<UsersConfig> = z
  .strictObject({
    file: path()
      .optional()
      .describe(
        "A file with the key `people` alone, read at each login; `postern user` writes it. It may be missing.",
      )
      .meta({ examples: ["state/users.yaml"] }),
    htpasswd: path()
      .optional()
      .describe(
        "A file of Apache's htpasswd, read at each login: a source of password hashes, bcrypt alone (`htpasswd -B`).",
      ),
    people: z
      .record(z.string(), userSchema)
      .superRefine((people, ctx) => {
        for (const name of Object.keys(people)) {
          const issue = personName.safeParse(name).error?.issues[0];
          if (issue !== undefined) ctx.addIssue({ code: "custom", path: [name], message: issue.message });
        }
      })
      .default({})
      .describe("Users by name."),
  })
  .describe(
    "People, for login methods with `users`, and for totp: [two-factors.md](two-factors.md). Who stands in several places has all that stands there.",
  );

/** Which of the users a login method takes a client for. */
export interface UsersReference {
  readonly name: Template;
  readonly groups?: readonly string[] | undefined;
}

export const usersReference: z.ZodType<UsersReference> = z.strictObject({
  name: template.prefault("{user}").describe("Who it is: the user name, or a capture of it."),
  groups: z
    .array(personName)
    .min(1)
    .optional()
    .describe("Only members of any of these.")
    .meta({ examples: [["admins"]] }),
});
