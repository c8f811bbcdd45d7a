import { formatHostPort, PosternError } from "#base";
import type {
  AuditEvent,
  Auditor,
  Reached,
  Received,
  Reception,
  SessionEnd,
  SessionRecord,
  SpliceRoute,
  TargetQuestion,
} from "#contract";
import { Link } from "#link";
import { Splice } from "#splice";
import type { Duplex } from "node:stream";
import { auditorOf } from "./auditor.ts";
import { ClientLeft } from "./client-left.ts";
import { gatewayErrors } from "./errors.ts";
import { maxUserNameChars } from "./router.ts";
import { Session, type SessionOptions } from "./session.ts";
import { codeOf } from "./session-end.ts";
import { TargetDesk } from "./target-desk.ts";
import { maxTargetNameChars } from "./target-router.ts";
import { versionLines } from "./version-line.ts";

/** Time for a client to take the words with which it is refused. */
const lastWordMs = 2_000;

/** Of a client's own words in a line of the log or the audit. */
const maxReasonChars = 300;

/** One client's story: of a login here (Session), or of what came by another entry. */
export interface LiveSession {
  readonly id: string;
  readonly record: SessionRecord;
  run(): Promise<void>;
  close(why: PosternError): void;
  notify(text: string): void;
}

/**
 * A client of which is not known yet what it speaks: it becomes a Session, or is spliced to a target, or is refused. It owns the
 * stream until then, and both streams of a splice.
 */
export class FrontSession implements LiveSession {
  readonly id: string;
  readonly #options: SessionOptions;
  readonly #reception: Reception;
  readonly #startedAtMs: number;
  readonly #startedMs: number;
  readonly #over = new AbortController();
  #inner: Session | undefined;
  #splice: Splice | undefined;
  /** The reception joins the client with its targets itself. */
  #isServed = false;
  #route: SpliceRoute | undefined;
  #upstreamName: string | undefined;
  #decided: PosternError | undefined;
  readonly #audit: Auditor | undefined;
  #toldConnection = false;
  /** The last that it asked for. */
  #asked: TargetQuestion | undefined;

  constructor(options: SessionOptions, reception: Reception) {
    this.id = options.id;
    this.#options = options;
    this.#reception = reception;
    this.#audit = auditorOf(options.id, options.clock, options.world);
    this.#startedAtMs = options.clock.now();
    this.#startedMs = options.clock.monotonic();
  }

  get record(): SessionRecord {
    if (this.#inner !== undefined) return this.#inner.record;
    const { arrival } = this.#options;
    const splice = this.#splice;
    return {
      id: this.id,
      from: arrival.from.text,
      via: arrival.via,
      startedAtMs: this.#startedAtMs,
      phase:
        splice !== undefined || this.#isServed
          ? "open"
          : this.#route === undefined
            ? "handshake"
            : "entering",
      ...(this.#route === undefined ? {} : { rule: this.#route.rule }),
      ...(this.#upstreamName === undefined ? {} : { upstream: this.#upstreamName }),
      ...(splice === undefined
        ? {}
        : { bytesFromClient: splice.bytesToUpstream, bytesToClient: splice.bytesToDownstream }),
    };
  }

  async run(): Promise<void> {
    const { arrival, clock, log, world } = this.#options;
    // Until somebody listens, an error would end the process.
    arrival.stream.on("error", () => {});
    const limit = clock.after(world.limits.handshakeSeconds * 1000, () => {
      this.#over.abort(new gatewayErrors.PEER_LOGIN_GRACE("nothing was asked for"));
      if (this.#route === undefined) arrival.stream.destroy();
    });
    let end: SessionEnd;
    const audit = this.#audit;
    try {
      const desk = new TargetDesk({
        ...this.#options,
        router: world.targets,
        signal: this.#over.signal,
        open: (route, client) => this.#openFor(route, client),
        asked: (question) => void (this.#asked = question),
        ...(audit === undefined
          ? {}
          : {
              audit: (event: AuditEvent): void => {
                // It begins before it tries to prove anything.
                this.#tellConnection();
                audit(event);
              },
            }),
      });
      const received = await this.#reception.receive(arrival, desk);
      limit[Symbol.dispose]();
      if (received.kind === "session") {
        await this.#session(received.stream);
        return;
      }
      if (received.kind === "splice" && received.route.mode === "terminate") {
        await this.#session(received.connected(), received.route);
        return;
      }
      log.info("session-started", { from: arrival.from.text, via: arrival.via });
      this.#tellConnection();
      end = await this.#live(received);
    } catch (error) {
      limit[Symbol.dispose]();
      if (!arrival.stream.destroyed) arrival.stream.destroy();
      this.#tellConnection();
      end = this.#explain(this.#decided ?? (this.#over.signal.aborted ? this.#over.signal.reason : error));
    }
    this.#options.ticket[Symbol.dispose]();
    this.#logEnd(end);
  }

  close(why: PosternError): void {
    this.#decided ??= why;
    if (this.#inner !== undefined) this.#inner.close(why);
    else if (this.#splice !== undefined) this.#splice.close();
    else {
      this.#over.abort(why);
      this.#options.arrival.stream.destroy();
    }
  }

  /** Bytes that are not opened can carry no words of ours. */
  notify(text: string): void {
    this.#inner?.notify(text);
  }

  /** `route`: where its name led, if that is not the gateway itself. */
  async #session(stream: Duplex, route?: SpliceRoute): Promise<void> {
    const target = route === undefined || route.addresses.length === 0 ? {} : { target: route };
    const { probed = false, ...came } = this.#options.arrival;
    // What lies in TLS or HTTP may come from behind a proxy.
    const arrival = { ...came, probed: probed && stream === came.stream, ...target, stream };
    this.#inner = new Session({ ...this.#options, arrival, isTold: this.#toldConnection });
    await this.#inner.run();
  }

  async #live(received: Exclude<Received, { kind: "session" }>): Promise<SessionEnd> {
    const { log, ticket } = this.#options;
    if (received.kind === "refused") {
      const reason = received.reason.slice(0, maxReasonChars);
      log.info("target-refused", { reason });
      const why = new gatewayErrors.DENIED_TARGET(reason);
      this.#tellTarget("refused", reason);
      if (received.tell) this.#tellSsh(received.stream, why);
      else this.#letGo(received.stream);
      return { blame: why.blame, reason: why.code };
    }
    if (received.kind === "served") {
      this.#isServed = true;
      ticket.authenticated();
      log.info("session-opened", { entry: received.entry, mode: "splice" });
      await received.ended;
      return { blame: "none", reason: this.#decided?.code ?? "the client closed the connection" };
    }
    const { route, entry } = received;
    this.#route = route;
    let reached: Reached;
    try {
      // A client that is gone is seen to go by who reads from it alone: so it is read, as far as its stream keeps what nobody takes yet.
      received.stream.read(0);
      reached = await this.#reach(route, received.stream);
    } catch (error) {
      if (received.stream.destroyed && this.#decided === undefined) return this.#left(route);
      const known =
        error instanceof PosternError ? error : new gatewayErrors.BUG_SESSION(undefined, { cause: error });
      this.#tellTarget("failed", known.code, route);
      if (received.failed === undefined) this.#tellSsh(received.stream, known);
      else {
        received.failed(known.user);
        this.#letGo(received.stream);
      }
      return this.#explain(this.#decided ?? (this.#over.signal.aborted ? this.#over.signal.reason : known));
    }
    using _place = reached;
    const { stream: upstream } = reached;
    if (received.stream.destroyed) {
      upstream.destroy();
      return this.#left(route);
    }
    let downstream: Duplex;
    try {
      downstream = received.connected();
    } catch (error) {
      upstream.destroy();
      throw error;
    }
    ticket.authenticated();
    const splice = new Splice(downstream, upstream);
    this.#splice = splice;
    this.#tellTarget("opened", undefined, route);
    log.info("session-opened", {
      entry,
      mode: route.mode,
      rule: route.rule,
      target: route.target,
      upstream: this.#upstreamName,
    });
    const { by, error } = await splice.ended;
    if (this.#decided !== undefined) return { blame: "none", reason: this.#decided.code };
    if (error !== undefined) return { blame: by === "upstream" ? "UPSTREAM" : "PEER", reason: codeOf(error) };
    return { blame: "none", reason: `the ${by === "downstream" ? "client" : by} closed the connection` };
  }

  #left(route: SpliceRoute): SessionEnd {
    const reason = "the client left while its target was dialled";
    this.#tellTarget("failed", reason, route);
    return { blame: "none", reason };
  }

  /** Given up when the client is gone; one that has said all that it has to say is not. */
  async #reach(route: SpliceRoute, client: Duplex): Promise<Reached> {
    const { world, arrival, log } = this.#options;
    const left = new AbortController();
    const leave = (): void => left.abort(new ClientLeft());
    client.once("close", leave);
    if (client.destroyed) leave();
    const who = route.user === undefined ? arrival : { ...arrival, user: route.user, proven: true };
    try {
      const signal = AbortSignal.any([this.#over.signal, left.signal]);
      const reached = await world.reach.reach(route, who, { signal, log });
      this.#upstreamName = formatHostPort(reached.address);
      return reached;
    } finally {
      client.off("close", leave);
    }
  }

  /** A target for one request of a client that is served. */
  async #openFor(route: SpliceRoute, client: Duplex): Promise<Reached> {
    const { log } = this.#options;
    const about = { rule: route.rule, target: route.target };
    try {
      const reached = await this.#reach(route, client);
      log.info("target-opened", { ...about, upstream: this.#upstreamName });
      this.#tellTarget("opened", undefined, route);
      return reached;
    } catch (error) {
      if (client.destroyed && this.#decided === undefined) this.#left(route);
      if (client.destroyed) throw error;
      log.warn("target-not-opened", { ...about, error });
      this.#tellTarget("failed", error instanceof PosternError ? error.code : "BUG_SESSION", route);
      throw error;
    }
  }

  /** Once: whatever becomes of it, a session here tells of itself. */
  #tellConnection(): void {
    if (this.#toldConnection || this.#inner !== undefined) return;
    this.#toldConnection = true;
    const { from, via } = this.#options.arrival;
    this.#audit?.({ event: "connection", from: from.text, via });
  }

  #tellTarget(outcome: "opened" | "refused" | "failed", reason?: string, route?: SpliceRoute): void {
    const asked = this.#asked;
    // What was refused before it named anything is told by the end.
    if (asked === undefined) return;
    this.#audit?.({
      event: "target",
      entry: asked.entry,
      name: asked.name.slice(0, maxTargetNameChars),
      user: (route?.user ?? asked.login?.user)?.slice(0, maxUserNameChars),
      rule: route?.rule,
      target: route?.target,
      upstream: this.#upstreamName,
      outcome,
      reason,
    });
  }

  /** Last words to an SSH client, in the form that its program shows. The link sees to the end of the stream. */
  #tellSsh(stream: Duplex, why: PosternError): void {
    const { world } = this.#options;
    const { settings } = world;
    const link = new Link(stream, {
      role: "server",
      version: versionLines(settings.name).plain,
      algorithms: settings.algorithms,
      hostKeys: world.hostKeys,
      extensions: new Map(),
      random: settings.random,
      clock: settings.clock,
      handshakeMs: settings.handshakeMs,
    });
    link.disconnect(why.disconnect, why.user);
  }

  /** What was told is the last word: the client has a moment to take it, and is not listened to any more. */
  #letGo(stream: Duplex): void {
    const timer = this.#options.clock.after(lastWordMs, () => stream.destroy());
    stream.once("close", () => timer[Symbol.dispose]());
    stream.once("end", () => stream.destroy());
    stream.resume();
  }

  #explain(thrown: unknown): SessionEnd {
    const { log } = this.#options;
    const known =
      thrown instanceof PosternError ? thrown : new gatewayErrors.BUG_SESSION(undefined, { cause: thrown });
    if (known.blame === "BUG") log.error("session-failed", { error: known });
    else if (known.blame === "UPSTREAM")
      log.warn("session-failed", { rule: this.#route?.rule, error: known });
    else log.info("session-failed", { code: known.code, reason: known.message });
    return { blame: known.blame, reason: known.code };
  }

  #logEnd(end: SessionEnd): void {
    const { clock, log } = this.#options;
    log.info("session-ended", {
      blame: end.blame,
      reason: end.reason,
      ...(this.#upstreamName === undefined ? {} : { upstream: this.#upstreamName }),
      seconds: Math.round(clock.monotonic() - this.#startedMs) / 1000,
      bytesFromClient: this.#splice?.bytesToUpstream ?? 0,
      bytesToClient: this.#splice?.bytesToDownstream ?? 0,
    });
    if (this.#inner !== undefined) return;
    this.#audit?.({
      event: "end",
      ...end,
      seconds: Math.round(clock.monotonic() - this.#startedMs) / 1000,
      bytesFromClient: this.#splice?.bytesToUpstream ?? 0,
      bytesToClient: this.#splice?.bytesToDownstream ?? 0,
      upstream: this.#upstreamName,
    });
  }
}
