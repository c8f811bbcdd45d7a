import { type AcmeDesk, AcmeOffice } from "#acme";
import { CountedTurns } from "#admin";
import { openLog, type RootLog, systemClock, version } from "#base";
import { type Config, formatProblem, ruleCount } from "#config";
import { Acceptor, Admission } from "#gateway";
import { SignIns } from "#http-proxy";
import { nativePackets } from "#ssh/algorithms";
import { Elsewhere } from "#tunnel";
import { compose, orderedOf } from "./compose.ts";
import { ControlServer } from "./control.ts";
import { type Crew, LocalCrew } from "./crew.ts";
import { appErrors } from "./errors.ts";
import { type Devices, openDevices } from "./devices.ts";
import { Files } from "./files.ts";
import { Listeners } from "./listeners.ts";
import { type Account, dropPrivileges, findAccount, handOver } from "./privileges.ts";
import { readConfig, type ReadConfig } from "./read-config.ts";
import { Running } from "./running.ts";
import { ownCommand, Supervisor } from "./supervisor.ts";
import { SharedDesk } from "./shared-desk.ts";
import { makeStateDir } from "./state-dir.ts";
import { TargetWatch } from "./target-watch.ts";
import { notifyManager, passedSockets } from "./systemd.ts";
import { runWorker } from "./worker.ts";
import { workerVariable } from "./worker-messages.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export interface ServeOptions {
  readonly configFile: string;
  readonly environment: Environment;
  /** Told as soon as it listens. */
  readonly ready?: (running: Running, addresses: readonly string[]) => void;
  /** Take SIGTERM, SIGHUP and so on. Default true. */
  readonly signals?: boolean;
}

/**
 * Runs a gateway until it is told to stop and the last session has ended. Resolves with the exit code.
 * Throws ConfigInvalid and other OPERATOR_ errors when it cannot start; then nothing is left open.
 */
export async function serve(options: ServeOptions): Promise<number> {
  const { environment } = options;
  // The same command, started again by the supervisor.
  const worker = environment[workerVariable];
  if (worker !== undefined && process.connected) return await runWorker(Number(worker), environment);

  const read = await readConfig(options.configFile, environment);
  const { config } = read;
  const account = await findAccount(config.user, config.group);
  await using stack = new AsyncDisposableStack();
  const log = await openLogFor(config, account, environment);
  stack.defer(() => log.close());
  for (const warning of read.warnings) log.warn("config-warning", { problem: formatProblem(warning) });
  await start(options, read, account, log, stack);
  return 0;
}

async function start(
  options: ServeOptions,
  read: ReadConfig,
  account: Account | undefined,
  log: RootLog,
  stack: AsyncDisposableStack,
): Promise<void> {
  const { configFile, environment } = options;
  const { config } = read;
  const clock = systemClock;
  const files = new Files(clock);
  // With all rights: what only root may read, make and bind.
  makeStateDir(config.stateDir, account);
  const watch = stack.use(new TargetWatch(config, { clock, log, files }));
  const { pools } = watch;
  const devices = openDevices(config, { clock, log }, { account });
  if (devices !== undefined) stack.use(devices);
  const acme = new AcmeOffice({ clock, log, files, stateDir: config.stateDir });
  const turns = new CountedTurns(clock);
  const ports = { clock, log, files, pools, devices, signIns: new SignIns(clock), acme, turns };
  const composed = await files.keepWhile(() => compose(config, ports));
  const checks = await files.keepWhile(() => watch.prepare(config));
  if (account !== undefined) giveAudit(config, account);
  const made: { crew?: Crew } = {};
  const admission = new Admission(config.limits);
  const acceptor = new Acceptor({
    admission,
    clock,
    log,
    start: (arrival, ticket) => made.crew?.start(arrival, ticket),
  });
  const entryPorts = {
    log,
    passedSockets: passedSockets(environment, process.pid),
    ...(account === undefined ? {} : { owner: account }),
  };
  const listeners = stack.use(new Listeners(entryPorts, (arrival) => acceptor.accept(arrival)));
  await using listening = await listeners.prepare(config.listen);
  const held: { running?: Running } = {};
  const control = await ControlServer.listen(
    config.control,
    account,
    async (request) => {
      if (held.running === undefined) throw new appErrors.OPERATOR_CONTROL_REQUEST("the gateway is starting");
      return await held.running.control(request);
    },
    log,
  );
  stack.use(control);

  if (account !== undefined) {
    dropPrivileges(account);
    log.info("privileges-dropped", { user: account.name, uid: account.uid, gid: account.gid });
  } else if (process.getuid?.() === 0) log.warn("running-as-root", { hint: "set user in the configuration" });

  // Without rights from here on.
  let crew: Crew;
  if (config.workers > 1) {
    await composed.world[Symbol.asyncDispose]();
    const ordered = (each: Config): AcmeDesk | undefined => orderedOf(each, { acme, devices });
    const desk = stack.use(new SharedDesk(config, { acme, turns, ordered }));
    crew = await Supervisor.start({
      clock,
      log,
      count: config.workers,
      configFile,
      texts: read.texts,
      kept: files.kept,
      level: log.level,
      environment,
      command: ownCommand(),
      watch,
      desk,
      ...(devices === undefined ? {} : { elsewhere: viewOf(devices) }),
    });
  } else crew = new LocalCrew(composed, { ...ports, watch });
  checks.commit();
  stack.use(crew);
  made.crew = crew;

  const running = new Running({
    clock,
    log,
    configFile,
    config,
    environment,
    admission,
    acceptor,
    listeners,
    crew,
    watch,
    acme,
    ...(devices === undefined ? {} : { tunnels: devices.tunnels }),
  });
  held.running = running;
  using signals = new DisposableStack();
  if (options.signals !== false) signals.use(takeSignals(running, log));
  log.info("started", {
    version,
    node: process.version,
    pid: process.pid,
    workers: config.workers,
    rules: ruleCount(config),
    ciphers: nativePackets === undefined ? "node:crypto" : "native",
  });
  await listening.commit();
  acme.begin();
  notifyManager(environment, log, "READY=1");
  options.ready?.(running, listeners.addresses);
  await running.ended;
  log.info("stopped");
}

/** The process that listens holds no tunnel; it knows of all. */
function viewOf({ tunnels }: Devices): Elsewhere {
  return new Elsewhere(tunnels, () => Promise.reject(new appErrors.UPSTREAM_TUNNEL_ELSEWHERE()));
}

/** After the drop it must be possible to open it anew. */
function giveAudit({ audit }: Config, account: Account): void {
  for (const each of audit) {
    if (each.kind === "jsonl") handOver(each.file, account);
  }
}

async function openLogFor(
  config: Config,
  account: Account | undefined,
  environment: Environment,
): Promise<RootLog> {
  const { file } = config.log;
  let log: RootLog;
  try {
    log = await openLog({ ...config.log, environment });
  } catch (cause) {
    throw new appErrors.OPERATOR_FILE_UNWRITABLE(`${file ?? "stderr"}: ${(cause as Error).message}`, {
      cause,
    });
  }
  // After the drop it must be possible to open it anew.
  if (file !== undefined && account !== undefined) handOver(file, account);
  return log;
}

function takeSignals(running: Running, log: RootLog): Disposable {
  const handlers: [NodeJS.Signals, () => void][] = [
    ["SIGTERM", () => running.stop()],
    ["SIGINT", () => running.stop()],
    ["SIGHUP", () => void running.reload()],
    ["SIGUSR1", () => running.reopenLog()],
  ];
  for (const [signal, handler] of handlers) process.on(signal, handler);
  const crash = (error: unknown): void => {
    log.fatal("crashed", { error });
    log.flush();
  };
  process.on("uncaughtExceptionMonitor", crash);
  return {
    [Symbol.dispose]: () => {
      for (const [signal, handler] of handlers) process.off(signal, handler);
      process.off("uncaughtExceptionMonitor", crash);
    },
  };
}
