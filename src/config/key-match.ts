import { path, type Pattern, pattern } from "#base";
import type { CertificateMatch, RuleMatch } from "#contract";
import * as z from "zod";
import { withoutAbsent } from "./absent.ts";
import type { RuleConfig } from "./rule.ts";

const keyLine = z
  .string()
  .regex(/^[a-z0-9@.-]+ [A-Za-z0-9+/]+=*( .*)?$/, {
    error: "expected a public key on one line: its type, then base64",
  })
  .meta({ "x-form": "public key", examples: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA… ada"] });

/** Files of revoked keys, of a rule or of all. */
export const revokedSchema: z.ZodType<readonly string[] | undefined> = z
  .array(path({ exists: true }))
  .min(1)
  .optional()
  .describe(
    "Files of revoked keys, as sshd's RevokedKeys: KRLs (`ssh-keygen -k`), or public keys and fingerprints one in each line. Read at each login; one that cannot be read lets no key in.",
  )
  .meta({ examples: [["/etc/postern/revoked.krl"]] });

const certificate: z.ZodType<CertificateMatch> = z
  .strictObject({
    authorities: z.array(keyLine).min(1).describe("User CAs, any of which must have signed it."),
    principals: z
      .array(z.string().min(1))
      .min(1)
      .optional()
      .describe("Names, one of which must be among its principals. Without: the user name must be.")
      .meta({ examples: [["web-team"]] }),
    keyId: pattern
      .optional()
      .describe(
        "A regular expression over its whole key id; its named captures can be used as those of userPattern.",
      ),
  })
  .transform((value) => withoutAbsent(value));

/** Conditions on the key that the client shows. */
export const keyMatch: {
  readonly fields: {
    readonly key: z.ZodType<readonly string[] | undefined>;
    readonly fingerprint: z.ZodType<readonly string[] | undefined>;
    readonly certificate: z.ZodType<CertificateMatch | undefined>;
  };
  readonly refine: (value: WrittenKeyMatch, ctx: z.core.$RefinementCtx) => void;
} = {
  fields: {
    key: z.array(keyLine).min(1).optional().describe("The client shows one of these keys."),
    fingerprint: z
      .array(
        z.string().regex(/^SHA256:[A-Za-z0-9+/]{43}=?$/, {
          error: "expected SHA256: and 43 characters, as `ssh-keygen -lf` prints it",
        }),
      )
      .min(1)
      .optional()
      .describe("The client shows a key with one of these fingerprints.")
      .meta({ examples: [["SHA256:uNiVztksCsDhcc0u9e8BrNwzT1XtI7XwBhHDBpa0ZtY"]] }),
    certificate: certificate
      .optional()
      .describe("The client shows a user certificate that is good here and now, and is as this says."),
  },
  refine(value, ctx) {
    const given = (["key", "fingerprint", "certificate"] as const).filter(
      (name) => value[name] !== undefined,
    );
    const [first, second] = given;
    if (first !== undefined && second !== undefined)
      ctx.addIssue({
        code: "custom",
        path: [second],
        message: `stands beside ${first}; give one of them, and the other in a rule of its own`,
      });
    const names = value.certificate?.keyId?.names ?? [];
    const taken = names.find((name) => name === "user" || value.userPattern?.names.includes(name) === true);
    if (taken === undefined) return;
    const message = `names a capture {${taken}}, which is taken already`;
    ctx.addIssue({ code: "custom", path: ["certificate", "keyId"], message });
  },
};

interface WrittenKeyMatch {
  readonly key?: unknown;
  readonly fingerprint?: unknown;
  readonly certificate?: CertificateMatch | undefined;
  readonly userPattern?: Pattern | undefined;
}

export function asksForKey({ keys, fingerprints, certificate: certified }: RuleMatch): boolean {
  return keys !== undefined || fingerprints !== undefined || certified !== undefined;
}

/** Credentials that are the client's, and so of no use before it is in. */
const ofClients: ReadonlySet<string> = new Set(["client-password", "agent"]);

/** What is wrong with the logins of a rule, as far as it is about keys; `firstKinds`: what may begin a login. */
export function* keyLoginProblems(
  { match, login, serve, upstream }: Pick<RuleConfig, "match" | "login" | "serve" | "upstream">,
  firstKinds: readonly string[] | undefined,
): Generator<{ readonly path: readonly (string | number)[]; readonly message: string }> {
  for (const [at, each] of login.entries()) {
    const { kind } = each;
    const begins = firstKinds === undefined || firstKinds.includes(kind);
    if (asksForKey(match) && begins && kind !== "publickey") {
      const message = "cannot begin a login here: the rule is chosen by the key that the client shows";
      yield { path: ["login", at, "kind"], message };
    }
    if (each.kind !== "publickey") continue;
    if (each.matched === true && !asksForKey(match))
      yield { path: ["login", at, "matched"], message: "needs key, fingerprint or certificate in match" };
    if (each.upstreamFile !== undefined && serve !== undefined)
      yield { path: ["login", at, "upstreamFile"], message: "there is no upstream to read it from" };
    else if (
      each.upstreamFile !== undefined &&
      upstream.credentials.every(({ kind: by }) => ofClients.has(by))
    ) {
      const message =
        "must be read before the client is in: list a credential of the gateway's own, such as key";
      yield { path: ["login", at, "upstreamFile"], message };
    }
  }
}
