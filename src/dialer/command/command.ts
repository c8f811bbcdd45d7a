import { type ChildProcessByStdio, spawn } from "node:child_process";
import { formatHostPort, type HostPort, isHost, type Log, type Template, template } from "#base";
import type { DialOptions, HopKind, HopPorts } from "#contract";
import { Duplex, type Readable, type Writable } from "node:stream";
import * as z from "zod";
import { dialerErrors } from "../errors.ts";

export interface CommandConfig {
  readonly kind: "command";
  readonly command: readonly Template[];
}

/** What of a command's stderr is kept for the log. */
const keptErrorChars = 1000;

/** After SIGTERM, before SIGKILL. */
const killMs = 2_000;

const schema: z.ZodType<CommandConfig> = z.strictObject({
  kind: z.literal("command"),
  command: z
    .array(template)
    .min(1)
    .superRefine((words, ctx) => {
      for (const [at, { names, text }] of words.entries()) {
        const unknown = names.find((name) => name !== "host" && name !== "port");
        if (unknown !== undefined)
          ctx.addIssue({
            code: "custom",
            path: [at],
            message: `"${text}" uses {${unknown}}; there are {host} and {port}`,
          });
      }
      if (words[0] !== undefined && !words[0].text.startsWith("/"))
        ctx.addIssue({ code: "custom", path: [0], message: "must be the whole path of a program" });
      if (words[0] !== undefined && words[0].names.length > 0)
        ctx.addIssue({ code: "custom", path: [0], message: "must be a fixed program" });
    })
    .describe(
      "Program and arguments, run as they are, without a shell; {host} and {port} are those of the target's address. What it reads and writes is the connection. It is the first of a way, and is ended with the session.",
    )
    .meta({ "x-form": "list of templates", examples: [["/usr/bin/nc", "{host}", "{port}"]] }),
});

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

/** What a command of the operator's makes of its stdin and stdout, as ssh_config(5)'s ProxyCommand. */
export const command: HopKind<CommandConfig> = {
  kind: "command",
  summary:
    "A command whose input and output are the connection, as with ssh's ProxyCommand, but without a shell.",
  schema,
  create: async (config, ports) => ({
    kind: "command",
    dial: (address, options) => dial(config, ports, address, options),
    [Symbol.asyncDispose]: async () => {},
  }),
};

async function dial(
  { command: words }: CommandConfig,
  { log }: HopPorts,
  address: HostPort,
  { signal }: DialOptions,
): Promise<Duplex> {
  const [program = "", ...args] = wordsFor(words, address);
  const where = `${program} for ${formatHostPort(address)}`;
  if (signal.aborted) throw new dialerErrors.UPSTREAM_UNREACHABLE(`${where}: given up`);
  const child = spawn(program, args, {
    stdio: ["pipe", "pipe", "pipe"],
    // A group of its own, so that what it starts ends with it, and no signal to ours reaches it.
    detached: true,
    // Nothing of ours: secrets may be in it.
    env: { PATH: "/usr/local/bin:/usr/bin:/bin", LANG: "C.UTF-8" },
    cwd: "/",
  });
  const started = Promise.withResolvers<void>();
  child.once("spawn", started.resolve);
  child.once("error", (cause) =>
    started.reject(new dialerErrors.UPSTREAM_UNREACHABLE(`${where}: ${cause.message}`, { cause })),
  );
  await started.promise;
  return new CommandStream(child, log, where);
}

/** Throws UPSTREAM_UNREACHABLE for a host that could be anything but a host to the command. */
export function wordsFor(words: readonly Template[], { host, port }: HostPort): string[] {
  // An address with a zone, too: a command may take what follows % as its own.
  if (!isHost(host) || host.startsWith("-") || host.includes("%"))
    throw new dialerErrors.UPSTREAM_UNREACHABLE(`${host}: no name that a command may be given`);
  return words.map((word) => word.expand({ host, port: String(port) }) ?? "");
}

class CommandStream extends Duplex {
  readonly #child: Child;

  constructor(child: Child, log: Log, where: string) {
    super({ allowHalfOpen: true });
    this.#child = child;
    let said = "";
    child.stderr.setEncoding("utf8");
    child.stderr.on("data", (text: string) => (said = (said + text).slice(-keptErrorChars)));
    child.on("error", (error) => this.destroy(error));
    child.on("close", (code, killedBy) => {
      if (code !== 0 && !this.destroyed)
        log.warn("command-failed", { command: where, code, signal: killedBy, said });
      // It may have closed its stdout long before; then its end is no end of ours.
      if (!this.readableEnded) this.push(null);
    });
    child.stdout.on("data", (chunk: Buffer) => {
      if (!this.push(chunk)) child.stdout.pause();
    });
    child.stdout.on("end", () => this.push(null));
    child.stdout.on("error", (error) => this.destroy(error));
    // A command that no longer reads is no error until something is written: then the write tells.
    child.stdin.on("error", () => {});
    child.stdout.pause();
  }

  override _read(): void {
    this.#child.stdout.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#child.stdin.write(chunk, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#child.stdin.end(() => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const child = this.#child;
    child.stdin.destroy();
    child.stdout.destroy();
    child.stderr.destroy();
    this.#kill("SIGTERM");
    const timer = setTimeout(() => this.#kill("SIGKILL"), killMs);
    timer.unref();
    child.once("exit", () => clearTimeout(timer));
    done(error);
  }

  #kill(name: NodeJS.Signals): void {
    const { pid, exitCode, signalCode } = this.#child;
    if (pid === undefined || exitCode !== null || signalCode !== null) return;
    try {
      process.kill(-pid, name);
    } catch {
      // It went by itself in this moment.
    }
  }
}
