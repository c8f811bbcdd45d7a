import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { Received, ReceptionDesk } from "#contract";
import { entryErrors } from "../errors.ts";

/** Bytes of request line and headers together; Node's own default. More is answered with 431. */
export const maxHttpHeadBytes: number = 16 * 1024;

/** The same for every name that leads nowhere, whether it exists or not. */
const refusal = "There is no such target here, or it is not for you.";

/** Who waits for the head of a request. */
interface Waiting {
  readonly desk: ReceptionDesk;
  readonly resolve: (received: Received) => void;
  readonly reject: (error: Error) => void;
}

/**
 * HTTP CONNECT (RFC 9110, section 9.3.6), read by Node's own strict parser: a server that listens nowhere is handed the streams.
 * One request for each connection, and nothing but CONNECT.
 */
export class HttpFront {
  readonly #server: Server;
  readonly #waiting = new WeakMap<object, Waiting>();

  constructor() {
    this.#server = createServer({ maxHeaderSize: maxHttpHeadBytes, keepAlive: false });
    // Time is the reception's own to bound.
    this.#server.headersTimeout = 0;
    this.#server.requestTimeout = 0;
    this.#server.timeout = 0;
    this.#server.on("connect", (request, socket, head) => this.#connect(request, socket, head));
    this.#server.on("request", (request, response) => this.#request(request, response));
    this.#server.on("upgrade", (_request: IncomingMessage, socket: Duplex) => {
      this.#settle(socket)?.resolve(refused(socket, 404, "an upgrade"));
    });
    this.#server.on("clientError", (error, socket) => {
      const waiting = this.#settle(socket);
      if (waiting === undefined) return;
      const { code } = error as NodeJS.ErrnoException;
      const status = code === "HPE_HEADER_OVERFLOW" ? 431 : 400;
      waiting.resolve(refused(socket, status, `HTTP that cannot be read: ${code ?? error.message}`));
    });
  }

  async receive(stream: Duplex, desk: ReceptionDesk): Promise<Received> {
    const received = Promise.withResolvers<Received>();
    this.#waiting.set(stream, { desk, resolve: received.resolve, reject: received.reject });
    const left = (): void => this.#settle(stream)?.reject(new entryErrors.PEER_LEFT_EARLY());
    stream.once("close", left);
    this.#server.emit("connection", stream);
    try {
      return await received.promise;
    } finally {
      stream.off("close", left);
    }
  }

  close(): void {
    this.#server.close(() => {});
  }

  /** Only the first word of each stream counts. */
  #settle(socket: Duplex): Waiting | undefined {
    const waiting = this.#waiting.get(socket);
    this.#waiting.delete(socket);
    return waiting;
  }

  #connect(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const waiting = this.#settle(socket);
    if (waiting === undefined) return;
    socket.pause();
    if (head.length > 0) socket.unshift(head);
    const asked = authority(request.url ?? "");
    const route = asked === undefined ? undefined : waiting.desk.ask({ entry: "http", ...asked });
    if (route === undefined) {
      waiting.resolve(refused(socket, 403, `no target ${request.url}`));
      return;
    }
    waiting.resolve({
      kind: "splice",
      stream: socket,
      route,
      entry: "http",
      connected: () => void socket.write("HTTP/1.1 200 Connection established\r\n\r\n"),
      failed: (text) => answer(socket, 502, text),
    });
  }

  #request({ method, url, socket }: IncomingMessage, response: ServerResponse): void {
    void response;
    this.#settle(socket)?.resolve(refused(socket, 404, `${method} ${url}`));
  }
}

/** `host:port` or `[v6]:port`. */
function authority(url: string): { name: string; port: number } | undefined {
  const [, v6, host, port] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]/@\s]+)):(\d{1,5})$/.exec(url) ?? [];
  const name = v6 ?? host;
  return name === undefined ? undefined : { name, port: Number(port) };
}

function refused(stream: Duplex, status: 400 | 403 | 404 | 431, reason: string): Received {
  answer(stream, status, refusal);
  return { kind: "refused", stream, tell: false, reason };
}

const statusTexts: Readonly<Record<number, string>> = {
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  431: "Request Header Fields Too Large",
  502: "Bad Gateway",
};

function answer(stream: Duplex, status: number, text: string): void {
  const body = `${text}\n`;
  stream.end(
    [
      `HTTP/1.1 ${status} ${statusTexts[status]}`,
      "Content-Type: text/plain; charset=utf-8",
      `Content-Length: ${Buffer.byteLength(body)}`,
      "Connection: close",
      "",
      body,
    ].join("\r\n"),
  );
}
