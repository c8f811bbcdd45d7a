import type { Clock, Log, PosternError } from "#base";
import type { Principal, Route } from "#contract";
import { EXTENDED_DATA_STDERR } from "#ssh/messages";
import type { ConnClose, PacketConn } from "#ssh/transport";
import { gatewayErrors } from "./errors.ts";
import { ForwardedAgent } from "./forwarded-agent.ts";
import type { HeldSession } from "./held-session.ts";
import { failedStatus } from "./resumed-client.ts";
import type { UpstreamLogin } from "./upstream-login.ts";
import { WaitingClient } from "./waiting-client.ts";

export interface LateEntryOptions {
  /** Logged in; taken over. */
  readonly conn: PacketConn;
  readonly principal: Principal;
  readonly route: Route;
  readonly clock: Clock;
  readonly log: Log;
  /** The client has gone, or the session is to end: with why. */
  readonly signal: AbortSignal;
  /** Told once when the client's connection ends while it waits. */
  closed(close: ConnClose): void;
  /** Logs in at the upstream; the caller's from then on. */
  enter(agent: ForwardedAgent | undefined): Promise<UpstreamLogin>;
}

export interface LateEntered {
  /** The client, beginning with what it sent meanwhile. */
  readonly downstream: PacketConn;
  readonly upstream: UpstreamLogin;
}

/** Milliseconds that a client has to read why it cannot go on, and to leave by itself. */
const lastWordsMs = 2_000;

/** Enters the upstream of a client that is logged in already, with the agent that it forwards in its first session (ADR 11). */
export class LateEntry {
  readonly #options: LateEntryOptions;
  readonly #waiting: WaitingClient;
  #over = false;

  constructor(options: LateEntryOptions) {
    this.#options = options;
    this.#waiting = new WaitingClient(options.conn);
    void this.#waiting.closed.then((close) => {
      this.#over = true;
      options.closed(close);
    });
  }

  /** Rejects with DENIED_AGENT_ and UPSTREAM_ errors, and with why the signal was fired. */
  async run(): Promise<LateEntered> {
    const { clock, log, signal, principal } = this.#options;
    const session = await this.#offeringSession();
    const likely = principal.by;
    const waiting = this.#waiting;
    const agent =
      session === undefined ? undefined : new ForwardedAgent({ waiting, clock, log, likely, signal });
    const upstream = await this.#options.enter(agent).catch(async (error: unknown) => {
      // A client with an open channel would not leave when it has read why.
      await agent?.close();
      throw error;
    });
    try {
      await agent?.close();
      signal.throwIfAborted();
      if (waiting.openChannels > 0) throw new gatewayErrors.DENIED_AGENT_BROKEN("its channel stays open");
      for (const text of upstream.banners) session?.write(Buffer.from(text), EXTENDED_DATA_STDERR);
      return { downstream: waiting.resume(), upstream };
    } catch (error) {
      await upstream[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Tells why it failed where the person sees it; resolves when that has been read, or could have been. False: there is no such place. */
  async tell({ user }: PosternError): Promise<boolean> {
    const session = this.#waiting.openSession;
    if (session === undefined || this.#over) return false;
    session.fail(user, failedStatus);
    const time = Promise.withResolvers<void>();
    using _timer = this.#options.clock.after(lastWordsMs, () => time.resolve());
    await Promise.race([this.#waiting.closed, time.promise]);
    return true;
  }

  /** The session that offers an agent; undefined if there is none, and the rule has something else. */
  async #offeringSession(): Promise<HeldSession | undefined> {
    const { credentials } = this.#options.route.plan;
    const waitMs = Math.max(...credentials.map(({ clientAgent }) => clientAgent?.waitMs ?? 0));
    const dispensable = credentials.some(({ clientAgent }) => clientAgent === undefined);
    const session = await this.#within(waitMs, this.#waiting.session);
    const offered = session !== undefined && (await this.#within(waitMs, session.agentOffered)) === true;
    if (offered) return session;
    if (dispensable) return undefined;
    if (session === undefined) throw new gatewayErrors.DENIED_AGENT_NO_SESSION();
    throw new gatewayErrors.DENIED_AGENT_NOT_OFFERED();
  }

  /** Undefined when it took too long. */
  async #within<T>(ms: number, work: Promise<T>): Promise<T | undefined> {
    const { clock, signal } = this.#options;
    const late = Promise.withResolvers<undefined>();
    using _timer = clock.after(ms, () => late.resolve(undefined));
    const abort = (): void => late.reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    try {
      if (signal.aborted) abort();
      return await Promise.race([work, late.promise]);
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }
}
