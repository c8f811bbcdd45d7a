import { z } from "zod";
import type { AuthKind, AuthMethod, Proof, Verdict } from "#contract";
import { parsePasswordHash, plainPassword, type PasswordHash } from "./hash.ts";

const schema = z
  .strictObject({
    kind: z.literal("password"),
    check: z
      .literal("upstream")
      .optional()
      .describe("The client's password goes to the upstream, whose answer is the answer."),
    hashes: z
      .array(z.string())
      .min(1)
      .optional()
      .describe(
        "Checked here; any of them will do: $scrypt$…, $argon2id$…, $2b$… (`postern key hash` makes one).",
      ),
    dangerouslyPlain: z
      .array(z.string())
      .min(1)
      .optional()
      .describe("Checked here, kept in plain text: only for what was imported from elsewhere."),
  })
  .refine(
    ({ check, hashes, dangerouslyPlain }) =>
      (check === undefined) !== (hashes === undefined && dangerouslyPlain === undefined),
    { error: "give either check: upstream, or hashes" },
  );

export interface PasswordConfig {
  readonly kind: "password";
  readonly check?: "upstream" | undefined;
  readonly hashes?: readonly string[] | undefined;
  readonly dangerouslyPlain?: readonly string[] | undefined;
}

/** A password, checked here against hashes or by the upstream. */
export const password: AuthKind<PasswordConfig> = {
  kind: "password",
  summary: "A password, checked against hashes here or by the upstream.",
  schema,
  create: async (config) => {
    if (config.check === "upstream") return method(true, async () => ({ kind: "deferred" }));
    const hashes = [
      ...(config.hashes ?? []).map(parsePasswordHash),
      ...(config.dangerouslyPlain ?? []).map(plainPassword),
    ];
    return method(false, (proof) => check(hashes, proof));
  },
};

async function check(hashes: readonly PasswordHash[], proof: Proof): Promise<Verdict> {
  if (proof.method !== "password") return { kind: "denied", reason: "no password was shown" };
  // All of them, whatever the first says: the time must not tell which one matched, nor whether one did.
  const matches = await Promise.all(hashes.map((hash) => hash.matches(proof.password)));
  if (proof.password.length > 0 && matches.includes(true)) return { kind: "accepted", by: "password hash" };
  return { kind: "denied", reason: "the password is wrong" };
}

function method(defers: boolean, attempt: (proof: Proof) => Promise<Verdict>): AuthMethod {
  return {
    kind: "password",
    methods: ["password"],
    defers,
    givesPassword: true,
    attempt,
    [Symbol.asyncDispose]: async () => {},
  };
}
