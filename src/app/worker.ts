import type { Socket } from "node:net";
import { AcmeElsewhere } from "#acme";
import { type Log, openLog, type RootLog, systemClock } from "#base";
import type { Config } from "#config";
import type { TunnelNews } from "#contract";
import type { Ticket } from "#gateway";
import { SignIns, SignInSteps } from "#http-proxy";
import { compose } from "./compose.ts";
import { LocalCrew, type PreparedWorld } from "./crew.ts";
import { openDevices } from "./devices.ts";
import { Errands, type OthersErrand } from "./errands.ts";
import { Files } from "./files.ts";
import { rereadConfig } from "./read-config.ts";
import { RemotePools } from "./remote-pools.ts";
import { SharedTunnels } from "./shared-tunnels.ts";
import type { FromWorker, ToWorker } from "./worker-messages.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Lives sessions for a supervisor until it says that it is over, or is gone and the last session has ended. */
export async function runWorker(number: number, environment: Environment): Promise<number> {
  const ended = Promise.withResolvers<number>();
  // The supervisor decides; a signal to the whole group (Ctrl-C, systemd) reaches it as well.
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1"] as const) process.on(signal, () => {});
  let worker: Worker | undefined;
  const early: [ToWorker, Socket | undefined][] = [];
  process.on("message", (message: ToWorker, handle: Socket | undefined) => {
    if (message.kind === "begin") {
      Worker.begin(message, number, environment).then(
        (made) => {
          worker = made;
          say({ kind: "ready" });
          for (const [each, socket] of early.splice(0)) made.hear(each, socket);
        },
        (error: unknown) => {
          say({ kind: "not-ready", problem: problemOf(error) });
          ended.resolve(1);
        },
      );
    } else if (message.kind === "end") void finish();
    else if (worker === undefined) early.push([message, handle]);
    else worker.hear(message, handle);
  });
  const finish = async (): Promise<void> => {
    await worker?.close();
    ended.resolve(0);
  };
  // Orphaned: what lives may live on, for as long as a stopping gateway would let it.
  process.on("disconnect", () => void (worker?.orphaned() ?? Promise.resolve()).then(() => ended.resolve(0)));
  const exitCode = await ended.promise;
  // The channel to the supervisor would keep this process alive.
  process.removeAllListeners("disconnect");
  if (process.connected) process.disconnect?.();
  return exitCode;
}

interface WorkerParts {
  readonly crew: LocalCrew;
  readonly pools: RemotePools;
  readonly errands: Errands;
  readonly signIns: SignIns;
  readonly root: RootLog;
  readonly log: Log;
  readonly configFile: string;
  readonly environment: Environment;
  readonly config: Config;
  /** Absent: there are no devices. */
  readonly shared: SharedTunnels | undefined;
}

class Worker {
  readonly #crew: LocalCrew;
  readonly #pools: RemotePools;
  readonly #errands: Errands;
  readonly #signIns: SignIns;
  readonly #steps: SignInSteps;
  readonly #root: RootLog;
  readonly #log: Log;
  readonly #configFile: string;
  readonly #environment: Environment;
  readonly #shared: SharedTunnels | undefined;
  #config: Config;
  #prepared: (PreparedWorld & { readonly config: Config }) | undefined;

  private constructor(parts: WorkerParts) {
    const { crew, pools, errands, signIns, root, log, configFile, environment, config, shared } = parts;
    this.#crew = crew;
    this.#pools = pools;
    this.#errands = errands;
    this.#signIns = signIns;
    this.#steps = new SignInSteps({ log, signIns });
    this.#root = root;
    this.#log = log;
    this.#configFile = configFile;
    this.#environment = environment;
    this.#config = config;
    this.#shared = shared;
  }

  static async begin(
    { configFile, texts, kept, level }: Extract<ToWorker, { kind: "begin" }>,
    number: number,
    environment: Environment,
  ): Promise<Worker> {
    const { config } = await rereadConfig(configFile, texts, environment);
    const root = await openLog({ ...config.log, level, environment });
    const log = root.child({ worker: number });
    const files = new Files(systemClock, new Map(kept));
    const pools = new RemotePools(say);
    const tell = (news: TunnelNews): void => say({ kind: "tunnel", news });
    const devices = openDevices(config, { clock: systemClock, log }, { tell });
    const errands = new Errands(number, say);
    const signIns = new SignIns(systemClock, errands);
    const acme = new AcmeElsewhere(systemClock, errands);
    const { turns } = errands;
    const options = { clock: systemClock, log, files, pools, devices, signIns, acme, turns };
    const crew = new LocalCrew(await compose(config, options), options);
    const shared =
      devices === undefined ? undefined : await SharedTunnels.open(devices, config.stateDir, number, log);
    const parts = { crew, pools, errands, signIns, root, log, configFile, environment, config, shared };
    return new Worker(parts);
  }

  hear(message: ToWorker, handle: Socket | undefined): void {
    switch (message.kind) {
      case "arrival":
        this.#arrival(message, handle);
        return;
      case "prepare":
        void this.#prepare(message.question, message.texts);
        return;
      case "commit":
        if (this.#prepared !== undefined) this.#config = this.#prepared.config;
        this.#prepared?.commit();
        this.#prepared = undefined;
        return;
      case "abandon":
        void this.#prepared?.[Symbol.asyncDispose]();
        this.#prepared = undefined;
        return;
      case "sessions":
        void this.#crew
          .sessions()
          .then((sessions) => answer(message.question, { kind: "sessions", sessions }));
        return;
      case "close":
        void this.#crew
          .close(message.session, message.reason)
          .then((found) => answer(message.question, { kind: "closed", found }));
        return;
      case "close-all":
        this.#crew.closeAll(message.reason);
        return;
      case "notify":
        this.#crew.notifyAll(message.text);
        return;
      case "log-level":
        this.#root.level = message.level;
        return;
      case "reopen-log":
        this.#root.reopen();
        this.#crew.reopenLog();
        return;
      case "pool-answer":
        this.#pools.answered(message.question, message.answer);
        return;
      case "pool-share":
        this.#pools.shared(message.target, message.client, message.share);
        return;
      case "errand-done":
        this.#errands.done(message.question, message.outcome);
        return;
      case "errand":
        void this.#perform(message.question, message.errand);
        return;
      case "wrong-code":
        this.#signIns.wrongCodes.count(message.from);
        return;
      case "tunnel":
        this.#shared?.elsewhere.hear(message.worker, message.news);
        return;
      case "tunnels-gone":
        this.#shared?.elsewhere.gone(message.worker);
        return;
      case "begin":
      case "end":
        return;
    }
  }

  async close(): Promise<void> {
    await this.#crew[Symbol.asyncDispose]();
    await this.#shared?.[Symbol.asyncDispose]();
    await this.#root.close();
  }

  async orphaned(): Promise<void> {
    this.#log.error("supervisor-lost");
    this.#pools.orphaned();
    this.#errands.orphaned();
    const limit = systemClock.after(this.#config.drain.limitSeconds * 1000, () =>
      this.#crew.closeAll("stopping"),
    );
    await this.#crew.whenEmpty();
    limit[Symbol.dispose]();
    await this.close();
  }

  #arrival(
    { ticket, from, via, to, head }: Extract<ToWorker, { kind: "arrival" }>,
    stream: Socket | undefined,
  ): void {
    // The client has gone on the way here.
    if (stream === undefined) {
      say({ kind: "ended", ticket });
      return;
    }
    let inside = true;
    const place: Ticket = {
      authenticated: () => say({ kind: "authenticated", ticket }),
      [Symbol.dispose]: () => {
        if (inside) say({ kind: "ended", ticket });
        inside = false;
      },
    };
    stream.on("error", () => {});
    if (head.length > 0) stream.unshift(head);
    this.#crew.start({ stream, from, via, ...(to === undefined ? {} : { to }) }, place);
  }

  /** For a browser that has come to another worker. */
  async #perform(question: number, errand: OthersErrand): Promise<void> {
    let outcome: unknown;
    try {
      outcome =
        errand.kind === "sign-in"
          ? await this.#steps.takeHere(errand.step, errand.seen)
          : this.#signIns.handedOver.take(errand.ticket);
    } catch (error) {
      this.#log.error("errand-failed", { error });
    }
    answer(question, { kind: "errand-done", outcome });
  }

  async #prepare(question: number, texts: Extract<ToWorker, { kind: "prepare" }>["texts"]): Promise<void> {
    try {
      const { config } = await rereadConfig(this.#configFile, texts, this.#environment);
      const prepared = await this.#crew.prepare({ config });
      await this.#prepared?.[Symbol.asyncDispose]();
      this.#prepared = { ...prepared, config };
      answer(question, { kind: "prepared" });
    } catch (error) {
      answer(question, { kind: "not-prepared", problem: problemOf(error) });
    }
  }
}

function answer(question: number, said: Extract<FromWorker, { kind: "answer" }>["answer"]): void {
  say({ kind: "answer", question, answer: said });
}

function say(message: FromWorker): void {
  // The supervisor may be gone: then nobody wants to know.
  if (process.connected) process.send?.(message, undefined, undefined, () => {});
}

function problemOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
