import { createServer, type IncomingMessage, type Server, ServerResponse } from "node:http";
import {
  createServer as createHttp2Server,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from "node:http2";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type Clock, type Log, PosternError } from "#base";
import type { WebClient, WebFront } from "#contract";
import { type Asked, askedOf, isWebSocket, type Reply, replyOf } from "./asked.ts";
import { plainHost } from "./host.ts";
import { plainPage, say } from "./pages.ts";
import type { Site } from "./site.ts";
import { Visitor } from "./visitor.ts";

/** Request line and fields together; more is answered with 431. */
export const maxRequestHeadBytes: number = 32 * 1024;

/** Requests of one connection of HTTP/2 at once. */
export const maxStreams: number = 100;

/** What HTTP/2 may have under way towards us, of one request and of one connection: more would only wait for the device. */
const streamWindowBytes = 256 * 1024;
const connectionWindowBytes = 1024 * 1024;

export interface FrontPorts {
  readonly clock: Clock;
  readonly log: Log;
}

/** A request, and who answers it. */
interface Placed {
  readonly asked: Asked;
  readonly site: Site;
}

/** HTTP for sites, each at its own hosts: requests are read whole, and handed to the site that they name. */
export class SiteFront implements WebFront {
  readonly #sites: readonly Site[];
  readonly #ports: FrontPorts;
  readonly #http1: Server;
  readonly #http2: Http2Server;
  readonly #visitors = new WeakMap<object, Visitor>();
  /** Who is being handed to a server this moment. */
  #arriving: Visitor | undefined;

  constructor(sites: readonly Site[], ports: FrontPorts) {
    this.#sites = sites;
    this.#ports = ports;
    // A request without Host is refused here, in its turn: Node would go on with what stands behind it.
    this.#http1 = createServer({
      maxHeaderSize: maxRequestHeadBytes,
      keepAlive: false,
      requireHostHeader: false,
    });
    this.#http1.on("checkExpectation", (request: IncomingMessage) => void request.socket.destroy());
    // Time is bounded here, by the clock that was handed in.
    this.#http1.headersTimeout = 0;
    this.#http1.requestTimeout = 0;
    this.#http1.keepAliveTimeout = 0;
    this.#http1.timeout = 0;
    this.#http1.on("request", (request, response) => {
      const visitor = this.#visitors.get(request.socket);
      if (visitor === undefined) request.socket.destroy();
      else void visitor.inTurn(() => this.#answer(request, response, visitor));
    });
    this.#http1.on("upgrade", (request: IncomingMessage, stream: Duplex, head: Buffer) => {
      const visitor = this.#visitors.get(stream);
      if (visitor === undefined) stream.destroy();
      else void visitor.inTurn(() => this.#upgrade(request, stream, head, visitor));
    });
    this.#http2 = createHttp2Server({
      settings: { maxConcurrentStreams: maxStreams, initialWindowSize: streamWindowBytes, enablePush: false },
      maxSendHeaderBlockLength: 128 * 1024,
    });
    this.#http2.on("session", (session: ServerHttp2Session) => {
      const visitor = this.#arriving;
      if (visitor === undefined) {
        session.destroy();
        return;
      }
      this.#visitors.set(session, visitor);
      session.setLocalWindowSize(connectionWindowBytes);
      session.on("error", () => {});
    });
    this.#http2.on("request", (request: Http2ServerRequest, response: Http2ServerResponse) => {
      const { session } = request.stream;
      const visitor = session === undefined ? undefined : this.#visitors.get(session);
      if (visitor === undefined) request.stream.close();
      else void visitor.beside(() => this.#answer(request, response, visitor));
    });
  }

  takes(host: string): boolean {
    return this.#siteOf(host) !== undefined;
  }

  protocols(host: string): readonly WebClient["protocol"][] {
    return this.#siteOf(host)?.protocols ?? ["h2", "http/1.1"];
  }

  async serve(stream: Duplex, client: WebClient): Promise<void> {
    const visitor = new Visitor(stream, client, this.#ports.clock);
    this.#visitors.set(stream, visitor);
    this.#arriving = visitor;
    try {
      if (client.protocol === "h2") {
        // There is no half-close in HTTP/2: who ends its side is gone.
        stream.once("end", () => void stream.destroy());
        this.#http2.emit("connection", stream as Socket);
      } else this.#http1.emit("connection", stream as Socket);
    } finally {
      this.#arriving = undefined;
    }
    await visitor.gone;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#http1.close(() => {});
    this.#http2.close(() => {});
  }

  #siteOf(host: string): Site | undefined {
    return this.#sites.find((site) => site.takes(host.toLowerCase()));
  }

  async #answer(
    request: IncomingMessage | Http2ServerRequest,
    response: ServerResponse | Http2ServerResponse,
    visitor: Visitor,
  ): Promise<void> {
    const reply = replyOf(response);
    reply.sink.on("error", () => {});
    request.on("error", () => {});
    const placed = await this.#placed(request, reply, visitor);
    if (placed === undefined) return;
    await this.#guarded(placed, reply, visitor, ({ asked, site }) => site.answer(asked, reply, visitor));
  }

  async #upgrade(request: IncomingMessage, stream: Duplex, head: Buffer, visitor: Visitor): Promise<void> {
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(stream as Socket);
    response.once("finish", () => void stream.end(() => void stream.destroy()));
    stream.on("error", () => {});
    const reply = replyOf(response);
    const placed = await this.#placed(request, reply, visitor);
    if (placed === undefined) return;
    await this.#guarded(placed, reply, visitor, async ({ asked, site }) => {
      if (isWebSocket(asked) && site.upgrade !== undefined)
        await site.upgrade(asked, reply, visitor, stream, head);
      else await say(reply, plainPage(400, "Refused", "Only WebSockets are known here."), true);
    });
  }

  /** What is asked, if it is asked of whom it was sent to. Undefined: it has been refused. */
  async #placed(
    request: IncomingMessage | Http2ServerRequest,
    reply: Reply,
    { client }: Visitor,
  ): Promise<Placed | undefined> {
    const asked = askedOf(request);
    if (typeof asked === "number") {
      await say(reply, plainPage(asked, "Refused", "That request is not plain."), true);
      return undefined;
    }
    const { serverName } = client;
    // A browser may use one connection for all names of a certificate: this tells it not to (RFC 9110, section 15.5.20).
    if (serverName !== undefined && plainHost(serverName) !== asked.host) {
      await say(reply, plainPage(421, "Another host", "This connection was opened for another host."));
      return undefined;
    }
    const site = this.#siteOf(asked.host);
    if (site === undefined) {
      await say(reply, plainPage(404, "Nothing here", "There is no such device, or it is not for you."));
      return undefined;
    }
    if (serverName === undefined && site.plain === "redirect") {
      // One port takes both, so that https is where it was asked; but nobody says :80 of such a port.
      const authority = site.authority ?? asked.authority.replace(/:(?:80)?$/, "");
      const fields = [["Location", `https://${authority}${asked.path}`]] as const;
      await say(reply, { ...plainPage(308, "Elsewhere", "This page is at https."), fields }, true);
      return undefined;
    }
    return { asked, site };
  }

  /** Whatever goes wrong is told to this client, and to no other. */
  async #guarded(
    placed: Placed,
    reply: Reply,
    visitor: Visitor,
    deal: (placed: Placed) => Promise<void>,
  ): Promise<void> {
    const { asked, site } = placed;
    try {
      await deal(placed);
    } catch (error) {
      const known = error instanceof PosternError ? error : undefined;
      if (known?.blame === "UPSTREAM") {
        this.#ports.log.info("web-failed", { host: asked.host, code: known.code, reason: known.message });
        await say(reply, await site.failure(asked, known));
      } else {
        this.#ports.log.error("web-failed", { host: asked.host, error });
        await say(reply, plainPage(400, "Refused", "That request cannot be passed on."), true);
      }
      visitor.tellFailed(known?.code ?? "BUG");
    }
  }
}
