import { chmod, chown, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { Child, run, type ChildOptions, type Outcome } from "./child.ts";
import { freePort } from "./ports.ts";
import { cpuSeconds, descendants, residentBytes } from "./processes.ts";
import type { SshTarget } from "./ssh.ts";
import { tempDir, type TempDir } from "./temp-dir.ts";
import { knownHostsLine, makeKey, type KeyFiles, type KeyKind } from "./test-keys.ts";
import { until } from "./waiting.ts";

/** One line of the log, as parsed JSON. */
export interface LogLine {
  readonly event?: unknown;
  readonly port?: unknown;
  readonly address?: unknown;
  readonly [field: string]: unknown;
}

/** A part of the configuration, written as the JSON that YAML also is. */
export type Pieces = Readonly<Record<string, unknown>>;

export interface GatewayOptions {
  /** Top-level keys of the configuration, over those of a test: listen on loopback, own host key, JSON log. */
  readonly config?: Pieces;
  readonly rules?: readonly Pieces[];
  /** The whole file instead of the pieces. */
  readonly yaml?: string;
  readonly hostKeys?: readonly KeyKind[];
  readonly env?: ChildOptions["env"];
  readonly descriptors?: readonly number[];
  /** Flags of node before the program. */
  readonly nodeFlags?: readonly string[];
  /** More arguments after `serve -c FILE`. */
  readonly flags?: readonly string[];
  /** The account that the configuration's files belong to. */
  readonly giveTo?: { readonly uid: number; readonly gid: number };
  /** A program and its arguments that starts the gateway's command line, which is put after them. */
  readonly launcher?: readonly string[];
  /** Name of a file in its folder that the log goes to. */
  readonly logFile?: string;
  /** Choose the port before, and know by connecting that it listens: the log does not say. */
  readonly knownPort?: boolean;
  /** Do not wait for the listener: the caller watches the child. */
  readonly unready?: boolean;
}

export interface Gateway extends AsyncDisposable {
  readonly child: Child;
  readonly folder: TempDir;
  readonly configFile: string;
  readonly hostKeys: readonly KeyFiles[];
  readonly host: string;
  readonly port: number;
  /** Path of a known_hosts file with its host keys under its address. */
  readonly knownHosts: string;
  /** All log lines so far. */
  logs(): LogLine[];
  /** Log lines of that event so far. */
  events(name: string): LogLine[];
  /** Waits for a log line of which the test says yes. */
  waitForLog(what: string, test: (line: LogLine) => boolean, deadlineMs?: number): Promise<LogLine>;
  /** Where clients go. */
  target(user: string, identity?: string): SshTarget;
  /** Writes another configuration to its file: it is read at the next reload. */
  rewrite(rules: readonly Pieces[], config?: Pieces): Promise<void>;
  signal(signal: NodeJS.Signals): void;
  /** Asks it to end and waits for that. */
  stop(): Promise<Outcome>;
  /** Resident memory of all its processes. */
  rssBytes(): Promise<number>;
  /** CPU time of all its processes. */
  cpuSeconds(): Promise<number>;
}

export const repository: string = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");
export const program: string = `${repository}/bin/postern.js`;

/** Runs another command of the program: check, explain, key, … */
export async function postern(
  args: readonly string[],
  options: ChildOptions & { readonly deadlineMs?: number } = {},
): Promise<Outcome> {
  return await run(process.execPath, [program, ...args], options);
}

/** The event name of a log line. */
export function eventOf(line: LogLine): string {
  const { event } = line;
  return typeof event === "string" ? event : "";
}

/** The configuration file's text; JSON is YAML. */
export function configText(config: Pieces): string {
  return `${JSON.stringify(config, undefined, 2)}\n`;
}

export async function startGateway(options: GatewayOptions = {}): Promise<Gateway> {
  const folder = await tempDir();
  const kinds = options.hostKeys ?? ["ed25519"];
  const hostKeys = kinds.map((kind) => makeKey(folder.at(`host_${kind}`), kind));
  const chosen = options.knownPort === true ? await freePort() : 0;
  const file = options.logFile === undefined ? {} : { file: folder.at(options.logFile) };
  const base: Pieces = {
    listen: [`127.0.0.1:${chosen}`],
    hostKeys: hostKeys.map((key) => key.path),
    stateDir: folder.at("state"),
    log: { level: "debug", format: "json", ...file },
    // A test's clients all come from one address, many at a time.
    limits: { startups: { start: 1000, full: 1000 }, maxStartupsPerSource: 1000 },
  };
  const configFile = folder.at("postern.yaml");
  const give = async (...paths: readonly string[]): Promise<void> => {
    const { giveTo } = options;
    if (giveTo !== undefined) for (const path of paths) await chown(path, giveTo.uid, giveTo.gid);
  };
  await give(folder.path, ...hostKeys.map((key) => key.path));
  const write = async (rules: readonly Pieces[], config: Pieces = {}): Promise<void> => {
    await writeFile(configFile, configText({ ...base, ...options.config, ...config, rules }));
    await chmod(configFile, 0o600);
    await give(configFile);
  };
  await write(options.rules ?? []);
  if (options.yaml !== undefined) await writeFile(configFile, options.yaml);
  const command = [
    ...(options.launcher ?? []),
    process.execPath,
    ...(options.nodeFlags ?? []),
    program,
    "serve",
    "-c",
    configFile,
    ...(options.flags ?? []),
  ];
  const [first = "", ...rest] = command;
  const child = new Child(first, rest, {
    ...(options.env === undefined ? {} : { env: options.env }),
    ...(options.descriptors === undefined ? {} : { descriptors: options.descriptors }),
  });
  const logs = logReader(child);
  let port = 0;
  const knownHosts = folder.at("known_hosts");
  const whole = async (): Promise<number[]> => [child.pid, ...(await descendants(child.pid))];
  const total = async (measure: (pid: number) => Promise<number>): Promise<number> => {
    let sum = 0;
    for (const pid of await whole()) sum += await measure(pid);
    return sum;
  };
  const gateway: Gateway = {
    child,
    folder,
    configFile,
    hostKeys,
    host: "127.0.0.1",
    get port() {
      return port;
    },
    knownHosts,
    logs,
    events: (name) => logs().filter((line) => eventOf(line) === name),
    waitForLog: (what, test, deadlineMs) => child.waitFor(what, () => logs().find(test), deadlineMs),
    target: (user, identity) => ({
      host: "127.0.0.1",
      port,
      user,
      knownHosts,
      ...(identity === undefined ? {} : { identity }),
    }),
    rewrite: write,
    signal: (signal) => {
      child.kill(signal);
    },
    stop: async () => {
      child.kill("SIGTERM");
      return await child.outcome();
    },
    rssBytes: () => total(residentBytes),
    cpuSeconds: () => total(cpuSeconds),
    [Symbol.asyncDispose]: async () => {
      await child[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
  if (options.unready === true) return gateway;
  try {
    port = chosen;
    if (chosen === 0)
      port = portOf(await gateway.waitForLog("listener", ({ event }) => event === "listening"));
    else await until("a listener", () => child.running && accepts(chosen));
    const lines = hostKeys.map((key) => knownHostsLine("127.0.0.1", port, key.publicLine));
    await writeFile(knownHosts, `${lines.join("\n")}\n`);
    return gateway;
  } catch (error) {
    await gateway[Symbol.asyncDispose]();
    throw error;
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port }, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** Port in a line that tells of a listener: its own field, or the end of its address. */
export function portOf(line: LogLine): number {
  const { port, address } = line;
  if (typeof port === "number") return port;
  return typeof address === "string" ? Number(/(\d+)$/.exec(address)?.[1] ?? 0) : 0;
}

/** Parses what came since the last call; the log may be on either output. */
function logReader(child: Child): () => LogLine[] {
  const parsed: LogLine[] = [];
  const seen = { stdout: 0, stderr: 0 };
  return () => {
    for (const output of ["stdout", "stderr"] as const) {
      const text = child[output].toString().slice(seen[output]);
      const whole = text.slice(0, text.lastIndexOf("\n") + 1);
      seen[output] += whole.length;
      for (const line of whole.split("\n")) {
        if (!line.startsWith("{")) continue;
        try {
          parsed.push(JSON.parse(line) as LogLine);
        } catch {
          // Not a log line: a test of the log's form looks at the text itself.
        }
      }
    }
    return parsed;
  };
}

/** Waits until the gateway's memory is below a bound, as garbage is collected when it pleases. */
export async function memoryBelow(gateway: Gateway, maxBytes: number, deadlineMs?: number): Promise<void> {
  await until(
    `memory below ${maxBytes} bytes`,
    async () => (await gateway.rssBytes()) < maxBytes,
    deadlineMs,
  );
}
