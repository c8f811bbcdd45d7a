import type { Clock, Log } from "#base";
import type { AuthContext, AuthMethod, Proof } from "#contract";
import { fingerprint } from "#ssh/keys";
import { type Asking, pretendedContext } from "./attempt-context.ts";
import type { AttemptKind, FailureDelays } from "./failure-delays.ts";
import type { LoginAudit, RefusedAttempt } from "./login-audit.ts";
import type { LoginDialogue } from "./login-dialogue.ts";
import type { Router } from "./router.ts";

export interface RefusalsOptions {
  readonly router: Pick<Router, "rules">;
  readonly delays: FailureDelays;
  readonly clock: Clock;
  readonly log: Log;
  readonly audit: LoginAudit;
  readonly dialogue: LoginDialogue;
  /** Methods that the client may go on with. */
  readonly offers: () => readonly string[];
  readonly asking: (user: string) => Asking;
}

/** How one client is refused: in words and in time the same for a name that could log in and for one that could not. */
export class Refusals {
  readonly #options: RefusalsOptions;
  /** Passwords and answers tried under the current name. */
  #passwords = 0;

  constructor(options: RefusalsOptions) {
    this.#options = options;
  }

  /** The name is another one. */
  forget(): void {
    this.#passwords = 0;
  }

  passwordKind(): AttemptKind {
    return this.#passwords++ === 0 ? "first-password" : "next-password";
  }

  reject(): void {
    const { dialogue, offers } = this.#options;
    dialogue.server.reject(offers());
  }

  notOffered(user: string, method: string): undefined {
    this.#options.audit.refused(user, { method, reason: "the method is not offered" });
    this.reject();
    return undefined;
  }

  /** Refuses, no sooner than refusals are due. The reason is for the log alone. */
  async deny(
    user: string,
    kind: AttemptKind,
    atLeastMs: number,
    fields: RefusedAttempt & { readonly proven?: boolean },
  ): Promise<void> {
    const { delays, log, audit, dialogue, asking } = this.#options;
    const { signal } = asking(user);
    // A client asks about every key that it has: that is no news.
    const level = fields.proven === false ? "debug" : "info";
    log[level]("auth-denied", { user, ...fields });
    audit.refused(user, fields);
    await delays.wait(user, kind, dialogue.heardMs, atLeastMs, signal);
    if (!signal.aborted) this.reject();
  }

  /** Between two methods of one exchange: the next question would tell how long the last answer was thought about. */
  async pause(user: string, proof: Proof, kind: AttemptKind, atLeastMs: number): Promise<void> {
    if (proof.method !== "keyboard-interactive") return;
    const { delays, dialogue, asking } = this.#options;
    await delays.wait(user, kind, dialogue.heardMs, atLeastMs, asking(user).signal);
  }

  /** The upstream of a rule has answered: names that lead nowhere take as long from now on. */
  record(rule: string, kind: AttemptKind): void {
    const { delays, clock, dialogue } = this.#options;
    delays.record(rule, kind, clock.monotonic() - dialogue.heardMs);
  }

  /** For a name that cannot log in like this: the work, the questions and the time of one that could, and the same answer. */
  async pretend(user: string, proof: Proof, kind: AttemptKind): Promise<void> {
    const { router, delays, dialogue, asking } = this.#options;
    const judges = ({ methods }: AuthMethod): boolean => methods.includes(proof.method);
    const shadow = delays.shadow(
      user,
      router.rules.filter(({ login }) => login[0]?.some(judges)),
    );
    let atLeastMs = 0;
    for (const [at, method] of (shadow?.login[0] ?? []).filter(judges).entries()) {
      if (at > 0) await this.pause(user, proof, kind, atLeastMs);
      if (method.relays === true)
        await this.pause(user, proof, "first-question", delays.sample(shadow?.name ?? "", "first-question"));
      const context: AuthContext = pretendedContext(asking(user), shadow?.match);
      const verdict = await method.attempt(proof, context);
      if (verdict.kind === "undecided") {
        dialogue.server.acceptKey();
        return;
      }
      if (verdict.kind === "deferred") atLeastMs = delays.sample(shadow?.name ?? "", kind);
    }
    const reason = "no rule lets this name in like this";
    const key = proof.method === "publickey" ? { key: fingerprint(proof.blob) } : {};
    await this.deny(user, kind, atLeastMs, { method: proof.method, ...key, reason });
  }
}
