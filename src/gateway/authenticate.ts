import type { Clock, Log } from "#base";
import type {
  Arrival,
  Auditor,
  AuthMethod,
  ClientAgent,
  KeyProof,
  LoginDirection,
  PeerAddress,
  Principal,
  Proof,
  Route,
  SpliceRoute,
  Verdict,
} from "#contract";
import type { Link } from "#link";
import { fingerprint } from "#ssh/keys";
import type { InfoRequest } from "#ssh/messages";
import type { PublicKeyAttempt, UserauthAttempt, UserauthServer } from "#ssh/userauth";
import { whyClosed } from "./client-left.ts";
import { gatewayErrors } from "./errors.ts";
import type { AttemptKind, FailureDelays } from "./failure-delays.ts";
import type { GatewayLimits } from "./limits.ts";
import { type Asking, contextOf, isAnswer, passwordOf } from "./attempt-context.ts";
import { LoginAudit } from "./login-audit.ts";
import { GivenUp, LoginDialogue } from "./login-dialogue.ts";
import { LoginProgress, type PassedStep } from "./login-progress.ts";
import { offeredMethods } from "./offered-methods.ts";
import { Refusals } from "./refusals.ts";
import type { Router } from "./router.ts";
import type { DownstreamLeg, UpstreamPorts } from "./upstream.ts";
import { UpstreamEntry, type UpstreamEntryOptions } from "./upstream-entry.ts";
import type { UpstreamLogin } from "./upstream-login.ts";
import { UpstreamProof } from "./upstream-proof.ts";

export interface AuthenticationOptions {
  /** The gateway's name for the session. */
  readonly sessionId: string;
  readonly link: Link;
  readonly from: PeerAddress;
  /** The entry point. */
  readonly via: string;
  /** What the client asked for by a name, before it logged in. */
  readonly target?: SpliceRoute | undefined;
  /** What the client connected to. */
  readonly to?: Arrival["to"];
  readonly router: Router;
  readonly delays: FailureDelays;
  readonly limits: Pick<GatewayLimits, "maxAuthTries" | "maxKeyQueries" | "upstreamLoginSeconds">;
  readonly upstream: UpstreamPorts;
  readonly downstream: DownstreamLeg;
  /** With which client keys may sign, as announced in `server-sig-algs`. */
  readonly signatureAlgorithms: readonly string[];
  readonly clock: Clock;
  readonly log: Log;
  readonly audit?: Auditor | undefined;
  /** Told when the login goes on at the upstream. */
  entering(route: Route): void;
}

/** Somebody is in, on both sides. */
export interface Authenticated {
  readonly principal: Principal;
  readonly route: Route;
  /** Logged in; its link waits for who joins the two sides. Absent: the session is served here. */
  readonly upstream?: UpstreamLogin;
}

/**
 * The login of one client: its proofs are judged by the rule of its name, step by step, and the upstream is entered before the
 * client is told of success. What a refusal may not tell, and how, stands in docs/threat-model.md.
 */
export class Authentication implements AsyncDisposable {
  readonly #options: AuthenticationOptions;
  readonly #dialogue: LoginDialogue;
  readonly #server: UserauthServer;
  readonly #offered: readonly string[];
  readonly #audit: LoginAudit;
  readonly #over = new AbortController();
  readonly #entryOptions: UpstreamEntryOptions;
  readonly #upstream: UpstreamEntry;
  readonly #refusals: Refusals;
  readonly #upstreamProof: UpstreamProof;
  /** What the current name has proven; undefined: nothing. */
  #progress: LoginProgress | undefined;

  constructor(options: AuthenticationOptions) {
    const { link, limits, sessionId, upstream: ports, downstream, clock } = options;
    this.#options = options;
    this.#offered = offeredMethods(options.router);
    this.#audit = new LoginAudit(options.audit);
    this.#dialogue = new LoginDialogue({
      link,
      clock,
      signatureAlgorithms: options.signatureAlgorithms,
      maxAttempts: limits.maxAuthTries,
      maxKeyQueries: limits.maxKeyQueries,
      closed: (close) => this.abort(whyClosed(close)),
    });
    this.#server = this.#dialogue.server;
    this.#entryOptions = {
      sessionId,
      ports,
      downstream,
      answerMs: limits.upstreamLoginSeconds * 1000,
      clock,
      audit: this.#audit,
      signal: this.#over.signal,
    };
    this.#upstream = new UpstreamEntry(this.#entryOptions);
    const { router, delays, log } = options;
    this.#refusals = new Refusals({
      router,
      delays,
      clock,
      log,
      audit: this.#audit,
      dialogue: this.#dialogue,
      offers: () => this.#offers,
      asking: (user) => this.#asking(user),
    });
    this.#upstreamProof = new UpstreamProof({
      upstream: this.#upstream,
      server: this.#server,
      refusals: this.#refusals,
    });
  }

  /** Throws ClientLeft, and what is to end the connection with its own words. */
  async run(): Promise<Authenticated> {
    this.#dialogue.start();
    for (;;) {
      const event = await this.#dialogue.next();
      if (event.changed) await this.#forget();
      const done = await this.#here(this.#answer(event.user, event.attempt));
      // Who is in owns the upstream, also when the client has gone meanwhile: the session asks `throwIfOver`.
      if (done !== undefined) return done;
      if (this.#over.signal.aborted) throw this.#over.signal.reason;
    }
  }

  /** The upstream of a client that is in already; the caller's from then on. Throws what `run` does, and errors of credentials. */
  async enterLater(
    { principal, route }: Authenticated,
    agent: ClientAgent | undefined,
  ): Promise<UpstreamLogin> {
    await this.#here(this.#upstream.enter(route, principal.user, this.#progress?.password, agent));
    this.throwIfOver();
    return this.#take();
  }

  /** Fires when the login, or what is left of it, is to end. */
  get signal(): AbortSignal {
    return this.#over.signal;
  }

  /** Throws if the client has gone since `run` returned. */
  throwIfOver(): void {
    this.#over.signal.throwIfAborted();
  }

  /** Given up in the midst of it: then that is why it failed. */
  async #here<T>(work: Promise<T>): Promise<T> {
    return await work.catch((error: unknown) => {
      throw this.#over.signal.aborted ? this.#over.signal.reason : error;
    });
  }

  /** Gives up, wherever the login is: `run` throws `why`. */
  abort(why: unknown): void {
    this.#over.abort(why);
    this.#dialogue.stop(why);
    // Whatever waits for the upstream is over with it.
    void this.#forget();
  }

  /** Shows text to the person at the client, as long as that is possible. */
  banner(text: string): void {
    if (!this.#server.accepted) this.#server.banner(`${text}\n`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.end();
    await this.#forget();
  }

  /** All that was gathered for a name: the upstream of a login that came to nothing, too. */
  async #forget(): Promise<void> {
    this.#refusals.forget();
    this.#progress?.forget();
    this.#progress = undefined;
    await this.#upstream.drop();
  }

  async #answer(user: string, attempt: UserauthAttempt): Promise<Authenticated | undefined> {
    switch (attempt.method) {
      case "none":
        this.#refusals.reject();
        return undefined;
      case "other":
        return this.#refusals.notOffered(user, attempt.name);
      case "password": {
        const { password, newPassword } = attempt;
        return await this.#judge(
          user,
          { method: "password", password },
          this.#refusals.passwordKind(),
          newPassword,
        );
      }
      case "publickey":
        return await this.#publicKey(user, attempt);
      case "keyboard-interactive":
        return await this.#interview(user, attempt.submethods);
    }
  }

  async #publicKey(user: string, attempt: PublicKeyAttempt): Promise<Authenticated | undefined> {
    const { algorithm, blob, key, proof, verdict: presence } = attempt;
    if (key === undefined || proof === "invalid") {
      const reason = attempt.refusal ?? "the key cannot be used";
      await this.#refusals.deny(user, "key", 0, { method: "publickey", key: fingerprint(blob), reason });
      return undefined;
    }
    const shown: KeyProof = {
      method: "publickey",
      algorithm,
      key,
      blob,
      proven: proof === "valid",
      ...(presence?.touched === undefined ? {} : { touched: presence.touched }),
      ...(presence?.verified === undefined ? {} : { verified: presence.verified }),
    };
    return await this.#judge(user, shown, "key");
  }

  async #interview(user: string, submethods: string): Promise<Authenticated | undefined> {
    const method = "keyboard-interactive";
    if (!this.#offers.includes(method)) return this.#refusals.notOffered(user, method);
    try {
      const ask = async (request: InfoRequest): Promise<Uint8Array[]> => {
        this.throwIfOver();
        return await this.#dialogue.ask(request);
      };
      return await this.#judge(user, { method, submethods, ask }, this.#refusals.passwordKind());
    } catch (error) {
      if (!(error instanceof GivenUp)) throw error;
      this.#audit.refused(user, { method, reason: "the exchange was given up" });
      return undefined;
    } finally {
      this.#dialogue.wipeAnswers();
    }
  }

  /** A proof is judged by the step that is due; if it will do, the login goes on. */
  async #judge(
    user: string,
    proof: Proof,
    kind: AttemptKind,
    newPassword?: Uint8Array,
  ): Promise<Authenticated | undefined> {
    const progress = this.#progress ?? this.#begin(user, proof);
    const methods = progress?.judges(proof.method) ?? [];
    if (progress === undefined || (methods.length === 0 && !progress.started)) {
      await this.#refusals.pretend(user, proof, kind);
      return undefined;
    }
    const { route } = progress;
    let reason = "another method is due";
    let whose: string | undefined;
    for (const [at, method] of methods.entries()) {
      if (at > 0) await this.#refusals.pause(user, proof, kind, 0);
      const verdict = await this.#attempt(method, proof, user, progress);
      if (isAnswer(proof, verdict)) {
        this.#server.acceptKey();
        return undefined;
      }
      const password = passwordOf(proof, verdict);
      if (verdict.kind === "accepted" && newPassword === undefined) {
        const { by, restrictions = [], device, notice, subject, direction } = verdict;
        const refusal = direction === undefined ? undefined : await this.#turn(progress, direction);
        if (refusal !== undefined) {
          [reason, whose] = [refusal, subject];
          continue;
        }
        if (notice !== undefined) this.banner(notice);
        const step = { method: proof.method, by, restrictions, device, subject, password };
        return await this.#pass(user, progress, step);
      }
      if (verdict.kind !== "deferred" || (password === undefined && method.relays !== true)) {
        if (verdict.kind === "denied") [reason, whose] = [verdict.reason, verdict.subject];
        else reason = "a new password was given where none was asked for";
        continue;
      }
      this.#audit.passed(user, "deferred", proof.method, route.rule);
      const judged = await this.#upstreamProof.judge({ route, user, method, proof, password, newPassword });
      if (judged === "asked") return undefined;
      if (judged === "entered")
        return await this.#pass(user, progress, {
          method: proof.method,
          by: "upstream",
          restrictions: [],
          password,
        });
      this.#refusals.record(route.rule, kind);
      reason = "the upstream refused the password";
    }
    const shown = proof.method === "publickey" ? { key: fingerprint(proof.blob), proven: proof.proven } : {};
    await this.#refusals.deny(user, kind, 0, {
      method: proof.method,
      ...shown,
      rule: route.rule,
      subject: whose,
      reason,
    });
    return undefined;
  }

  /** What the client may go on with. Only who has proven something is told of a rule's further steps. */
  get #offers(): readonly string[] {
    return this.#progress?.offered ?? this.#offered;
  }

  #begin(user: string, proof: Proof): LoginProgress | undefined {
    const { router, from, to, target, clock } = this.#options;
    const shown = proof.method === "publickey" ? { key: proof.key } : {};
    const route = router.route({ user, from, to, target, nowMs: clock.now(), ...shown });
    return route === undefined ? undefined : new LoginProgress(route);
  }

  /** Leads the login elsewhere, or gives the reason why not. */
  async #turn(progress: LoginProgress, direction: LoginDirection): Promise<string | undefined> {
    if (this.#upstream.entered) return "a way on was chosen when the upstream was entered already";
    const refusal = progress.turn(direction);
    // What was connected for an earlier proof may be another upstream.
    if (refusal === undefined) await this.#upstream.drop();
    return refusal;
  }

  async #attempt(method: AuthMethod, proof: Proof, user: string, progress: LoginProgress): Promise<Verdict> {
    const { via, to, sessionId, clock, limits } = this.#options;
    const context = contextOf(proof, progress, {
      who: this.#asking(user),
      entry: () => new UpstreamEntry({ ...this.#entryOptions, aside: true }),
      readMs: limits.upstreamLoginSeconds * 1000,
      clock,
      session: sessionId,
      arrival: { via, ...(to === undefined ? {} : { to }) },
    });
    return await method.attempt(proof, context);
  }

  #asking(user: string): Asking {
    const { from, clock } = this.#options;
    return { user, from, nowMs: clock.now(), signal: this.#over.signal };
  }

  /** A step is done: on to the next, or in. */
  async #pass(user: string, progress: LoginProgress, step: PassedStep): Promise<Authenticated | undefined> {
    const { route } = progress;
    progress.pass(step);
    this.#progress = progress;
    const outcome = progress.complete ? "accepted" : "partial";
    this.#audit.passed(user, outcome, step.method, route.rule, step);
    if (progress.complete) return await this.#enter(user, progress);
    this.#options.log.info("auth-partial", { user, method: step.method, by: step.by, rule: route.rule });
    this.#server.reject(progress.offered, true);
    return undefined;
  }

  /** All is proven: now the upstream, so that what goes wrong there can still be told. */
  async #enter(user: string, progress: LoginProgress): Promise<Authenticated> {
    const { route } = progress;
    if (!this.#upstream.entered) {
      this.#options.entering(route);
      if (!entersLater(route)) await this.#upstream.enter(route, user, progress.password);
    }
    if (this.#over.signal.aborted) throw this.#over.signal.reason;
    const proven: Omit<Principal, symbol> = { user, ...progress.proven };
    const { method, by } = proven;
    this.#options.log.info("auth-success", { user, method, by, rule: route.rule });
    this.#upstreamProof.showBanners();
    this.#server.accept();
    const principal = proven as Principal;
    if (route.serve !== undefined) progress.forget();
    return this.#upstream.entered ? { principal, route, upstream: this.#take() } : { principal, route };
  }

  /** Only now is the upstream the session's: until here, whatever goes wrong releases it. */
  #take(): UpstreamLogin {
    const upstream = this.#upstream.take();
    if (upstream === undefined) throw new gatewayErrors.BUG_SESSION("in, without an upstream");
    this.#progress?.forget();
    return upstream;
  }
}

/** There is nowhere to go, or a credential can do nothing before the client is in. */
function entersLater({ serve, plan }: Route): boolean {
  return serve !== undefined || plan.credentials.some(({ clientAgent }) => clientAgent !== undefined);
}
