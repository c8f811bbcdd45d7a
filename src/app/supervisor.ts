import { type ChildProcess, spawn } from "node:child_process";
import { Socket } from "node:net";
import { isSea } from "node:sea";
import type { Clock, Log, LogLevel, RootLog } from "#base";
import type { Arrival, FileRead, SessionRecord, TunnelNews } from "#contract";
import type { Ticket } from "#gateway";
import { takeUnread } from "#link";
import type { Elsewhere } from "#tunnel";
import type { Crew, EndReason, PreparedWorld } from "./crew.ts";
import type { Errand } from "./errands.ts";
import { appErrors } from "./errors.ts";
import type { ReadConfig } from "./read-config.ts";
import type { SharedDesk } from "./shared-desk.ts";
import type { TargetWatch } from "./target-watch.ts";
import {
  type ConfigTexts,
  type FromWorker,
  type ToWorker,
  type WorkerAnswer,
  workerVariable,
} from "./worker-messages.ts";

export interface SupervisorOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly count: number;
  readonly configFile: string;
  readonly texts: ConfigTexts;
  readonly kept: ReadonlyMap<string, FileRead>;
  readonly level: LogLevel;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Program and arguments that start this same program again. */
  readonly command: readonly string[];
  /** What workers hold of tunnels. Absent: there are no devices. */
  readonly elsewhere?: Elsewhere;
  /** The pools that the workers ask. */
  readonly watch: TargetWatch;
  /** What is done here for all of them. */
  readonly desk: SharedDesk;
}

/** A worker has this long for what takes it milliseconds. */
const answerMs = 30_000;

/** A worker that dies is started again after a second, one that dies at once after up to half a minute. */
const firstRestartMs = 1_000;
const lastRestartMs = 30_000;
/** A worker that lived for so long had no fault from the start. */
const healthyMs = 60_000;

/** Time between being told to go and being killed. */
const goMs = 5_000;

interface WorkerState {
  readonly number: number;
  /** What the pools know it by: another worker of the same number is another owner. */
  readonly owner: number;
  readonly child: ChildProcess;
  readonly tickets: Map<number, Ticket>;
  readonly answers: Map<number, (answer: WorkerAnswer) => void>;
  readonly startedMs: number;
  /** What it holds, by key: for workers that begin later. */
  readonly tunnels: Map<string, TunnelNews>;
  /** What its configuration was read from. */
  texts: ConfigTexts;
  ready: boolean;
}

/**
 * Sessions in worker processes. This process alone listens, admits and hands the streams over: so limits hold for all workers
 * together, the one with the fewest sessions gets the next, and a worker can be replaced after the right to bind is gone.
 */
export class Supervisor implements Crew {
  readonly #options: SupervisorOptions;
  readonly #workers = new Map<number, WorkerState>();
  readonly #first = new Map<number, PromiseWithResolvers<void>>();
  #texts: ConfigTexts;
  #level: LogLevel;
  #lastNumber = 0;
  #stopping = false;
  #empty: (() => void)[] = [];

  private constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#texts = options.texts;
    this.#level = options.level;
    options.watch.shared = (owner, target, client, share) => {
      const worker = [...this.#workers.values()].find((each) => each.owner === owner);
      if (worker !== undefined) this.#say(worker, { kind: "pool-share", target, client, share });
    };
  }

  /** Resolves when all workers are ready. Throws OPERATOR_RELOAD_FAILED with a worker's problem. */
  static async start(options: SupervisorOptions): Promise<Supervisor> {
    const supervisor = new Supervisor(options);
    const ready: Promise<void>[] = [];
    for (let number = 1; number <= options.count; number++) {
      const first = Promise.withResolvers<void>();
      supervisor.#first.set(number, first);
      ready.push(first.promise);
      supervisor.#spawn(number, firstRestartMs);
    }
    try {
      await Promise.all(ready);
    } catch (error) {
      await supervisor[Symbol.asyncDispose]();
      throw error;
    }
    return supervisor;
  }

  get workers(): readonly number[] {
    return [...this.#workers.values()].flatMap(({ child }) => child.pid ?? []);
  }

  start({ stream, from, via, to }: Arrival, ticket: Ticket): void {
    const worker = this.#leastBusy();
    if (worker === undefined || !(stream instanceof Socket)) {
      this.#options.log.warn("no-worker", { from: from.text });
      stream.destroy();
      ticket[Symbol.dispose]();
      return;
    }
    const number = ++this.#lastNumber;
    worker.tickets.set(number, ticket);
    const head = takeUnread(stream);
    const message: ToWorker = { kind: "arrival", ticket: number, from, via, to, head };
    worker.child.send(message, stream, (error) => {
      if (error === null) return;
      stream.destroy();
      this.#release(worker, number);
    });
  }

  async prepare({ texts, config }: ReadConfig): Promise<PreparedWorld> {
    await using made = new AsyncDisposableStack();
    const targets = made.use(await this.#options.watch.prepare(config));
    const desk = made.use(this.#options.desk.prepare(config));
    const workers = [...this.#workers.values()].filter(({ ready }) => ready);
    const abandon = async (): Promise<void> => {
      for (const worker of workers) this.#say(worker, { kind: "abandon" });
    };
    const answers = await Promise.all(
      workers.map((worker) => this.#ask(worker, (question) => ({ kind: "prepare", question, texts }))),
    ).catch(async (error: unknown) => {
      await abandon();
      throw error;
    });
    const refused = answers.find((answer) => answer.kind === "not-prepared");
    if (refused?.kind === "not-prepared") {
      await abandon();
      throw new appErrors.OPERATOR_RELOAD_FAILED(refused.problem);
    }
    const owned = made.move();
    let committed = false;
    return {
      commit: () => {
        committed = true;
        targets.commit();
        desk.commit();
        this.#texts = texts;
        for (const worker of workers) {
          worker.texts = texts;
          this.#say(worker, { kind: "commit" });
        }
        for (const worker of this.#workers.values()) if (worker.ready) void this.#catchUp(worker);
      },
      [Symbol.asyncDispose]: async () => {
        if (committed) return;
        await owned.disposeAsync();
        await abandon();
      },
    };
  }

  async sessions(): Promise<readonly SessionRecord[]> {
    const answers = await this.#askAll((question) => ({ kind: "sessions", question }));
    return answers.flatMap((answer) => (answer.kind === "sessions" ? answer.sessions : []));
  }

  async close(session: string, reason: EndReason): Promise<boolean> {
    const answers = await this.#askAll((question) => ({ kind: "close", question, session, reason }));
    return answers.some((answer) => answer.kind === "closed" && answer.found);
  }

  closeAll(reason: EndReason): void {
    this.#sayAll({ kind: "close-all", reason });
  }

  notifyAll(text: string): void {
    this.#sayAll({ kind: "notify", text });
  }

  setLogLevel(level: RootLog["level"]): void {
    this.#level = level;
    this.#sayAll({ kind: "log-level", level });
  }

  reopenLog(): void {
    this.#sayAll({ kind: "reopen-log" });
  }

  async whenEmpty(): Promise<void> {
    if (this.#isEmpty()) return;
    await new Promise<void>((resolve) => this.#empty.push(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping = true;
    const gone = [...this.#workers.values()].map(async (worker) => {
      const { child } = worker;
      const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
      this.#say(worker, { kind: "end" });
      using _kill = this.#options.clock.after(goMs, () => child.kill("SIGKILL"));
      if (child.exitCode === null && child.signalCode === null) await exited;
    });
    await Promise.all(gone);
  }

  #spawn(number: number, restartMs: number): void {
    const { command, environment, log, clock } = this.#options;
    const [program = process.execPath, ...args] = command;
    const child = spawn(program, args, {
      env: { ...environment, [workerVariable]: String(number) },
      stdio: ["ignore", "inherit", "inherit", "ipc"],
      serialization: "advanced",
    });
    const worker: WorkerState = {
      number,
      owner: ++this.#lastNumber,
      child,
      tickets: new Map(),
      answers: new Map(),
      startedMs: clock.monotonic(),
      texts: this.#texts,
      tunnels: new Map(),
      ready: false,
    };
    this.#workers.set(number, worker);
    child.on("message", (message: FromWorker) => this.#hear(worker, message));
    child.on("error", (error) => log.error("worker-error", { worker: number, error }));
    child.once("exit", (code, signal) => this.#gone(worker, restartMs, code, signal));
    const { configFile, kept } = this.#options;
    this.#say(worker, { kind: "begin", configFile, texts: this.#texts, kept, level: this.#level });
  }

  #hear(worker: WorkerState, message: FromWorker): void {
    const { log } = this.#options;
    switch (message.kind) {
      case "ready":
        worker.ready = true;
        log.info("worker-ready", { worker: worker.number, pid: worker.child.pid });
        this.#first.get(worker.number)?.resolve();
        void this.#catchUp(worker);
        for (const other of this.#workers.values())
          for (const news of other.tunnels.values())
            this.#say(worker, { kind: "tunnel", worker: other.number, news });
        return;
      case "tunnel":
        this.#pass(worker, message.news);
        return;
      case "not-ready":
        log.error("worker-not-ready", { worker: worker.number, problem: message.problem });
        this.#first.get(worker.number)?.reject(new appErrors.OPERATOR_WORKER_FAILED(message.problem));
        return;
      case "authenticated":
        worker.tickets.get(message.ticket)?.authenticated();
        return;
      case "ended":
        this.#release(worker, message.ticket);
        return;
      case "pool-ask": {
        const answer = this.#options.watch.registry.ask(message.ask, worker.owner);
        this.#say(worker, { kind: "pool-answer", question: message.question, answer });
        return;
      }
      case "pool-tell":
        this.#options.watch.registry.tell(message.lease, message.connected);
        return;
      case "pool-release":
        this.#options.watch.registry.release(message.lease);
        return;
      case "errand":
        void this.#perform(worker, message.errand).then((outcome) =>
          this.#say(worker, { kind: "errand-done", question: message.question, outcome }),
        );
        return;
      case "wrong-code":
        this.#sayOthers(worker.number, message);
        return;
      case "answer":
        worker.answers.get(message.question)?.(message.answer);
        worker.answers.delete(message.question);
        return;
    }
  }

  /** Undefined: nothing came of it. */
  async #perform(asker: WorkerState, errand: Errand): Promise<unknown> {
    if (errand.kind !== "sign-in" && errand.kind !== "sign-in-ticket")
      return await this.#options.desk.perform(errand);
    const { at } = errand;
    const others = [...this.#workers.values()].filter(
      (each) => each.ready && each !== asker && (at === undefined || each.number === at),
    );
    const answers = others.map(async (other): Promise<unknown> => {
      const answer = await this.#ask(other, (question) => ({ kind: "errand", question, errand }));
      if (answer.kind !== "errand-done" || answer.outcome === undefined)
        throw new appErrors.BUG_WORKER_SILENT(`worker ${other.number}`);
      return answer.outcome;
    });
    return await Promise.any(answers).catch(() => undefined);
  }

  /** What one worker holds, the others can open. */
  #pass(worker: WorkerState, news: TunnelNews): void {
    const { number } = worker;
    if (news.kind === "held") worker.tunnels.set(news.key, news);
    else worker.tunnels.delete(news.key);
    this.#options.elsewhere?.hear(number, news);
    this.#sayOthers(number, { kind: "tunnel", worker: number, news });
  }

  #sayOthers(number: number, message: ToWorker): void {
    for (const other of this.#workers.values())
      if (other.ready && other.number !== number) this.#say(other, message);
  }

  /** A worker that was starting during a reload has begun with what was then the old configuration. */
  async #catchUp(worker: WorkerState): Promise<void> {
    const texts = this.#texts;
    if (worker.texts === texts) return;
    try {
      const answer = await this.#ask(worker, (question) => ({ kind: "prepare", question, texts }));
      if (answer.kind !== "prepared") throw new appErrors.OPERATOR_WORKER_FAILED(`worker ${worker.number}`);
      worker.texts = texts;
      this.#say(worker, { kind: "commit" });
    } catch (error) {
      // The next one starts with the right configuration.
      this.#options.log.error("worker-behind", { worker: worker.number, error });
      worker.child.kill("SIGKILL");
    }
  }

  /** Its sessions are gone with it; nobody else's are. */
  #gone(worker: WorkerState, restartMs: number, code: number | null, signal: NodeJS.Signals | null): void {
    const { log, clock } = this.#options;
    this.#workers.delete(worker.number);
    this.#options.watch.registry.releaseOwner(worker.owner);
    if (worker.tunnels.size > 0)
      this.#sayOthers(worker.number, { kind: "tunnels-gone", worker: worker.number });
    this.#options.elsewhere?.gone(worker.number);
    const lost = worker.tickets.size;
    for (const number of worker.tickets.keys()) this.#release(worker, number);
    if (this.#stopping) return;
    log.error("worker-died", { worker: worker.number, pid: worker.child.pid, code, signal, lost });
    const first = this.#first.get(worker.number);
    first?.reject(new appErrors.OPERATOR_WORKER_FAILED(`worker ${worker.number} ended before it was ready`));
    if (!worker.ready && first !== undefined) return;
    const healthy = clock.monotonic() - worker.startedMs >= healthyMs;
    const next = healthy ? firstRestartMs : Math.min(restartMs * 2, lastRestartMs);
    clock.after(healthy ? firstRestartMs : restartMs, () => {
      if (!this.#stopping) this.#spawn(worker.number, next);
    });
  }

  #release(worker: WorkerState, number: number): void {
    worker.tickets.get(number)?.[Symbol.dispose]();
    worker.tickets.delete(number);
    if (!this.#isEmpty()) return;
    for (const resolve of this.#empty.splice(0)) resolve();
  }

  #isEmpty(): boolean {
    return this.#workers.values().every(({ tickets }) => tickets.size === 0);
  }

  #leastBusy(): WorkerState | undefined {
    let found: WorkerState | undefined;
    for (const worker of this.#workers.values()) {
      if (worker.ready && (found === undefined || worker.tickets.size < found.tickets.size)) found = worker;
    }
    return found;
  }

  async #askAll(message: (question: number) => ToWorker): Promise<readonly WorkerAnswer[]> {
    const workers = [...this.#workers.values()].filter(({ ready }) => ready);
    return await Promise.all(workers.map((worker) => this.#ask(worker, message)));
  }

  /** Throws BUG_WORKER_SILENT. */
  async #ask(worker: WorkerState, message: (question: number) => ToWorker): Promise<WorkerAnswer> {
    const question = ++this.#lastNumber;
    const answered = Promise.withResolvers<WorkerAnswer>();
    worker.answers.set(question, answered.resolve);
    using _limit = this.#options.clock.after(answerMs, () => {
      answered.reject(new appErrors.BUG_WORKER_SILENT(`worker ${worker.number}`));
    });
    const died = (): void => answered.reject(new appErrors.BUG_WORKER_SILENT(`worker ${worker.number} died`));
    worker.child.once("exit", died);
    try {
      this.#say(worker, message(question));
      return await answered.promise;
    } finally {
      worker.answers.delete(question);
      worker.child.off("exit", died);
    }
  }

  #sayAll(message: ToWorker): void {
    for (const worker of this.#workers.values()) this.#say(worker, message);
  }

  #say({ child }: WorkerState, message: ToWorker): void {
    if (child.connected) child.send(message, undefined, undefined, () => {});
  }
}

/** What starts this program again: in the one executable file there is no script to name. */
export function ownCommand(): string[] {
  const [, script, ...args] = process.argv;
  return [
    process.execPath,
    ...process.execArgv,
    ...(script === undefined || isSea() ? [] : [script]),
    ...args,
  ];
}
