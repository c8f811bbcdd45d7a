import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { EntryName, ListenPlan, Received, ReceptionDesk } from "#contract";
import { type WebSocket, WebSocketServer } from "ws";
import { entryErrors } from "../errors.ts";
import { basicLogin } from "./basic.ts";
import { answer, refused } from "./http-answer.ts";
import { HttpHosts, refuse } from "./http-host.ts";
import { maxWebSocketMessageBytes, type WebSocketOptions, WebSocketStream } from "./websocket.ts";

/** Bytes of request line and headers together; Node's own default. More is answered with 431. */
export const maxHttpHeadBytes: number = 16 * 1024;

/** Subprotocols that clients may offer, all with the same bytes inside. */
const subprotocols = ["ssh", "binary"];

/** Where a request is answered: what the listener takes, and who asks. */
export interface HttpDesk {
  readonly plan: ListenPlan;
  readonly entries: readonly EntryName[];
  readonly desk: ReceptionDesk;
  /** Names in the client's certificate, if the request came inside TLS of ours. */
  readonly certificate?: readonly string[];
  /** It came inside TLS of ours. */
  readonly secure: boolean;
}

/** Who waits for the head of a request. */
interface Waiting extends HttpDesk {
  readonly resolve: (received: Received | Promise<Received>) => void;
  readonly reject: (error: Error) => void;
}

/**
 * HTTP CONNECT (RFC 9110, section 9.3.6) and WebSockets (RFC 6455), read by Node's own strict parser: a server that listens nowhere
 * is handed the streams. One request for each connection, but for those that are for a target by their `Host`.
 */
export class HttpFront {
  readonly #server: Server;
  readonly #sockets: WebSocketServer;
  readonly #options: WebSocketOptions;
  readonly #waiting = new WeakMap<object, Waiting>();
  /** Connections whose first request was for a host, and all that follow. */
  readonly #hosts = new WeakMap<object, HttpHosts>();

  constructor(options: WebSocketOptions) {
    this.#options = options;
    this.#sockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: maxWebSocketMessageBytes,
      handleProtocols: (offered) => subprotocols.find((name) => offered.has(name)) ?? false,
    });
    this.#server = createServer({
      maxHeaderSize: maxHttpHeadBytes,
      keepAlive: false,
      // Any other protocol is not changed to: the request is answered as one of HTTP (RFC 9110, section 7.8).
      shouldUpgradeCallback: (request) => isWebSocket(request.headers.upgrade),
    });
    // The bytes are bounded. What is beyond a number of headers would be left out without a word, and be it the length of the body.
    this.#server.maxHeadersCount = 0;
    // Time is the reception's own to bound.
    this.#server.headersTimeout = 0;
    this.#server.requestTimeout = 0;
    this.#server.timeout = 0;
    this.#server.on("connect", (request, socket, head) =>
      this.#settle(socket, (waiting) => connect(request, socket, head, waiting)),
    );
    this.#server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) =>
      this.#settle(socket, (waiting) => this.#upgrade(request, socket, head, waiting)),
    );
    this.#server.on("request", (request, response) => void this.#request(request, response));
    this.#server.on("clientError", (error, socket) => {
      const { code } = error as NodeJS.ErrnoException;
      const status = code === "HPE_HEADER_OVERFLOW" ? 431 : 400;
      this.#settle(socket, () =>
        refused(socket, status, `HTTP that cannot be read: ${code ?? error.message}`),
      );
    });
  }

  async receive(stream: Duplex, asked: HttpDesk): Promise<Received> {
    const received = Promise.withResolvers<Received>();
    this.#waiting.set(stream, { ...asked, resolve: received.resolve, reject: received.reject });
    const left = (): void => received.reject(new entryErrors.PEER_LEFT_EARLY());
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
  #settle(socket: Duplex, judge: (waiting: Waiting) => Received | Promise<Received>): void {
    const waiting = this.#waiting.get(socket);
    this.#waiting.delete(socket);
    if (waiting !== undefined) waiting.resolve(judge(waiting));
    // Between two requests for hosts there is nothing else.
    else if (this.#hosts.has(socket)) socket.destroy();
  }

  async #request(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { socket } = request;
    const waiting = this.#waiting.get(socket);
    this.#waiting.delete(socket);
    if (waiting?.entries.includes("host") === true) this.#hosts.set(socket, this.#hostsFor(waiting));
    const hosts = this.#hosts.get(socket);
    if (hosts === undefined) {
      waiting?.resolve(refused(socket, 404, asked(request)));
      return;
    }
    try {
      await hosts.inTurn(socket, async () => {
        const route = await hosts.find(request);
        if (route !== undefined) {
          waiting?.resolve(served(socket));
          await hosts.serve(request, response, route);
        } else if (waiting === undefined) refuse(socket, response, 404);
        else waiting.resolve(refused(socket, 404, asked(request)));
      });
    } catch (error) {
      waiting?.reject(error as Error);
      socket.destroy();
    }
  }

  #hostsFor({ desk, certificate, secure }: HttpDesk): HttpHosts {
    const shown = certificate === undefined ? {} : { certificate };
    return new HttpHosts(desk, { clock: this.#options.clock, secure, ...shown });
  }

  async #upgrade(
    request: IncomingMessage,
    stream: Duplex,
    head: Buffer,
    waiting: HttpDesk,
  ): Promise<Received> {
    stream.pause();
    const { desk, entries, plan, certificate } = waiting;
    if (!isWebSocket(request.headers.upgrade)) return refused(stream, 404, "an upgrade to another protocol");
    if (entries.includes("host")) {
      const hosts = this.#hostsFor(waiting);
      const found = await hosts.find(request);
      if (found !== undefined) {
        await hosts.upgrade(request, stream, head, found);
        return served(stream);
      }
    }
    const { headers, url = "", method } = request;
    const name = targetInPath(url);
    if (!entries.includes("websocket") || method !== "GET" || name === undefined)
      return refused(stream, 404, `an upgrade of ${url}`);
    const { origin } = headers;
    // A page of anybody's could else use whatever its visitor's address or certificate opens here.
    if (origin !== undefined && !plan.origins.includes(origin.toLowerCase()))
      return refused(stream, 403, `a page of ${origin}`);
    if (headers["sec-websocket-version"] !== "13")
      return refused(stream, 426, "another version of WebSocket");
    if (!/^[A-Za-z0-9+/]{22}==$/.test(headers["sec-websocket-key"] ?? ""))
      return refused(stream, 400, "a WebSocket without a key");
    const login = basicLogin(headers.authorization);
    const route = await desk.ask({
      entry: "websocket",
      name,
      ...(login === undefined ? {} : { login }),
      ...(certificate === undefined ? {} : { certificate }),
    });
    if (route.mode === "refused")
      return refused(stream, route.wants.includes("login") ? 401 : 404, `no target ${name}`);
    return {
      kind: "splice",
      stream,
      route,
      entry: "websocket",
      connected: () => {
        let joined: WebSocket | undefined;
        this.#sockets.handleUpgrade(request, stream, head, (socket) => (joined = socket));
        if (joined === undefined) throw new entryErrors.PEER_WEBSOCKET("its request cannot be answered");
        const joint = new WebSocketStream(joined, this.#options);
        stream.resume();
        return joint;
      },
      failed: (text) => answer(stream, 502, text),
    };
  }
}

async function connect(
  request: IncomingMessage,
  stream: Duplex,
  head: Buffer,
  { desk, entries, certificate }: HttpDesk,
): Promise<Received> {
  stream.pause();
  if (!entries.includes("http")) return refused(stream, 404, `CONNECT ${request.url}`);
  if (head.length > 0) stream.unshift(head);
  const named = authority(request.url ?? "");
  const login = basicLogin(request.headers["proxy-authorization"]);
  const route = await desk.ask({
    entry: "http",
    // What is no name is asked about all the same: it must not be told apart.
    ...(named ?? { name: "" }),
    ...(login === undefined ? {} : { login }),
    ...(certificate === undefined ? {} : { certificate }),
  });
  if (route.mode === "refused")
    return refused(stream, route.wants.includes("login") ? 407 : 403, `no target ${request.url}`);
  return {
    kind: "splice",
    stream,
    route,
    entry: "http",
    connected: () => {
      stream.write("HTTP/1.1 200 Connection established\r\n\r\n");
      return stream;
    },
    failed: (text) => answer(stream, 502, text),
  };
}

function isWebSocket(upgrade: string | undefined): boolean {
  return upgrade?.toLowerCase() === "websocket";
}

function asked({ method, url }: IncomingMessage): string {
  return `${method} ${url}`;
}

function served(stream: Duplex): Received {
  const ended = new Promise<void>((resolve) => {
    if (stream.closed) resolve();
    else stream.once("close", resolve);
  });
  return { kind: "served", stream, entry: "host", ended };
}

/** `host:port` or `[v6]:port`. */
function authority(url: string): { name: string; port: number } | undefined {
  const [, v6, host, port] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]/@\s]+)):(\d{1,5})$/.exec(url) ?? [];
  const name = v6 ?? host;
  return name === undefined ? undefined : { name, port: Number(port) };
}

/** `/ssh/NAME`, whatever query follows. */
function targetInPath(url: string): string | undefined {
  const name = /^\/ssh\/([^/?#]+)(?:\?[^#]*)?$/.exec(url)?.[1];
  try {
    return name === undefined ? undefined : decodeURIComponent(name);
  } catch {
    return undefined;
  }
}
