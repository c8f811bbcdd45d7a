import type { AcmeOffice } from "#acme";
import {
  type Clock,
  formatHostPort,
  logLevels,
  parseHostPort,
  type RootLog,
  type Timer,
  version,
} from "#base";
import { ConfigInvalid, type Config, diffConfig, formatProblem, ruleCount } from "#config";
import type { TunnelListing, Tunnels } from "#contract";
import type { Acceptor, Admission } from "#gateway";
import type { ControlRequest } from "./control.ts";
import type { Crew } from "./crew.ts";
import { appErrors } from "./errors.ts";
import type { Listeners } from "./listeners.ts";
import { readConfig } from "./read-config.ts";
import { reloadText, type Status, statusText } from "./status-text.ts";
import { notifyManager } from "./systemd.ts";
import type { TargetWatch } from "./target-watch.ts";

export interface RunningParts {
  readonly clock: Clock;
  readonly log: RootLog;
  readonly configFile: string;
  readonly config: Config;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly admission: Admission;
  readonly acceptor: Acceptor;
  readonly listeners: Listeners;
  readonly crew: Crew;
  readonly watch: TargetWatch;
  readonly acme: AcmeOffice;
  /** Absent: there are no devices. */
  readonly tunnels?: Tunnels;
}

/** What became of a reload that did not fail: which keys changed, and which of them have no effect before a restart. */
export interface Reloaded {
  readonly ok: true;
  readonly changed: readonly string[];
  readonly needRestart: readonly string[];
  readonly warnings: readonly string[];
}

export type ReloadOutcome = Reloaded | { readonly ok: false; readonly problem: string };

/** A gateway at work: what an operator can have it do, by signal or by the control socket. */
export class Running {
  readonly #parts: RunningParts;
  readonly #startedAtMs: number;
  readonly #ended = Promise.withResolvers<void>();
  #config: Config;
  #reloading: Promise<ReloadOutcome> | undefined;
  #lastReload: { readonly atMs: number; readonly outcome: ReloadOutcome } | undefined;
  #draining: { readonly limit: Timer } | undefined;

  constructor(parts: RunningParts) {
    this.#parts = parts;
    this.#config = parts.config;
    this.#startedAtMs = parts.clock.now();
  }

  /** Resolves when it has been stopped and the last session has ended. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /**
   * Reads the configuration anew and puts it to work for who comes from now on; live sessions keep theirs. If anything is wrong,
   * everything stays as it was.
   */
  async reload(): Promise<ReloadOutcome> {
    // Two at once would each see half of the other: the second begins when the first is done.
    while (this.#reloading !== undefined) await this.#reloading;
    this.#reloading = this.#reload();
    try {
      return await this.#reloading;
    } finally {
      this.#reloading = undefined;
    }
  }

  /** No new connections; who is in is told, and may go on until the limit. The second call ends all sessions at once. */
  stop(): void {
    const { log, acceptor, listeners, crew, clock, environment } = this.#parts;
    if (this.#draining !== undefined) {
      log.info("stopping-now");
      crew.closeAll("stopping");
      return;
    }
    const { limitSeconds } = this.#config.drain;
    this.#draining = { limit: clock.after(limitSeconds * 1000, () => this.#drained()) };
    notifyManager(environment, log, "STOPPING=1");
    log.info("stopping", { sessions: this.#parts.admission.connections, limitSeconds });
    acceptor.stop();
    void listeners[Symbol.asyncDispose]();
    crew.notifyAll(noticeOf(limitSeconds));
    void crew.whenEmpty().then(() => {
      this.#draining?.limit[Symbol.dispose]();
      this.#ended.resolve();
    });
  }

  setLogLevel(name: string): void {
    const level = logLevels.find((each) => each === name);
    if (level === undefined)
      throw new appErrors.OPERATOR_CONTROL_REQUEST(`the level is one of ${logLevels.join(", ")}`);
    const { log, crew } = this.#parts;
    log.level = level;
    crew.setLogLevel(level);
    log.info("log-level-changed", { to: level });
  }

  reopenLog(): void {
    this.#parts.log.reopen();
    this.#parts.crew.reopenLog();
    this.#parts.log.info("log-reopened");
  }

  /** Answers the control socket. */
  async control(request: ControlRequest): Promise<Readonly<Record<string, unknown>>> {
    const { crew } = this.#parts;
    switch (request.command) {
      case "reload": {
        const outcome = await this.reload();
        if (!outcome.ok) throw new appErrors.OPERATOR_RELOAD_FAILED(outcome.problem);
        return { ...outcome, text: reloadText(outcome) };
      }
      case "status": {
        const status = await this.status();
        return { ...status, text: statusText(status, this.#parts.clock.now()) };
      }
      case "sessions":
        return { sessions: await crew.sessions() };
      case "tunnels":
        return { tunnels: this.#tunnels() };
      case "log-level": {
        const level = String(request["level"]);
        this.setLogLevel(level);
        return { level, text: `The gateway now logs from ${level} on.` };
      }
      case "reopen-log":
        this.reopenLog();
        return { text: "The log was opened anew." };
      case "drain":
        return this.#drain(request);
      case "close": {
        const session = String(request["session"]);
        if (await crew.close(session, "operator")) return { session, text: `Session ${session} was ended.` };
        throw new appErrors.OPERATOR_CONTROL_REQUEST(`there is no session ${session}`);
      }
      case "stop":
        this.stop();
        return { text: "The gateway is stopping." };
      default:
        throw new appErrors.OPERATOR_CONTROL_REQUEST(`"${request.command}" is no command`);
    }
  }

  async status(): Promise<Status> {
    const { clock, admission, listeners, crew, log, configFile } = this.#parts;
    return {
      version,
      pid: process.pid,
      state: this.#draining === undefined ? "running" : "stopping",
      startedAt: new Date(this.#startedAtMs).toISOString(),
      uptimeSeconds: Math.round((clock.now() - this.#startedAtMs) / 1000),
      config: configFile,
      listening: listeners.addresses,
      connections: admission.connections,
      startups: admission.startups,
      workers: crew.workers,
      rules: ruleCount(this.#config),
      logLevel: log.level,
      logLinesLost: log.linesLost,
      targets: this.#parts.watch.registry.reports,
      ...(this.#config.tls.acme === undefined ? {} : { certificates: this.#parts.acme.states }),
      ...(this.#parts.tunnels === undefined ? {} : { devices: countOf(this.#tunnels()) }),
      sessions: await crew.sessions(),
      ...(this.#lastReload === undefined
        ? {}
        : { lastReload: { at: new Date(this.#lastReload.atMs).toISOString(), ...this.#lastReload.outcome } }),
    };
  }

  #tunnels(): readonly TunnelListing[] {
    return this.#parts.tunnels?.list() ?? [];
  }

  /** An address of a target gets nobody new, or, with `undo`, somebody again. */
  #drain(request: ControlRequest): Readonly<Record<string, unknown>> {
    const [target, written] = [String(request["target"]), String(request["address"])];
    const undo = request["undo"] === true;
    const address = formatHostPort(parseHostPort(written, 22));
    const sessions = this.#parts.watch.registry.drain(target, address, !undo);
    if (sessions === undefined)
      throw new appErrors.OPERATOR_CONTROL_REQUEST(`there is no target ${target} with an address ${address}`);
    const left = sessions === 1 ? "1 session is still there" : `${sessions} sessions are still there`;
    const text = undo
      ? `${address} of ${target} takes new sessions again.`
      : `${address} of ${target} gets no new sessions; ${left}.`;
    return { target, address, drained: !undo, sessions, text };
  }

  async #reload(): Promise<ReloadOutcome> {
    const { log, configFile, clock, environment } = this.#parts;
    notifyManager(environment, log, "RELOADING=1", `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
    let outcome: ReloadOutcome;
    try {
      const done = await this.#tryReload();
      log.info("reloaded", { changed: done.changed, file: configFile });
      for (const warning of done.warnings) log.warn("config-warning", { problem: warning });
      if (done.needRestart.length > 0) log.warn("restart-needed", { keys: done.needRestart });
      outcome = done;
    } catch (error) {
      const problem = problemOf(error);
      log.error("reload-failed", { file: configFile, problem });
      outcome = { ok: false, problem };
    }
    notifyManager(environment, log, "READY=1");
    this.#lastReload = { atMs: clock.now(), outcome };
    return outcome;
  }

  async #tryReload(): Promise<Reloaded> {
    const { configFile, environment, listeners, crew, admission } = this.#parts;
    if (this.#draining !== undefined)
      throw new appErrors.OPERATOR_RELOAD_FAILED("the gateway is shutting down");
    const read = await readConfig(configFile, environment);
    await using world = await crew.prepare(read);
    await using listening = await listeners.prepare(read.config.listen);
    // A SIGTERM may have come while it was read: what stops does not listen anew.
    if (this.#draining !== undefined)
      throw new appErrors.OPERATOR_RELOAD_FAILED("the gateway is shutting down");
    // Nothing from here on can fail.
    const { live, restart } = diffConfig(this.#config, read.config);
    world.commit();
    admission.setLimits(read.config.limits);
    await listening.commit();
    if (this.#config.log.level !== read.config.log.level) this.setLogLevel(read.config.log.level);
    this.#config = read.config;
    return { ok: true, changed: live, needRestart: restart, warnings: read.warnings.map(formatProblem) };
  }

  #drained(): void {
    const { log, crew, admission } = this.#parts;
    log.info("drain-limit-reached", { sessions: admission.connections });
    crew.closeAll("stopping");
  }
}

function countOf(tunnels: readonly TunnelListing[]): Status["devices"] & {} {
  return { online: new Set(tunnels.map(({ device }) => device)).size, tunnels: tunnels.length };
}

function noticeOf(limitSeconds: number): string {
  const minutes = Math.round(limitSeconds / 60);
  const left = limitSeconds < 120 ? `${Math.round(limitSeconds)} seconds` : `${minutes} minutes`;
  return `This gateway is shutting down: this session ends in ${left} at the latest.`;
}

export function problemOf(error: unknown): string {
  if (error instanceof ConfigInvalid) return error.problems.map(formatProblem).join("\n");
  return error instanceof Error ? error.message : String(error);
}
