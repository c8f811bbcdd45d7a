import { type Clock, formatHostPort, type Log, PosternError } from "#base";
import type { Arrival, Auditor, Principal, Route, SessionEnd, SessionPhase, SessionRecord } from "#contract";
import type { Link } from "#link";
import { joinPipe, type Pipe, type PipeEnd } from "#pipe";
import { fileRulesFor, type PathLocks, symlinkOrder } from "#sftp";
import { DISCONNECT } from "#ssh/messages";
import type { PacketConn } from "#ssh/transport";
import type { Ticket } from "./admission.ts";
import { plainKeys } from "./announced.ts";
import { auditorOf } from "./auditor.ts";
import { type Authenticated, Authentication } from "./authenticate.ts";
import { ClientLeft, whyClosed } from "./client-left.ts";
import { openClientLink } from "./client-link.ts";
import { gatewayErrors } from "./errors.ts";
import { FileChannels } from "./file-channels.ts";
import type { FailureDelays } from "./failure-delays.ts";
import { LateEntry } from "./late-entry.ts";
import { MenuEntry } from "./menu-entry.ts";
import type { MountDesk } from "./mount-desk.ts";
import { Permissions } from "./permissions.ts";
import { Passages } from "./passages.ts";
import { serveHere } from "./serve-here.ts";
import { endOf } from "./session-end.ts";
import { SessionTaps } from "./session-taps.ts";
import { TerminalNotices } from "./terminal-notice.ts";
import type { DownstreamLeg, UpstreamPorts } from "./upstream.ts";
import type { UpstreamLogin } from "./upstream-login.ts";
import { upstreamVersion } from "./version-line.ts";
import type { World } from "./world.ts";

export interface SessionOptions {
  readonly id: string;
  readonly arrival: Arrival;
  readonly ticket: Ticket;
  readonly world: World;
  /** Takes a client that comes in by a session; false: there are too many of those. */
  readonly arrive: (arrival: Arrival) => boolean;
  readonly delays: FailureDelays;
  /** Between sessions that are confined to folders. */
  readonly locks: PathLocks;
  readonly clock: Clock;
  /** Its lines carry the session's id already. */
  readonly log: Log;
  /** The audit has been told that it has come. */
  readonly isTold?: boolean;
}

/** What is to be joined; without an upstream, what is to be served here. */
interface Ends {
  readonly downstream: PacketConn;
  readonly upstream?: UpstreamLogin;
  /** Absent: that of the login. */
  readonly route?: Route;
}

/** Somebody is in, and what was to be joined is. */
interface Joined {
  readonly end: Promise<SessionEnd>;
}

/** One client's story, from its arrival to its end: it owns the link, the login, the upstream and the pipe, and releases them. */
export class Session {
  readonly id: string;
  readonly #options: SessionOptions;
  readonly #startedAtMs: number;
  readonly #startedMs: number;
  #phase: SessionPhase = "handshake";
  #link: Link | undefined;
  #authentication: Authentication | undefined;
  #late: LateEntry | MenuEntry | undefined;
  #pipe: Pipe | undefined;
  readonly #notices = new TerminalNotices();
  #upstream: Link | undefined;
  #principal: Principal | undefined;
  #rule: string | undefined;
  readonly #audit: Auditor | undefined;
  #upstreamName: string | undefined;
  #mounts: Pick<MountDesk, "entered"> | undefined;
  /** Address and port of the upstream. */
  #place = "";
  #files: FileChannels | undefined;
  #limit: Disposable | undefined;
  /** Why it is to end, when that was decided here. */
  #decided: PosternError | undefined;

  constructor(options: SessionOptions) {
    this.id = options.id;
    this.#options = options;
    this.#startedAtMs = options.clock.now();
    this.#startedMs = options.clock.monotonic();
    this.#audit = auditorOf(options.id, options.clock, options.world);
  }

  get record(): SessionRecord {
    const { arrival } = this.#options;
    const link = this.#link;
    return {
      id: this.id,
      from: arrival.from.text,
      via: arrival.via,
      startedAtMs: this.#startedAtMs,
      phase: this.#phase,
      ...(this.#principal === undefined
        ? {}
        : {
            user: this.#options.world.router.shown.of(this.#principal.user),
            method: this.#principal.method,
          }),
      ...(this.#rule === undefined ? {} : { rule: this.#rule }),
      ...(this.#upstreamName === undefined ? {} : { upstream: this.#upstreamName }),
      ...(this.#mounts === undefined ? {} : { mounts: this.#mounts.entered }),
      ...(link === undefined ? {} : { bytesFromClient: link.bytesIn, bytesToClient: link.bytesOut }),
    };
  }

  /** Lives it to its end. Never throws: whatever went wrong is told to both sides and logged. */
  async run(): Promise<void> {
    const { log, arrival, isTold } = this.#options;
    log.info("session-started", { from: arrival.from.text, via: arrival.via });
    if (isTold !== true) this.#audit?.({ event: "connection", from: arrival.from.text, via: arrival.via });
    let end: SessionEnd;
    try {
      end = await this.#live();
    } catch (error) {
      end = await this.#fail(error);
    }
    await this.#release();
    this.#logEnd(end);
  }

  /** Ends it, the client told why. */
  close(why: PosternError): void {
    this.#decided ??= why;
    if (this.#pipe !== undefined) this.#pipe.close(why.disconnect, why.user);
    else if (this.#authentication !== undefined && this.#phase !== "open") this.#authentication.abort(why);
    else this.#link?.disconnect(why.disconnect, why.user);
  }

  /** Tells the person at the client something, as far as their program shows it. */
  notify(text: string): void {
    this.#pipe?.notify(text);
    if (this.#pipe === undefined && this.#late instanceof MenuEntry) this.#late.notify(text);
    if (this.#phase !== "open") return;
    for (const payload of this.#notices.payloads(text)) this.#link?.send(payload);
  }

  async #live(): Promise<SessionEnd> {
    const joined = await this.#enter();
    return joined === undefined ? { blame: "none", reason: "the person left the menu" } : await joined.end;
  }

  /** A frame of its own: what belongs to the login is forgotten with it, and would be half of what an idle session holds. */
  async #enter(): Promise<Joined | undefined> {
    const { world, clock } = this.#options;
    using grace = clock.after(world.limits.loginGraceSeconds * 1000, () =>
      this.close(new gatewayErrors.PEER_LOGIN_GRACE()),
    );
    const link = openClientLink(this.#options.arrival.stream, world);
    this.#link = link;
    const { negotiated, peerVersion, bulkCipher } = await link.established;
    this.#options.log.debug("client-connected", {
      version: peerVersion,
      kex: negotiated.kex,
      hostKey: negotiated.hostKey,
      cipher: negotiated.toServer.cipher,
    });
    this.#phase = "authenticating";
    const leg = { cipher: bulkCipher, version: peerVersion };
    const authentication = this.#authenticate(link, leg);
    const authenticated = await authentication.run();
    this.#principal = authenticated.principal;
    this.#rule = authenticated.route.rule;
    this.#limit = this.#timeLimit(authenticated.principal);
    // An upstream that comes later has as much time as the login had.
    grace.refresh();
    // Who chooses has all the time of a menu.
    if (authenticated.route.serve !== undefined) grace[Symbol.dispose]();
    const ends = await this.#ends(link, authentication, authenticated);
    if (ends === undefined) return undefined;
    const { downstream, upstream, route = authenticated.route } = ends;
    this.#own(route, upstream);
    // From here to the join nothing may wait: who is gone by now would not tell again.
    authentication.throwIfOver();
    if (upstream?.over === true) throw new gatewayErrors.UPSTREAM_LOST(this.#upstreamName);
    if (this.#decided !== undefined) throw this.#decided;
    grace[Symbol.dispose]();
    this.#options.ticket.authenticated();
    this.#authentication = undefined;
    this.#late = undefined;
    const { principal } = authenticated;
    return {
      end:
        upstream === undefined
          ? this.#serve(downstream, principal, route, leg)
          : this.#whenOver(this.#join(downstream, { principal, route }, upstream.link)),
    };
  }

  async #whenOver(pipe: Pipe): Promise<SessionEnd> {
    return this.#explain(await pipe.closed);
  }

  /** Ends the session when it has lasted as long as its login allows. */
  #timeLimit({ restrictions }: Principal): Disposable | undefined {
    const seconds = Math.min(...restrictions.map(({ maxSeconds = Number.POSITIVE_INFINITY }) => maxSeconds));
    if (!Number.isFinite(seconds)) return undefined;
    return this.#options.clock.after(seconds * 1000, () =>
      this.close(new gatewayErrors.DENIED_SESSION_TIME(`${seconds} seconds`)),
    );
  }

  /** What is to be joined: at once or, where the client must be in before its upstream can be entered, later (ADR 11). */
  async #ends(
    link: Link,
    authentication: Authentication,
    authenticated: Authenticated,
  ): Promise<Ends | undefined> {
    const { upstream, route, principal } = authenticated;
    if (upstream !== undefined) return { downstream: link, upstream };
    const { clock, log, ticket } = this.#options;
    ticket.authenticated();
    if (route.serve !== undefined) return await this.#choice(link, authentication, authenticated);
    this.#late = new LateEntry({
      conn: link,
      principal,
      route,
      clock,
      log,
      signal: authentication.signal,
      closed: (close) => authentication.abort(whyClosed(close)),
      enter: (agent) => authentication.enterLater(authenticated, agent),
    });
    return await this.#late.run();
  }

  /** A menu for who asks for a shell, where the rule says how its targets are entered. Undefined: the person left. */
  async #choice(
    link: Link,
    authentication: Authentication,
    { principal, route }: Authenticated,
  ): Promise<Ends | undefined> {
    const passages = this.#passages(principal, route);
    const { serve, plan } = route;
    if (serve?.kind !== "jump" || plan.credentials.length === 0 || passages.forcedCommand !== undefined)
      return { downstream: link };
    const { clock, log, world } = this.#options;
    this.#phase = "entering";
    const menu = new MenuEntry({
      conn: link,
      principal,
      server: world.servers.jump,
      targets: passages.targets(),
      refuseTerminal: () => passages.refusal("pty"),
      choose: (name) => passages.choose(name, route),
      enter: (chosen, agent) => authentication.enterLater({ principal, route: chosen }, agent),
      clock,
      log,
      signal: authentication.signal,
      closed: (close) => authentication.abort(whyClosed(close)),
    });
    this.#late = menu;
    const end = await menu.run();
    return end.kind === "left" ? undefined : end;
  }

  #authenticate(link: Link, downstream: DownstreamLeg): Authentication {
    const { world, arrival, delays, clock, log } = this.#options;
    this.#authentication = new Authentication({
      sessionId: this.id,
      link,
      from: arrival.from,
      via: arrival.via,
      target: arrival.target,
      to: arrival.to,
      router: world.router,
      delays,
      limits: world.limits,
      upstream: this.#upstreamPorts(),
      downstream,
      signatureAlgorithms: world.signatureAlgorithms,
      clock,
      log,
      audit: this.#audit,
      entering: (route) => {
        this.#phase = "entering";
        this.#rule = route.rule;
      },
    });
    return this.#authentication;
  }

  #upstreamPorts(): UpstreamPorts {
    const { world, arrival, log } = this.#options;
    const proven = (): object =>
      this.#principal === undefined ? {} : { user: this.#principal.user, proven: true };
    return {
      dialer: world.dialer,
      reach: { reach: world.reach, asker: () => ({ ...arrival, ...proven() }) },
      files: world.files,
      settings: { ...world.settings, handshakeMs: world.limits.upstreamLoginSeconds * 1000 },
      log,
    };
  }

  #own(route: Route, upstream: UpstreamLogin | undefined): void {
    if (upstream === undefined) return;
    this.#upstream = upstream.link;
    this.#place = formatHostPort(upstream.address);
    this.#upstreamName = `${route.user}@${this.#place}`;
  }

  /** The connection ends here. */
  async #serve(
    conn: PacketConn,
    principal: Principal,
    route: Route,
    leg: DownstreamLeg,
  ): Promise<SessionEnd> {
    const { log } = this.#options;
    this.#phase = "open";
    log.info("session-opened", { user: principal.user, rule: route.rule, serve: route.serve?.kind });
    const close = await serveHere({
      ...this.#options,
      conn,
      principal,
      route,
      permissions: this.#permissions(principal, route),
      passages: () => this.#passages(principal, route),
      entry: { ports: this.#upstreamPorts(), downstream: leg, sessionId: this.id },
      mounted: (desk) => (this.#mounts = desk),
      audit: this.#audit,
    });
    return this.#explain({ by: close.kind === "local" ? "gateway" : "downstream", close });
  }

  #passages(principal: Principal, route: Route): Passages {
    const { world, arrival, clock, log } = this.#options;
    const permissions = this.#permissions(principal, route);
    const { user, restrictions } = principal;
    const { arrive } = this.#options;
    const who = { arrival, user, restrictions, permissions };
    return new Passages({ world, route, ...who, arrive, clock, log, audit: this.#audit });
  }

  /** `downstream` is the client's link, or what shows it to the pipe. */
  #join(downstream: PacketConn, { principal, route }: Authenticated, upstream: Link): Pipe {
    const { world, arrival, clock, log } = this.#options;
    const files = this.#fileChannels(downstream, upstream, route);
    this.#files = files;
    const taps = this.#taps(downstream, principal, route, files);
    this.#phase = "open";
    this.#pipe = joinPipe({
      downstream,
      upstream,
      clock,
      keepalive: world.keepalive,
      probed: { downstream: arrival.probed === true, upstream: upstream.probed },
      maxChannels: world.limits.maxChannels,
      hostKeys: plainKeys(world),
      tapsToUpstream: [...(taps?.tapsToUpstream() ?? []), ...this.#notices.tapsToUpstream()],
      tapsToDownstream: [...(taps?.tapsToDownstream() ?? []), ...this.#notices.tapsToDownstream()],
      ...(files === undefined
        ? {}
        : { drained: (side) => files.drained(side === "downstream" ? "client" : "upstream") }),
    });
    log.info("session-opened", {
      user: this.#principal?.user,
      rule: this.#rule,
      upstream: this.#upstreamName,
    });
    return this.#pipe;
  }

  /** None when nobody wants to look: then all packets pass unread. */
  #taps(
    conn: PacketConn,
    principal: Principal,
    route: Route,
    files: FileChannels | undefined,
  ): SessionTaps | undefined {
    const permissions = this.#permissions(principal, route);
    const audit = this.#audit;
    if (permissions === undefined && audit === undefined && files === undefined) return undefined;
    const client = {
      send: (payload: Uint8Array) => conn.send(payload),
      whenRead: (then: () => void) => this.#pipe?.whenRead(then),
    };
    return new SessionTaps({ permissions, audit, client, files });
  }

  /** None when the rule says nothing about files. Throws DENIED_SFTP_ROOT. */
  #fileChannels(client: PacketConn, upstream: Link, { sftp, captures }: Route): FileChannels | undefined {
    if (sftp === undefined || (!sftp.confining && this.#audit === undefined)) return undefined;
    const rules = fileRulesFor(sftp, captures);
    const { clock, locks, world } = this.#options;
    const ours = upstreamVersion(world.settings.name, this.#link?.peerVersion ?? "");
    const symlinks = symlinkOrder(upstream.peerVersion, ours);
    const ends = { client, upstream, symlinks };
    return new FileChannels({ rules, audit: this.#audit, clock, locks, place: this.#place, ...ends });
  }

  /** None when there is nothing that would not be allowed. */
  #permissions(
    { user, method, by, restrictions }: Principal,
    { rule, captures, policy }: Route,
  ): Permissions | undefined {
    const from = this.#options.arrival.from.ip ?? "unix";
    const someone = { session: this.id, user, from, rule, method, by, captures };
    return Permissions.of(policy, restrictions, someone);
  }

  #explain(end: PipeEnd): SessionEnd {
    if (this.#decided !== undefined) return { blame: "none", reason: this.#decided.code };
    return endOf(end, this.#options.log);
  }

  /** The one place where what was thrown becomes last words and a line in the log. */
  async #fail(thrown: unknown): Promise<SessionEnd> {
    // What was decided here ends the rest in its own ways: then that is why.
    const error = this.#decided ?? thrown;
    if (error instanceof ClientLeft)
      return { blame: "none", reason: "the client left before it had logged in" };
    const known =
      error instanceof PosternError ? error : new gatewayErrors.BUG_SESSION(undefined, { cause: error });
    const { log } = this.#options;
    if (known.blame === "BUG" || known.blame === "OPERATOR") log.error("session-failed", { error: known });
    else if (known.blame === "UPSTREAM") log.warn("session-failed", { rule: this.#rule, error: known });
    else log.info("session-failed", { code: known.code, reason: known.message });
    if (this.#pipe === undefined) await this.#late?.tell(known);
    // Programs that do not show a disconnect's text show a banner.
    const tellTwice = known.blame === "UPSTREAM" || known.blame === "OPERATOR";
    if (tellTwice && this.#pipe === undefined) this.#authentication?.banner(known.user);
    this.#link?.disconnect(known.disconnect, known.user);
    return { blame: known.blame, reason: known.code };
  }

  async #release(): Promise<void> {
    this.#phase = "ending";
    this.#files?.close();
    this.#limit?.[Symbol.dispose]();
    await this.#authentication?.[Symbol.asyncDispose]();
    this.#upstream?.disconnect(DISCONNECT.BY_APPLICATION, "");
    this.#link?.disconnect(DISCONNECT.BY_APPLICATION, "");
    if (this.#link === undefined) this.#options.arrival.stream.destroy();
    this.#options.ticket[Symbol.dispose]();
  }

  #logEnd(end: SessionEnd): void {
    const { clock, log } = this.#options;
    const channels = this.#pipe?.channels.total;
    log.info("session-ended", {
      blame: end.blame,
      reason: end.reason,
      ...(this.#principal === undefined ? {} : { user: this.#principal.user }),
      ...(this.#upstreamName === undefined ? {} : { upstream: this.#upstreamName }),
      seconds: Math.round(clock.monotonic() - this.#startedMs) / 1000,
      bytesFromClient: this.#link?.bytesIn ?? 0,
      bytesToClient: this.#link?.bytesOut ?? 0,
      ...(channels === undefined ? {} : { channels }),
    });
    this.#audit?.({
      event: "end",
      ...end,
      seconds: Math.round(clock.monotonic() - this.#startedMs) / 1000,
      bytesFromClient: this.#link?.bytesIn ?? 0,
      bytesToClient: this.#link?.bytesOut ?? 0,
      channels,
      upstream: this.#upstreamName,
    });
  }
}
