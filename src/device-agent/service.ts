import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { statfs } from "node:fs/promises";
import type { Log, Secret } from "#base";
import { accessOf } from "./access.ts";
import { type CommandEnd, runCommand } from "./command.ts";
import type { ServiceConfig } from "./schema.ts";

export interface ServiceParts {
  readonly token: Secret;
  readonly log: Log;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly status: () => object;
}

/** Connections at once, and milliseconds that each has: for its request, and for all. */
const maxConnections = 32;
const requestMs = 10_000;
const connectionMs = 180_000;
/** Bytes of a request's fields; a request has no body worth reading. */
const maxHeaderBytes = 8192;
const maxBodyBytes = 4096;
/** Programs for requests at once, the update besides. */
const maxPrograms = 4;
/** Milliseconds: systemd itself gives a unit 90 seconds to start. */
const restartMs = 120_000;
const logsMs = 30_000;
const maxRestartOutputBytes = 16 * 1024;
const maxLogBytes = 1024 * 1024;
const maxUpdateOutputBytes = 64 * 1024;
const maxLines = 1000;
const usualLines = 100;

type UpdateState =
  | { readonly state: "never" }
  | { readonly state: "running"; readonly startedAt: string }
  | ({
      readonly state: "done" | "failed";
      readonly startedAt: string;
      readonly endedAt: string;
    } & CommandEnd);

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

const refusal = (status: number, error: string): Answer => ({ status, body: { error } });

/** HTTP on board, for those who come through a tunnel: it listens nowhere, and is handed its streams. */
export class Service implements AsyncDisposable {
  readonly #config: ServiceConfig;
  readonly #parts: ServiceParts;
  readonly #server: Server;
  /** Each with the time that it has to ask. */
  readonly #streams = new Map<Duplex, NodeJS.Timeout>();
  readonly #stop = new AbortController();
  #programs = 0;
  #update: UpdateState = { state: "never" };

  constructor(config: ServiceConfig, parts: ServiceParts) {
    this.#config = config;
    this.#parts = parts;
    this.#server = createServer(
      { maxHeaderSize: maxHeaderBytes, keepAlive: false },
      (request, response) => void this.#answer(request, response),
    );
    // No WebSocket, no CONNECT: node ends such a connection when nobody listens for it.
    this.#server.on("clientError", (_error, stream) => stream.destroy());
  }

  take(stream: Duplex): void {
    if (this.#streams.size >= maxConnections || this.#stop.signal.aborted) {
      stream.destroy();
      return;
    }
    // The server itself counts time only where it listens.
    const timer = setTimeout(() => stream.destroy(), requestMs);
    const whole = setTimeout(() => stream.destroy(), connectionMs);
    this.#streams.set(stream, timer);
    stream.on("error", () => {
      // Whoever asked has gone.
    });
    stream.once("close", () => {
      clearTimeout(timer);
      clearTimeout(whole);
      this.#streams.delete(stream);
    });
    this.#server.emit("connection", stream);
  }

  /** Ends connections, and programs that run for them. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    for (const stream of this.#streams.keys()) stream.destroy();
    await Promise.resolve();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "", headers, socket } = request;
    clearTimeout(this.#streams.get(socket));
    let bodyBytes = 0;
    request.on("data", (chunk: Buffer) => {
      bodyBytes += chunk.length;
      if (bodyBytes > maxBodyBytes) socket.destroy();
    });
    const url = urlOf(request);
    const { token } = this.#parts;
    const access = accessOf(method, headers, { token, users: this.#config.users });
    const by = access.kind === "allowed" ? access.by : "nobody";
    const answer =
      access.kind === "refused"
        ? refusal(access.status, access.reason)
        : url === undefined
          ? refusal(400, "that is no address")
          : await this.#route(method, url).catch((error: unknown) => {
              this.#parts.log.error("service-failed", { error });
              return refusal(500, "the device made an error; its log says more");
            });
    const level = method === "GET" && answer.status === 200 ? "debug" : "info";
    this.#parts.log[level]("service-request", {
      method,
      path: url?.pathname.slice(0, 100),
      unit: url?.searchParams.get("unit")?.slice(0, 100),
      by,
      status: answer.status,
    });
    send(response, answer);
  }

  async #route(method: string, url: URL): Promise<Answer> {
    const { pathname, searchParams } = url;
    const page = this.#pages[pathname];
    if (page === undefined) return refusal(404, "there is no such page");
    const work = page[method];
    return work === undefined
      ? refusal(405, `this page takes ${Object.keys(page).join(" and ")}`)
      : await work(searchParams);
  }

  readonly #pages: Readonly<
    Partial<Record<string, Readonly<Partial<Record<string, (query: URLSearchParams) => Promise<Answer>>>>>>
  > = Object.assign(Object.create(null) as object, {
    "/status": { GET: () => this.#status() },
    "/restart": { POST: (query: URLSearchParams) => this.#restart(query) },
    "/logs": { GET: (query: URLSearchParams) => this.#logs(query) },
    "/update": {
      GET: () => Promise.resolve({ status: 200, body: this.#update }),
      POST: () => Promise.resolve(this.#startUpdate()),
    },
  });

  async #status(): Promise<Answer> {
    const disks = await Promise.all(this.#config.disks.map(diskOf));
    const { state } = this.#update;
    return { status: 200, body: { ...this.#parts.status(), disks, update: state } };
  }

  async #restart(query: URLSearchParams): Promise<Answer> {
    const unit = only(query, "unit");
    if (unit === undefined || !this.#config.restart.includes(unit))
      return refusal(403, "this unit may not be restarted from here");
    const argv = ["systemctl", "--no-ask-password", "restart", "--", unit] as const;
    const end = await this.#program(argv, restartMs, maxRestartOutputBytes);
    if (end === undefined) return tooMuch;
    const { exitCode, output, timedOut } = end;
    return { status: exitCode === 0 ? 200 : 502, body: { unit, exitCode, timedOut, output } };
  }

  async #logs(query: URLSearchParams): Promise<Answer> {
    const unit = only(query, "unit");
    if (unit === undefined || !this.#config.logs.includes(unit))
      return refusal(403, "the log of this unit may not be read from here");
    const lines = query.has("lines") ? Number(only(query, "lines")) : usualLines;
    if (!Number.isInteger(lines) || lines < 1 || lines > maxLines)
      return refusal(400, `lines is a number from 1 to ${maxLines}`);
    const argv = [
      "journalctl",
      `--unit=${unit}`,
      `--lines=${lines}`,
      "--no-pager",
      "--output=short-iso",
    ] as const;
    const end = await this.#program(argv, logsMs, maxLogBytes);
    if (end === undefined) return tooMuch;
    const { exitCode, output, truncated } = end;
    return exitCode === 0
      ? { status: 200, body: { unit, truncated, lines: output.split("\n").slice(0, -1) } }
      : refusal(502, `journalctl failed: ${output.slice(0, 500)}`);
  }

  #startUpdate(): Answer {
    const { update } = this.#config;
    if (update === undefined) return refusal(404, "this device has no update command");
    if (this.#update.state === "running") return { status: 409, body: this.#update };
    const startedAt = new Date().toISOString();
    const running = { state: "running", startedAt } as const;
    this.#update = running;
    void this.#run(update.command, update.timeoutSeconds * 1000, maxUpdateOutputBytes).then((end) => {
      const state = end.exitCode === 0 ? "done" : "failed";
      this.#update = { state, startedAt, endedAt: new Date().toISOString(), ...end };
      this.#parts.log.info("update-ended", { state, exitCode: end.exitCode, timedOut: end.timedOut });
    });
    return { status: 202, body: running };
  }

  async #program(
    argv: readonly [string, ...string[]],
    timeoutMs: number,
    maxBytes: number,
  ): Promise<CommandEnd | undefined> {
    if (this.#programs >= maxPrograms) return undefined;
    this.#programs += 1;
    try {
      return await this.#run(argv, timeoutMs, maxBytes);
    } finally {
      this.#programs -= 1;
    }
  }

  async #run(argv: readonly [string, ...string[]], timeoutMs: number, maxBytes: number): Promise<CommandEnd> {
    const { environment } = this.#parts;
    return await runCommand(argv, { timeoutMs, maxBytes, environment, signal: this.#stop.signal });
  }
}

const tooMuch = refusal(503, "the device is busy; ask again");

function urlOf({ url = "" }: IncomingMessage): URL | undefined {
  // A whole address would say which host is meant: there is one here.
  return url.startsWith("/") ? (URL.parse(`http://device${url}`) ?? undefined) : undefined;
}

/** The only value of a name: two may be read as one by us and as the other by somebody before us. */
function only(query: URLSearchParams, name: string): string | undefined {
  const [value, ...more] = query.getAll(name);
  return more.length === 0 ? value : undefined;
}

async function diskOf(path: string): Promise<object> {
  try {
    const { blocks, bavail, bsize } = await statfs(path);
    return { path, totalBytes: blocks * bsize, freeBytes: bavail * bsize };
  } catch (error) {
    return { path, error: (error as NodeJS.ErrnoException).code ?? "unknown" };
  }
}

function send(response: ServerResponse, { status, body }: Answer): void {
  const text = `${JSON.stringify(body)}\n`;
  response.writeHead(status, {
    "Content-Type": "application/json; charset=utf-8",
    "Content-Length": Buffer.byteLength(text),
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    Connection: "close",
    ...(status === 401 ? { "WWW-Authenticate": 'Bearer realm="device"' } : {}),
  });
  response.end(text);
}
