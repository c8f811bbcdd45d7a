import * as z from "zod";
import type { AuthContext, AuthKind, AuthMethod, AuthPorts, Proof, Verdict } from "#contract";
import { referredUser, type UsersReference, usersReference } from "../users/index.ts";
import { parsePasswordHash, plainPassword, type PasswordHash } from "./hash.ts";

const carriers = ["password", "keyboard-interactive"] as const;

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
    users: usersReference
      .optional()
      .describe(
        "Checked here against the hashes of one of the `users`: `users: {}` for who has the user name.",
      ),
    dangerouslyPlain: z
      .array(z.string())
      .min(1)
      .optional()
      .describe("Checked here, kept in plain text: only for what was imported from elsewhere."),
    methods: z
      .array(z.enum(carriers))
      .min(1)
      .optional()
      .describe(
        "By which of SSH's methods it can be given: password, keyboard-interactive (a prompt of ours), or both. Default: password.",
      ),
  })
  .refine(
    ({ check, hashes, users, dangerouslyPlain }) =>
      (check === undefined) !==
      (hashes === undefined && users === undefined && dangerouslyPlain === undefined),
    { error: "give either check: upstream, or hashes, or users" },
  );

export interface PasswordConfig {
  readonly kind: "password";
  readonly check?: "upstream" | undefined;
  readonly hashes?: readonly string[] | undefined;
  readonly users?: UsersReference | undefined;
  readonly dangerouslyPlain?: readonly string[] | undefined;
  readonly methods?: readonly (typeof carriers)[number][] | undefined;
}

/** A password, checked here against hashes or by the upstream. */
export const password: AuthKind<PasswordConfig> = {
  kind: "password",
  summary: "A password, checked against hashes here or by the upstream.",
  schema,
  create: async ({ check, users, hashes = [], dangerouslyPlain = [], methods = ["password"] }, ports) => {
    const listed = [...hashes.map(parsePasswordHash), ...dangerouslyPlain.map(plainPassword)];
    return {
      kind: "password",
      methods,
      defers: check === "upstream",
      givesPassword: true,
      attempt: async (proof, context) => {
        const given = await passwordIn(proof);
        if (given === undefined) return { kind: "denied", reason: "no password was shown" };
        const asked = proof.method === "keyboard-interactive" ? { password: given } : {};
        if (check === "upstream") return { kind: "deferred", ...asked };
        const verdict = await judge(given, listed, users, context, ports);
        return verdict.kind === "accepted" ? { ...verdict, ...asked } : verdict;
      },
      [Symbol.asyncDispose]: async () => {},
    } satisfies AuthMethod;
  },
};

async function passwordIn(proof: Proof): Promise<Uint8Array | undefined> {
  if (proof.method === "password") return proof.password;
  if (proof.method !== "keyboard-interactive") return undefined;
  const prompts = [{ text: "Password: ", echo: false }];
  const [answer] = await proof.ask({ name: "", instruction: "", prompts });
  return answer;
}

async function judge(
  given: Uint8Array,
  listed: readonly PasswordHash[],
  reference: UsersReference | undefined,
  context: AuthContext,
  { users }: AuthPorts,
): Promise<Verdict> {
  if (await matches(given, listed)) return { kind: "accepted", by: "password hash" };
  if (reference === undefined) return { kind: "denied", reason: "the password is wrong" };
  const { name, user, standIn, reason } = await referredUser(reference, users, context);
  // Who has no password, or is not listed, costs as much as somebody who has.
  const real = user !== undefined && user.passwords.length > 0;
  const hashes = (real ? user.passwords : (standIn?.passwords ?? [])).map(parsePasswordHash);
  const right = await matches(given, hashes);
  if (right && real) return { kind: "accepted", by: `password of ${name}` };
  if (user === undefined) return { kind: "denied", reason };
  return { kind: "denied", reason: real ? "the password is wrong" : `"${name}" has no password` };
}

async function matches(given: Uint8Array, hashes: readonly PasswordHash[]): Promise<boolean> {
  // All of them, whatever the first says: the time must not tell which one matched, nor whether one did.
  const found = await Promise.all(hashes.map((hash) => hash.matches(given)));
  return given.length > 0 && found.includes(true);
}
