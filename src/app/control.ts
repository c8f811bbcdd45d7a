import { once } from "node:events";
import { lchownSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { type Log, PosternError } from "#base";
import { appErrors } from "./errors.ts";
import { Connections, listenPrivately } from "./private-socket.ts";

/** One line of JSON in, one line of JSON out; a connection may ask several times, one after the other. */
export interface ControlRequest {
  readonly command: string;
  readonly [argument: string]: unknown;
}

/** `text` is for people; the rest for programs. */
export interface ControlReply {
  readonly ok: boolean;
  readonly text: string;
  readonly [fact: string]: unknown;
}

/** Answers one request; throws PosternError for what it cannot do. */
export type ControlHandler = (request: ControlRequest) => Promise<Readonly<Record<string, unknown>>>;

const maxLineBytes = 64 * 1024;
const maxConnections = 32;
/** A connection that asks nothing for so long is closed. */
const idleMs = 60_000;

/** The socket by which `postern reload` and its like speak with a running gateway: only its owner can reach it (mode 0600). */
export class ControlServer implements AsyncDisposable {
  readonly #connections: Connections;

  private constructor(connections: Connections) {
    this.#connections = connections;
  }

  /** Throws OPERATOR_CONTROL_TAKEN. */
  static async listen(
    path: string,
    owner: { readonly uid: number; readonly gid: number } | undefined,
    handler: ControlHandler,
    log: Log,
  ): Promise<ControlServer> {
    if (await answers(path)) throw new appErrors.OPERATOR_CONTROL_TAKEN(path);
    const server = createServer();
    server.maxConnections = maxConnections;
    const control = new ControlServer(new Connections(server));
    server.on("connection", (socket) => serve(socket, handler, log));
    try {
      await listenPrivately(server, path);
      // The folder is the owner's: a link put in the socket's place must not give another file away.
      if (owner !== undefined) lchownSync(path, owner.uid, owner.gid);
    } catch (cause) {
      server.close();
      throw new appErrors.OPERATOR_CONTROL_TAKEN(`${path}: ${(cause as Error).message}`, { cause });
    }
    server.on("error", (error) => log.error("control-failed", { error }));
    return control;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connections[Symbol.dispose]();
  }
}

function serve(socket: Socket, handler: ControlHandler, log: Log): void {
  socket.setTimeout(idleMs, () => socket.destroy());
  let text = "";
  let answering: Promise<void> = Promise.resolve();
  socket.setEncoding("utf8");
  socket.on("data", (chunk: string) => {
    text += chunk;
    const lines = text.split("\n");
    text = lines.pop() ?? "";
    if (text.length > maxLineBytes) socket.destroy();
    for (const line of lines) {
      answering = answering.then(async () => {
        const reply = await answerTo(line, handler, log);
        if (!socket.destroyed) socket.write(`${JSON.stringify(reply)}\n`);
      });
    }
  });
}

async function answerTo(line: string, handler: ControlHandler, log: Log): Promise<ControlReply> {
  try {
    const request = parseRequest(line);
    log.debug("control-asked", { command: request.command });
    return { text: "", ...(await handler(request)), ok: true };
  } catch (error) {
    if (error instanceof PosternError && error.blame === "OPERATOR") {
      return { ok: false, text: error.detail ?? error.message };
    }
    log.error("control-failed", { error });
    return { ok: false, text: "The gateway made an error; its log says more." };
  }
}

function parseRequest(line: string): ControlRequest {
  let request: unknown;
  try {
    request = JSON.parse(line);
  } catch {
    throw new appErrors.OPERATOR_CONTROL_REQUEST("it is no JSON");
  }
  const command =
    typeof request === "object" && request !== null && "command" in request ? request.command : undefined;
  if (typeof command !== "string") throw new appErrors.OPERATOR_CONTROL_REQUEST("it has no command");
  return request as ControlRequest;
}

/** Whether somebody listens there. */
async function answers(path: string): Promise<boolean> {
  const socket = connect({ path });
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
