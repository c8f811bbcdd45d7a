import { type Clock, formatHostPort, type PosternError } from "#base";
import type { ClientAgent, ClientExchange, CredentialContext, Route } from "#contract";
import { gatewayErrors } from "./errors.ts";
import type { LoginAudit } from "./login-audit.ts";
import { connectUpstream, type DownstreamLeg, type UpstreamPorts } from "./upstream.ts";
import { type LoginOutcome, UpstreamLogin } from "./upstream-login.ts";

export interface UpstreamEntryOptions {
  /** The gateway's name for the session. */
  readonly sessionId: string;
  readonly ports: UpstreamPorts;
  readonly downstream: DownstreamLeg;
  /** Milliseconds that the upstream has for each answer. */
  readonly answerMs: number;
  readonly clock: Clock;
  readonly audit: LoginAudit;
  /** The client has gone. */
  readonly signal: AbortSignal;
  /** It is not the session's: only something is read there, to find out who the client is. */
  readonly aside?: boolean;
}

/** The upstream that one client's login leads to: connected when it is needed first, kept for the next try, taken at the end. */
export class UpstreamEntry {
  readonly #options: UpstreamEntryOptions;
  #upstream: UpstreamLogin | undefined;
  /** The rule that the upstream was connected to for. */
  #rule: string | undefined;
  /** The upstream asked for a new password. */
  #changing = false;
  #entered = false;

  constructor(options: UpstreamEntryOptions) {
    this.#options = options;
  }

  /** We are logged in there. */
  get entered(): boolean {
    return this.#entered;
  }

  /** The client has proven itself: logs in by what the rule lists. Throws UPSTREAM_ errors, and those of credentials. */
  async enter(
    route: Route,
    user: string,
    clientPassword: Uint8Array | undefined,
    clientAgent?: ClientAgent,
  ): Promise<void> {
    const upstream = await this.#connected(route, user);
    const context = {
      ...this.#context(route, user, clientPassword),
      ...(clientAgent === undefined ? {} : { clientAgent }),
    };
    const outcome = await this.#watched(route, upstream, () => upstream.login(context, false));
    if (outcome.kind === "entered") return;
    const { clientKeys } = upstream;
    const refused =
      clientKeys > 0 ? new gatewayErrors.DENIED_AGENT_KEYS(`${clientKeys} were tried`) : this.#refused(route);
    // Who chooses anew, from a menu, must not come back to this one.
    await this.drop();
    throw refused;
  }

  /** The upstream judges the client's password, or changes it. Throws UPSTREAM_ errors, and those of credentials. */
  async judge(
    route: Route,
    user: string,
    clientPassword: Uint8Array,
    newPassword: Uint8Array | undefined,
  ): Promise<LoginOutcome> {
    const changing = this.#changing;
    this.#changing = false;
    const context = this.#context(route, user, clientPassword);
    const kept = this.#upstream;
    const late = newPassword !== undefined && (!changing || kept === undefined || kept.over);
    // One login proves one step: a second proof by the upstream is no part of any rule.
    if (late || this.#entered) return { kind: "refused", whose: "client" };
    const upstream =
      newPassword === undefined || kept === undefined ? await this.#connected(route, user) : kept;
    const outcome = await this.#watched(route, upstream, () =>
      newPassword === undefined
        ? upstream.login(context, true)
        : upstream.changePassword(context, newPassword),
    );
    this.#changing = outcome.kind === "password-change";
    if (outcome.kind === "refused" && outcome.whose === "operator") throw this.#refused(route);
    return outcome;
  }

  /** The upstream judges what the client answers to its own questions. Throws as `judge`, and what the exchange rejects with. */
  async relay(route: Route, user: string, clientExchange: ClientExchange): Promise<LoginOutcome> {
    if (this.#entered) return { kind: "refused", whose: "client" };
    const upstream = await this.#connected(route, user);
    const context = { ...this.#context(route, user, undefined), clientExchange };
    const outcome = await this.#watched(route, upstream, () => upstream.login(context, true));
    if (outcome.kind === "refused" && outcome.whose === "operator") throw this.#refused(route);
    return outcome;
  }

  /** Hands over the upstream: from here on it is the caller's. Undefined unless we are logged in. */
  take(): UpstreamLogin | undefined {
    const upstream = this.#entered ? this.#upstream : undefined;
    if (upstream === undefined) return undefined;
    this.#upstream = undefined;
    this.#entered = false;
    return upstream;
  }

  /** What it said before it let us in. */
  takeBanners(): readonly string[] {
    return this.#upstream?.takeBanners() ?? [];
  }

  /** Ends the connection there. */
  async drop(): Promise<void> {
    const upstream = this.#upstream;
    this.#upstream = undefined;
    this.#changing = false;
    this.#entered = false;
    await upstream?.[Symbol.asyncDispose]();
  }

  async #watched(
    route: Route,
    { address }: UpstreamLogin,
    work: () => Promise<LoginOutcome>,
  ): Promise<LoginOutcome> {
    const { audit } = this.#options;
    const outcome = await audit.watch(route, () => address, work);
    if (outcome.kind === "refused")
      audit.entered(route, address, "refused", `what the ${outcome.whose} gave`);
    else if (outcome.kind === "entered") {
      audit.entered(route, address, "entered", this.#options.aside === true ? "to read a file" : undefined);
      this.#entered = true;
    }
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
    if (kept !== undefined && !kept.over && this.#rule === route.rule) return kept;
    // Of another rule: time has passed, and the name belongs to a different one now.
    await this.drop();
    const { ports, downstream, clock, answerMs, audit, signal } = this.#options;
    if (this.#options.aside !== true) audit.decided(user, route);
    const { link, address } = await audit.watch(
      route,
      () => undefined,
      () => connectUpstream(route, ports, signal, downstream),
    );
    const upstream = new UpstreamLogin({
      link,
      address,
      user: route.user,
      credentials: route.plan.credentials,
      allowSha1: route.plan.dangerouslyAllowSha1 === true,
      answerMs,
      clock,
      log: ports.log,
    });
    this.#upstream = upstream;
    this.#rule = route.rule;
    // The client may have left while we dialled.
    if (signal.aborted) {
      await this.drop();
      throw signal.reason;
    }
    return upstream;
  }

  #refused(route: Route): PosternError {
    const upstream = this.#upstream;
    const where = upstream === undefined ? "" : ` at ${formatHostPort(upstream.address)}`;
    return new gatewayErrors.UPSTREAM_LOGIN_REFUSED(`rule ${route.rule}: ${route.user}${where}`);
  }
}
