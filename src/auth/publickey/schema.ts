import { duration, path, pathTemplate, type Template, template } from "#base";
import * as z from "zod";
import { type UsersReference, usersReference } from "../users/index.ts";

export interface PublicKeyConfig {
  readonly kind: "publickey";
  readonly files?: readonly Template[] | undefined;
  readonly keys?: readonly string[] | undefined;
  readonly users?: UsersReference | undefined;
  readonly urls?: readonly Template[] | undefined;
  readonly upstreamFile?: Template | undefined;
  readonly matched?: boolean | undefined;
  readonly touchRequired?: boolean | undefined;
  readonly verifyRequired?: boolean | undefined;
  readonly cacheSeconds?: number | undefined;
  readonly staleSeconds?: number | undefined;
  readonly timeoutSeconds?: number | undefined;
  readonly tlsAuthorities?: string | undefined;
  readonly dangerouslyAllowHttp?: boolean | undefined;
}

/** What holds where the configuration says nothing. */
export const defaults = { cacheSeconds: 60, staleSeconds: 3600, timeoutSeconds: 5 } as const;

const sources = ["files", "keys", "users", "urls", "upstreamFile", "matched"] as const;

export const schema: z.ZodType<PublicKeyConfig> = z
  .strictObject({
    kind: z.literal("publickey"),
    files: z
      .array(pathTemplate())
      .min(1)
      .optional()
      .describe(
        "Files in the form of authorized_keys (sshd(8)), read at each login; may use {user} and captures.",
      )
      .meta({ examples: [["/etc/postern/keys/{user}"]] }),
    keys: z
      .array(z.string().min(1))
      .min(1)
      .optional()
      .describe("Lines in the same form.")
      .meta({ examples: [["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA… ada"]] }),
    users: usersReference
      .optional()
      .describe("The keys of one of the `users`: `users: {}` for who has the user name."),
    urls: z
      .array(template)
      .min(1)
      .optional()
      .describe(
        "Addresses that answer in the same form; 404 means no keys. {user} and captures may stand behind the host.",
      )
      .meta({ examples: [["https://keys.example.com/{user}.keys"]] }),
    upstreamFile: template
      .optional()
      .describe(
        "A file on the upstream in the same form, from the home folder of the rule's user there, read over SFTP with the rule's credentials once the client has proven that it has the key. All its options are obeyed.",
      )
      .meta({ examples: [".ssh/authorized_keys"] }),
    matched: z
      .literal(true)
      .optional()
      .describe(
        "The key or certificate by which the rule was chosen (`match`: key, fingerprint, certificate) is enough.",
      ),
    touchRequired: z
      .boolean()
      .optional()
      .describe("Only security keys that were touched for this login, whatever is said of single keys."),
    verifyRequired: z
      .boolean()
      .optional()
      .describe("Only security keys that asked for PIN or finger for this login."),
    cacheSeconds: duration({ min: 0, max: 86_400 })
      .optional()
      .describe(
        `How long an answer of \`urls\` or \`upstreamFile\` holds. Default: ${defaults.cacheSeconds}s.`,
      ),
    staleSeconds: duration({ min: 0, max: 30 * 86_400 })
      .optional()
      .describe(
        `How much longer the last answer of \`urls\` is taken where no new one is to be had. After that nobody has a key there. Default: ${defaults.staleSeconds / 3600}h.`,
      ),
    timeoutSeconds: duration({ min: 0.1, max: 60 })
      .optional()
      .describe(`Time for an answer of \`urls\`. Default: ${defaults.timeoutSeconds}s.`),
    tlsAuthorities: path({ exists: true })
      .optional()
      .describe("Certificates (PEM) of the authorities to trust for `urls`, in place of the system's."),
    dangerouslyAllowHttp: z
      .boolean()
      .optional()
      .describe("Let `urls` begin with http://, too: whoever is in between can log in as anybody."),
  })
  .superRefine((value, ctx) => {
    if (sources.every((name) => value[name] === undefined)) {
      ctx.addIssue({ code: "custom", message: "give files, keys, users, urls, upstreamFile or matched" });
    }
    for (const [at, { text }] of (value.urls ?? []).entries()) {
      const message = problemOf(text, value.dangerouslyAllowHttp === true);
      if (message !== undefined) ctx.addIssue({ code: "custom", path: ["urls", at], message });
    }
    for (const name of [
      "staleSeconds",
      "timeoutSeconds",
      "tlsAuthorities",
      "dangerouslyAllowHttp",
    ] as const) {
      if (value[name] === undefined || value.urls !== undefined) continue;
      ctx.addIssue({ code: "custom", path: [name], message: "has no effect without urls" });
    }
  });

/** What is wrong with an address whose captures are not filled in. */
function problemOf(text: string, allowHttp: boolean): string | undefined {
  const [, scheme, host = ""] = /^([a-z]+):\/\/([^/?#]*)/.exec(text) ?? [];
  if (scheme === undefined || URL.parse(text.replace(/\{[^{}]*\}/g, "x")) === null)
    return `"${text}" is no address: write https://host/path`;
  if (scheme === "http" && !allowHttp)
    return "must begin with https://: whoever is in between could log in as anybody";
  if (scheme !== "https" && scheme !== "http") return `cannot ask by ${scheme}: write https://host/path`;
  if (host.includes("{")) return "can have captures behind the host only";
  return host.includes("@") ? "can hold no password" : undefined;
}
