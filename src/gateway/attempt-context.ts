import type { Clock } from "#base";
import type { Arrival, AuthContext, Proof, RuleMatch, Verdict } from "#contract";
import type { LoginProgress } from "./login-progress.ts";
import { capturesOf } from "./router.ts";
import type { UpstreamEntry } from "./upstream-entry.ts";
import { upstreamFiles } from "./upstream-file.ts";

/** Who asks, from where, and when. */
export type Asking = Pick<AuthContext, "user" | "from" | "nowMs" | "signal">;

export interface AttemptSetting {
  readonly who: Asking;
  /** Makes an upstream of its own, beside the one that the session will have. */
  readonly entry: () => UpstreamEntry;
  /** Milliseconds that reading a file of the upstream may take. */
  readonly readMs: number;
  readonly clock: Clock;
  readonly session: string;
  readonly arrival: Pick<Arrival, "via" | "to">;
}

/**
 * What a login method is told of an attempt under a name that leads nowhere, in the shadow of a rule: all that the rule would catch is
 * the name itself, so that files are looked for, and addresses asked, as under the rule.
 */
export function pretendedContext(who: Asking, match: RuleMatch = {}): AuthContext {
  const captures = Object.fromEntries([...capturesOf(match)].map((name) => [name, who.user]));
  return { ...who, captures, pretended: true };
}

/** What a login method is told of an attempt. */
export function contextOf(
  proof: Proof,
  progress: LoginProgress,
  { who, entry, readMs, clock, session, arrival }: AttemptSetting,
): AuthContext {
  const { user, signal } = who;
  const { route, passed } = progress;
  const { via, to } = arrival;
  const matchedKey =
    proof.method === "publickey" &&
    route.matchedKey !== undefined &&
    Buffer.compare(proof.blob, route.matchedKey) === 0;
  // Only who has proven something may cost the upstream a login.
  const mayRead = proof.method === "publickey" && proof.proven && route.serve === undefined;
  return {
    ...who,
    captures: route.captures,
    pretended: false,
    matchedKey,
    login: { session, rule: route.rule, via, passed, ...(to === undefined ? {} : { to }) },
    ...(mayRead ? { upstreamFiles: upstreamFiles({ route, user, entry, readMs, clock, signal }) } : {}),
  };
}

/** The client only asked about the key, and may go on to prove that it has it. */
export function isAnswer(proof: Proof, { kind }: Verdict): boolean {
  return proof.method === "publickey" && !proof.proven && (kind === "accepted" || kind === "undecided");
}

/** The password of the client's that is in a proof, or that an exchange has brought out. */
export function passwordOf(proof: Proof, verdict: Verdict): Uint8Array | undefined {
  if (proof.method === "password") return proof.password;
  return "password" in verdict ? verdict.password : undefined;
}
