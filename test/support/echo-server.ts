import { createHash } from "node:crypto";
import { connect, createServer, type Server, type Socket } from "node:net";
import { within } from "./waiting.ts";

/** A TCP or UNIX listener of the test, which goes away with its owner. */
export interface Listener extends AsyncDisposable {
  readonly port: number;
  readonly server: Server;
  /** Connections taken so far. */
  readonly count: number;
}

/** Listens on a TCP port of loopback (any by default) or on a UNIX socket; half-open connections stay open. */
export async function startListener(
  serve: (socket: Socket) => void,
  where: { readonly path: string } | { readonly host?: string; readonly port?: number } = {},
): Promise<Listener> {
  const sockets = new Set<Socket>();
  let count = 0;
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    count += 1;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
    serve(socket);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    if ("path" in where) server.listen(where.path, resolve);
    else server.listen(where.port ?? 0, where.host ?? "127.0.0.1", resolve);
  });
  const address = server.address();
  return {
    port: typeof address === "object" ? (address?.port ?? 0) : 0,
    server,
    get count() {
      return count;
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}

/** Answers what it was sent only after the other side has ended: works only where a half-close crosses. */
export function answerAfterEnd(socket: Socket): void {
  const hash = createHash("sha256");
  let bytes = 0;
  socket.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    hash.update(chunk);
  });
  socket.on("end", () => socket.end(`${bytes} ${hash.digest("hex")}\n`));
}

/** Speaks and ends first, then goes on listening. `heard` tells what came after. */
export function speakThenListen(heard: (text: string) => void): (socket: Socket) => void {
  return (socket) => {
    let text = "";
    socket.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    socket.on("end", () => heard(text));
    socket.end("server speaks first");
  };
}

/** Connects, sends, ends, and gives all that came back. */
export async function askAndEnd(
  where: { readonly path: string } | { readonly host?: string; readonly port: number },
  data: string | Uint8Array,
): Promise<string> {
  const socket = connect({ host: "127.0.0.1", ...where, allowHalfOpen: true });
  socket.end(data);
  return await readAll(socket);
}

/** Connects, waits for the other side's end, then sends and ends; gives what came. */
export async function hearThenSpeak(
  where: { readonly path: string } | { readonly host?: string; readonly port: number },
  words: string,
): Promise<string> {
  const socket = connect({ host: "127.0.0.1", ...where, allowHalfOpen: true });
  const heard = await readAll(socket);
  await new Promise<void>((resolve) => {
    socket.end(words, resolve);
  });
  return heard;
}

/** All bytes until the end, as text. */
export async function readAll(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  const whole = new Promise<string>((resolve, reject) => {
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.once("end", () => resolve(Buffer.concat(chunks).toString("utf8")));
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("the connection closed without an end")));
  });
  return await within("the end of a connection", whole);
}
