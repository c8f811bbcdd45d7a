import { type Captures, type Clock, formatHostPort, type Log, PosternError } from "#base";
import type {
  Auditor,
  AuthContext,
  AuthMethod,
  CredentialContext,
  PeerAddress,
  Principal,
  Proof,
  Route,
  Verdict,
} from "#contract";
import type { Link } from "#link";
import { fingerprint } from "#ssh/keys";
import { type ConnClose, type PacketHandler, type PacketView, payloadOf } from "#ssh/transport";
import {
  type PublicKeyAttempt,
  type UserauthAttempt,
  UserauthServer,
  type UserauthServerEvent,
} from "#ssh/userauth";
import { gatewayErrors } from "./errors.ts";
import { LoginAudit, type RefusedAttempt } from "./login-audit.ts";
import type { AttemptKind, FailureDelays } from "./failure-delays.ts";
import type { GatewayLimits } from "./limits.ts";
import type { Router } from "./router.ts";
import { connectUpstream, type DownstreamLeg, type UpstreamPorts } from "./upstream.ts";
import { type LoginOutcome, UpstreamLogin } from "./upstream-login.ts";

export interface AuthenticationOptions {
  /** The gateway's name for the session. */
  readonly sessionId: string;
  readonly link: Link;
  readonly from: PeerAddress;
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
  /** Logged in; its link waits for who joins the two sides. */
  readonly upstream: UpstreamLogin;
}

/** The client ended the connection before it was in: nobody's fault. */
export class ClientLeft extends Error {
  constructor() {
    super("the client left before it had logged in");
  }
}

/** Methods named to a client when no rule offers any: it must look like any other gateway. */
const methodsOfNobody = ["publickey", "password"];

/** What a client is told to go on with: the same for everybody, so that a name that is not known looks like one that is. */
export function offeredMethods(router: Router): readonly string[] {
  const methods = new Set(router.rules.flatMap((rule) => rule.login.map((login) => login.method)));
  return methods.size === 0 ? methodsOfNobody : [...methods];
}

/**
 * The login of one client: its proofs are judged by the rule of its name, and the upstream is entered before the client is told of
 * success. What a refusal may not tell, and how, stands in docs/threat-model.md.
 */
export class Authentication implements AsyncDisposable {
  readonly #options: AuthenticationOptions;
  readonly #server: UserauthServer;
  readonly #offered: readonly string[];
  readonly #audit: LoginAudit;
  readonly #over = new AbortController();
  #event = Promise.withResolvers<UserauthServerEvent>();
  #upstream: UpstreamLogin | undefined;
  /** The rule that the upstream was connected to for. */
  #upstreamRule: string | undefined;
  /** Passwords tried under the current name. */
  #passwords = 0;
  /** The upstream asked for a new password. */
  #changing = false;

  constructor(options: AuthenticationOptions) {
    const { link, limits } = options;
    this.#options = options;
    this.#offered = offeredMethods(options.router);
    this.#audit = new LoginAudit(options.audit);
    this.#server = new UserauthServer({
      send: (payload) => link.send(payload),
      sessionId: link.sessionId,
      hostKey: link.hostKey,
      signatureAlgorithms: options.signatureAlgorithms,
      maxAttempts: limits.maxAuthTries,
      maxKeyQueries: limits.maxKeyQueries,
    });
  }

  /** Throws ClientLeft, and what is to end the connection with its own words. */
  async run(): Promise<Authenticated> {
    this.#options.link.attach(this.#handler());
    for (;;) {
      const event = await this.#next();
      // Challenges are never sent, so the only events are attempts.
      if (event.kind === "responses") continue;
      if (event.changed) await this.#forget();
      const done = await this.#answer(event.user, event.attempt).catch((error: unknown) => {
        // Given up in the midst of it: then that is why it failed.
        throw this.#over.signal.aborted ? this.#over.signal.reason : error;
      });
      // Who is in owns the upstream, also when the client has gone meanwhile: the session asks `throwIfOver`.
      if (done !== undefined) return done;
      if (this.#over.signal.aborted) throw this.#over.signal.reason;
    }
  }

  /** Throws if the client has gone since `run` returned. */
  throwIfOver(): void {
    this.#over.signal.throwIfAborted();
  }

  /** Gives up, wherever the login is: `run` throws `why`. */
  abort(why: unknown): void {
    this.#over.abort(why);
    this.#event.reject(why);
    void this.#event.promise.catch(() => {});
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

  /** The upstream of a login that came to nothing. */
  async #forget(): Promise<void> {
    this.#passwords = 0;
    this.#changing = false;
    await this.#dropUpstream();
  }

  async #dropUpstream(): Promise<void> {
    const upstream = this.#upstream;
    this.#upstream = undefined;
    await upstream?.[Symbol.asyncDispose]();
  }

  async #answer(user: string, attempt: UserauthAttempt): Promise<Authenticated | undefined> {
    switch (attempt.method) {
      case "none":
        this.#server.reject(this.#offered);
        return undefined;
      case "keyboard-interactive":
      case "other": {
        const method = attempt.method === "other" ? attempt.name : attempt.method;
        this.#audit.refused(user, { method, reason: "the method is not offered" });
        this.#server.reject(this.#offered);
        return undefined;
      }
      case "password":
        return await this.#password(user, attempt.password, attempt.newPassword);
      case "publickey":
        return await this.#publicKey(user, attempt);
    }
  }

  async #password(
    user: string,
    password: Uint8Array,
    newPassword: Uint8Array | undefined,
  ): Promise<Authenticated | undefined> {
    const started = this.#options.clock.monotonic();
    const kind: AttemptKind = this.#passwords++ === 0 ? "first-password" : "next-password";
    const proof: Proof = { method: "password", password };
    const route = this.#route(user);
    const methods = route?.login.filter((login) => login.method === "password") ?? [];
    if (route === undefined || methods.length === 0) {
      await this.#pretend(user, proof, kind, started);
      return undefined;
    }
    let reason = "";
    for (const method of methods) {
      const verdict = await this.#judge(method, proof, user, route.captures);
      if (verdict.kind === "accepted" && newPassword === undefined) {
        return await this.#enter(route, user, verdict, password);
      }
      if (verdict.kind !== "deferred") {
        reason =
          verdict.kind === "denied" ? verdict.reason : "a new password was given where none was asked for";
        continue;
      }
      this.#audit.passed(user, "deferred", "password", route.rule);
      const outcome = await this.#askUpstream(route, user, password, newPassword);
      if (outcome.kind === "entered") {
        this.#audit.passed(user, "accepted", "password", route.rule, "upstream");
        return this.#success(route, user, "password", "upstream");
      }
      if (outcome.kind === "password-change") {
        this.#changing = true;
        this.#server.requestPasswordChange(outcome.prompt);
        return undefined;
      }
      if (outcome.whose === "operator") throw this.#refusedUpstream(route);
      this.#options.delays.record(route.rule, kind, this.#options.clock.monotonic() - started);
      reason = "the upstream refused the password";
    }
    await this.#deny(user, kind, started, 0, { method: "password", rule: route.rule, reason });
    return undefined;
  }

  /** For a name that cannot log in like this: the work and the time of one that could, and the same answer. */
  async #pretend(user: string, proof: Proof, kind: AttemptKind, started: number): Promise<void> {
    const { router, delays } = this.#options;
    const choices = router.rules.filter((rule) => rule.login.some((login) => login.method === proof.method));
    const shadow = delays.shadow(user, choices);
    let atLeastMs = 0;
    for (const method of shadow?.login ?? []) {
      if (method.method !== proof.method) continue;
      if (method.defers) atLeastMs = delays.sample(shadow?.name ?? "", kind);
      else await this.#judge(method, proof, user, { user, 0: user });
    }
    const reason = "no rule lets this name in like this";
    const key = proof.method === "publickey" ? { key: fingerprint(proof.blob) } : {};
    await this.#deny(user, kind, started, atLeastMs, { method: proof.method, ...key, reason });
  }

  async #publicKey(user: string, attempt: PublicKeyAttempt): Promise<Authenticated | undefined> {
    const started = this.#options.clock.monotonic();
    const { algorithm, blob, key, proof: state, verdict: presence } = attempt;
    if (key === undefined || state === "invalid") {
      const reason = attempt.refusal ?? "the key cannot be used";
      await this.#deny(user, "key", started, 0, { method: "publickey", key: fingerprint(blob), reason });
      return undefined;
    }
    const proven = state === "valid";
    const proof: Proof = {
      method: "publickey",
      algorithm,
      key,
      blob,
      proven,
      ...(presence?.touched === undefined ? {} : { touched: presence.touched }),
      ...(presence?.verified === undefined ? {} : { verified: presence.verified }),
    };
    const route = this.#route(user);
    const methods = route?.login.filter((login) => login.method === "publickey") ?? [];
    if (route === undefined || methods.length === 0) {
      await this.#pretend(user, proof, "key", started);
      return undefined;
    }
    let reason = "";
    for (const method of methods) {
      const verdict = await this.#judge(method, proof, user, route.captures);
      if (verdict.kind === "accepted") {
        if (proven) return await this.#enter(route, user, verdict, undefined);
        this.#server.acceptKey();
        return undefined;
      }
      reason = verdict.kind === "denied" ? verdict.reason : verdict.kind;
    }
    const fields = { method: "publickey", key: fingerprint(blob), rule: route.rule, proven, reason };
    await this.#deny(user, "key", started, 0, fields);
    return undefined;
  }

  /** Refuses, no sooner than refusals are due. The reason is for the log alone. */
  async #deny(
    user: string,
    kind: AttemptKind,
    started: number,
    atLeastMs: number,
    fields: RefusedAttempt & { readonly proven?: boolean },
  ): Promise<void> {
    const { delays, log } = this.#options;
    // A client asks about every key that it has: that is no news.
    const level = fields.proven === false ? "debug" : "info";
    log[level]("auth-denied", { user, ...fields });
    this.#audit.refused(user, fields);
    await delays.wait(user, kind, started, atLeastMs, this.#over.signal);
    if (!this.#over.signal.aborted) this.#server.reject(this.#offered);
  }

  #route(user: string): Route | undefined {
    const { router, from, clock } = this.#options;
    return router.route({ user, from, nowMs: clock.now() });
  }

  async #judge(method: AuthMethod, proof: Proof, user: string, captures: Captures): Promise<Verdict> {
    const { from, clock } = this.#options;
    const context: AuthContext = { user, captures, from, nowMs: clock.now(), signal: this.#over.signal };
    return await method.attempt(proof, context);
  }

  /** The proof was right: now the upstream, so that what goes wrong there can still be told. */
  async #enter(
    route: Route,
    user: string,
    { by, restrictions }: Verdict & { readonly kind: "accepted" },
    password: Uint8Array | undefined,
  ): Promise<Authenticated> {
    this.#options.entering(route);
    const method = password === undefined ? "publickey" : "password";
    this.#audit.passed(user, "accepted", method, route.rule, by);
    const upstream = await this.#connected(route, user);
    const outcome = await this.#login(route, upstream, () =>
      upstream.login(this.#context(route, user, password), false),
    );
    if (outcome.kind !== "entered") throw this.#refusedUpstream(route);
    return this.#success(route, user, method, by, restrictions);
  }

  /** The upstream judges the password. Its connection is kept for the next try. */
  async #askUpstream(
    route: Route,
    user: string,
    clientPassword: Uint8Array,
    newPassword: Uint8Array | undefined,
  ): Promise<LoginOutcome> {
    const changing = this.#changing;
    this.#changing = false;
    const context = this.#context(route, user, clientPassword);
    if (newPassword !== undefined) {
      const upstream = this.#upstream;
      if (!changing || upstream === undefined || upstream.over) return { kind: "refused", whose: "client" };
      return await this.#login(route, upstream, () => upstream.changePassword(context, newPassword));
    }
    const upstream = await this.#connected(route, user);
    return await this.#login(route, upstream, () => upstream.login(context, true));
  }

  async #login(
    route: Route,
    { address }: UpstreamLogin,
    work: () => Promise<LoginOutcome>,
  ): Promise<LoginOutcome> {
    const outcome = await this.#audit.watch(route, () => address, work);
    if (outcome.kind === "refused")
      this.#audit.entered(route, address, "refused", `what the ${outcome.whose} gave`);
    else if (outcome.kind === "entered") this.#audit.entered(route, address, "entered");
    return outcome;
  }

  #context(route: Route, user: string, clientPassword: Uint8Array | undefined): CredentialContext {
    return {
      sessionId: this.#options.sessionId,
      user,
      captures: route.captures,
      upstreamUser: route.user,
      ...(clientPassword === undefined ? {} : { clientPassword }),
    };
  }

  async #connected(route: Route, user: string): Promise<UpstreamLogin> {
    const kept = this.#upstream;
    if (kept !== undefined && !kept.over && this.#upstreamRule === route.rule) return kept;
    // Of another rule: time has passed, and the name belongs to a different one now.
    await this.#dropUpstream();
    const { upstream: ports, downstream, clock, limits } = this.#options;
    this.#audit.decided(user, route);
    const { link, address } = await this.#audit.watch(
      route,
      () => undefined,
      () => connectUpstream(route, ports, this.#over.signal, downstream),
    );
    const upstream = new UpstreamLogin({
      link,
      address,
      user: route.user,
      credentials: route.plan.credentials,
      allowSha1: route.plan.dangerouslyAllowSha1 === true,
      answerMs: limits.upstreamLoginSeconds * 1000,
      clock,
      log: ports.log,
    });
    this.#upstream = upstream;
    this.#upstreamRule = route.rule;
    // The client may have left while we dialled.
    if (this.#over.signal.aborted) {
      await this.#forget();
      throw this.#over.signal.reason;
    }
    return upstream;
  }

  #refusedUpstream(route: Route): PosternError {
    const upstream = this.#upstream;
    const where = upstream === undefined ? "" : ` at ${formatHostPort(upstream.address)}`;
    return new gatewayErrors.UPSTREAM_LOGIN_REFUSED(`rule ${route.rule}: ${route.user}${where}`);
  }

  #success(
    route: Route,
    user: string,
    method: string,
    by: string,
    restrictions: Principal["restrictions"] = [],
  ): Authenticated {
    const upstream = this.#upstream;
    if (upstream === undefined || this.#over.signal.aborted) throw this.#over.signal.reason;
    const proven: Pick<Principal, "user" | "method" | "by" | "restrictions"> = {
      user,
      method,
      by,
      restrictions,
    };
    this.#options.log.info("auth-success", { user, method, by, rule: route.rule });
    // Only now: to a name that is not let in, an upstream's words would tell that there is an upstream.
    for (const text of upstream.banners) this.#server.banner(text);
    this.#server.accept();
    // Only now is it the session's: until here, whatever goes wrong releases it.
    this.#upstream = undefined;
    return { principal: proven as Principal, route, upstream };
  }

  async #next(): Promise<UserauthServerEvent> {
    const { link } = this.#options;
    // The answer is out: the client's next packet may be looked at.
    link.resume();
    const event = await this.#event.promise;
    this.#event = Promise.withResolvers();
    return event;
  }

  #handler(): PacketHandler {
    return {
      // Once the client is in, what it sends is the session's: it waits for whoever joins the two sides.
      ready: () => !this.#server.busy && !this.#server.accepted,
      packet: (packet: PacketView) => {
        const event = this.#server.receive(payloadOf(packet));
        if (event !== undefined) this.#event.resolve(event);
      },
      closed: (close) => this.abort(whyClosed(close)),
    };
  }
}

function whyClosed(close: ConnClose): unknown {
  return close.kind === "failed" && close.error instanceof PosternError ? close.error : new ClientLeft();
}
