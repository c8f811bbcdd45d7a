import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { type Log, PosternError } from "#base";
import type { TunnelOrigin } from "#contract";
import { Splice } from "#splice";
import { appErrors } from "./errors.ts";
import { Connections, listenPrivately } from "./private-socket.ts";

/** The first line, each way. */
const maxLineBytes = 8 * 1024;
/** A worker asks for what it wants at once. */
const askMs = 10_000;

interface Question {
  readonly key: string;
  readonly origin: TunnelOrigin;
}

type Reply = { readonly ok: true } | { readonly ok: false; readonly user: string; readonly detail: string };

/** Where a worker's tunnels are opened by the others: for the gateway's own account alone (mode 0600, in stateDir). */
export function tunnelSocketPath(stateDir: string, worker: number): string {
  return join(stateDir, `tunnels-${worker}.sock`);
}

/** Opens the tunnels of this process for the other workers. */
export class TunnelSocket implements AsyncDisposable {
  readonly #connections: Connections;

  private constructor(connections: Connections) {
    this.#connections = connections;
  }

  /** Throws OPERATOR_FILE_UNWRITABLE. */
  static async listen(
    path: string,
    open: (key: string, origin: TunnelOrigin, signal: AbortSignal) => Promise<Duplex>,
    log: Log,
  ): Promise<TunnelSocket> {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
    const made = new TunnelSocket(new Connections(server));
    server.on("connection", (socket) => void serve(socket, open, log));
    try {
      await listenPrivately(server, path);
    } catch (cause) {
      throw new appErrors.OPERATOR_FILE_UNWRITABLE(`${path}: ${(cause as Error).message}`, { cause });
    }
    server.on("error", (error) => log.error("tunnel-socket-failed", { error }));
    return made;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connections[Symbol.dispose]();
  }
}

async function serve(
  socket: Socket,
  open: (key: string, origin: TunnelOrigin, signal: AbortSignal) => Promise<Duplex>,
  log: Log,
): Promise<void> {
  const left = new AbortController();
  socket.once("close", () => left.abort());
  try {
    const late = setTimeout(() => socket.destroy(), askMs);
    const { key, origin } = JSON.parse(await lineOf(socket).finally(() => clearTimeout(late))) as Question;
    const stream = await open(key, origin, left.signal).finally(leaving(socket));
    stream.on("error", () => {});
    if (socket.destroyed) {
      stream.destroy();
      return;
    }
    socket.write(lineFor({ ok: true }));
    await new Splice(socket, stream).ended;
  } catch (error) {
    const known = error instanceof PosternError ? error : undefined;
    if (known === undefined && !socket.destroyed) log.error("tunnel-socket-failed", { error });
    if (socket.destroyed) return;
    const user = known?.user ?? "The gateway made an error; its log says more.";
    socket.end(lineFor({ ok: false, user, detail: known?.message ?? "an error" }));
    socket.once("finish", () => socket.destroy());
  }
}

/** A worker that gives up ends its side, which is seen only by reading; nothing else comes before our reply. Gives what ends it. */
function leaving(socket: Socket): () => void {
  const read = (): void => {
    if (socket.readableLength === 0) socket.read();
  };
  const leave = (): void => void socket.destroy();
  socket.on("readable", read);
  socket.once("end", leave);
  return () => {
    socket.off("readable", read);
    socket.off("end", leave);
  };
}

/** Opens a tunnel that another worker holds. Throws UPSTREAM_TUNNEL_ELSEWHERE. */
export async function openAtWorker(path: string, question: Question, signal: AbortSignal): Promise<Duplex> {
  const socket = connect({ path, allowHalfOpen: true });
  socket.on("error", () => {});
  const give = (): void => void socket.destroy();
  signal.addEventListener("abort", give, { once: true });
  if (signal.aborted) give();
  try {
    socket.write(lineFor(question));
    const reply = JSON.parse(await lineOf(socket)) as Reply;
    if (reply.ok) return socket;
    throw new appErrors.UPSTREAM_TUNNEL_ELSEWHERE(reply.detail, { user: reply.user });
  } catch (cause) {
    socket.destroy();
    if (cause instanceof PosternError) throw cause;
    throw new appErrors.UPSTREAM_TUNNEL_ELSEWHERE((cause as Error).message, { cause });
  } finally {
    signal.removeEventListener("abort", give);
  }
}

function lineFor(value: Question | Reply): string {
  return `${JSON.stringify(value)}\n`;
}

/** The first line; what came behind it is there to be read. Throws when it ends before, or is too long. */
async function lineOf(socket: Socket): Promise<string> {
  const found = Promise.withResolvers<string>();
  let bytes = Buffer.alloc(0);
  const read = (): void => {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) return;
    bytes = Buffer.concat([bytes, chunk]);
    const end = bytes.indexOf(0x0a);
    if (end < 0 && bytes.length < maxLineBytes) return;
    socket.off("readable", read);
    if (end < 0) {
      found.reject(new Error("a worker said no line"));
      return;
    }
    const rest = bytes.subarray(end + 1);
    if (rest.length > 0) socket.unshift(rest);
    found.resolve(bytes.subarray(0, end).toString("utf8"));
  };
  const over = (): void => found.reject(new Error("the other worker has closed the connection"));
  socket.on("readable", read);
  socket.once("close", over);
  socket.once("end", over);
  try {
    return await found.promise;
  } finally {
    socket.off("readable", read);
    socket.off("close", over);
    socket.off("end", over);
  }
}
