import { PosternError } from "#base";
import type { AuthContext, AuthKind, AuthPorts, Proof, Verdict } from "#contract";
import * as z from "zod";
import { referredUser, type UsersReference, usersReference } from "../users/index.ts";
import { stepOf } from "./code.ts";
import { type Spending, SpentCodes } from "./spent-codes.ts";

export interface TotpConfig {
  readonly kind: "totp";
  readonly users: UsersReference;
}

const schema = z.strictObject({
  kind: z.literal("totp"),
  users: usersReference.prefault({}).describe("Whose code it must be."),
});

/** A code by an authenticator app, asked by keyboard-interactive. */
export const totp: AuthKind<TotpConfig> = {
  kind: "totp",
  summary:
    "A code by an authenticator app (RFC 6238), asked for by keyboard-interactive; each is taken once.",
  schema,
  create: async ({ users }, ports) => {
    const spent = new SpentCodes(ports.updates, ports.stateDir);
    return {
      kind: "totp",
      methods: ["keyboard-interactive"],
      defers: false,
      givesPassword: false,
      attempt: (proof, context) => attempt(proof, context, users, spent, ports),
      [Symbol.asyncDispose]: async () => {},
    };
  },
};

async function attempt(
  proof: Proof,
  context: AuthContext,
  reference: UsersReference,
  spent: SpentCodes,
  { users, log, clock }: AuthPorts,
): Promise<Verdict> {
  if (proof.method !== "keyboard-interactive") return { kind: "denied", reason: "no code was asked for" };
  const prompts = [{ text: "Verification code: ", echo: false }];
  const [answer] = await proof.ask({ name: "", instruction: "", prompts });
  const { name, user, reason } = await referredUser(reference, users, context);
  if (user === undefined) return { kind: "denied", reason };
  if (user.totp === undefined) return { kind: "denied", reason: `"${name}" has no totp secret` };
  if (context.pretended) return { kind: "denied", reason: "only pretended" };
  // Typing takes time: the code is judged by the moment at which it came.
  const nowMs = clock.now();
  const step = stepOf(Buffer.from(answer ?? []).toString("latin1"), user.totp, nowMs);
  try {
    const outcome = await spent.spend(name, user.totp.secret, step, nowMs);
    return outcome.kind === "accepted"
      ? { kind: "accepted", by: `totp of ${name}` }
      : { kind: "denied", reason: reasonOf(outcome) };
  } catch (error) {
    // Without memory a code could be used twice: then none is taken.
    if (!(error instanceof PosternError)) throw error;
    log.error("totp-failed", { user: name, error });
    return { kind: "denied", reason: `the code could not be remembered: ${error.code}` };
  }
}

function reasonOf(outcome: Exclude<Spending, { kind: "accepted" }>): string {
  switch (outcome.kind) {
    case "wrong":
      return "the code is wrong, or of another time";
    case "replayed":
      return "the code, or a later one, was used before";
    case "waiting":
      return `too many wrong codes: none is looked at for ${outcome.seconds} seconds`;
  }
}
