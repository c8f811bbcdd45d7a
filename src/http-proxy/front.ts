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
import { type Clock, type Log, PosternError, type Timer } from "#base";
import type { Device, WebClient, WebFront } from "#contract";
import { type Asked, askedOf, isWebSocket, type Reply, replyOf } from "./asked.ts";
import { type ExchangePorts, Exchanges } from "./exchange.ts";
import { Gate, type GatePorts, type Judged, type LetIn } from "./gate.ts";
import { deviceOfHost, plainHost } from "./host.ts";
import { plainPage, say } from "./pages.ts";
import type { WebConfig } from "./schema.ts";

/** Request line and fields together; more is answered with 431. */
export const maxRequestHeadBytes: number = 32 * 1024;

/** Requests of one connection of HTTP/1.1 that came before those ahead of them were answered: browsers send none. */
export const maxPipelined: number = 32;

/** Requests of one connection of HTTP/2 at once. */
export const maxStreams: number = 100;

/** Time between two requests of one connection, to the whole head of what comes next. */
const betweenMs = 60_000;

/** What HTTP/2 may have under way towards us, of one request and of one connection: more would only wait for the device. */
const streamWindowBytes = 256 * 1024;
const connectionWindowBytes = 1024 * 1024;

export interface WebPorts extends GatePorts, ExchangePorts {
  readonly clock: Clock;
  readonly log: Log;
}

/** Web pages of devices, each at its own host. */
export class DeviceWeb implements WebFront {
  readonly #config: WebConfig;
  readonly #ports: WebPorts;
  readonly #gate: Gate;
  readonly #exchanges: Exchanges;
  readonly #http1: Server;
  readonly #http2: Http2Server;
  readonly #visitors = new WeakMap<object, Visitor>();
  /** Who is being handed to a server this moment. */
  #arriving: Visitor | undefined;

  constructor(config: WebConfig, ports: WebPorts) {
    this.#config = config;
    this.#ports = ports;
    this.#gate = new Gate(config, ports);
    this.#exchanges = new Exchanges(config, ports);
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
    return deviceOfHost(host.toLowerCase(), this.#config.domain) !== undefined;
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

  async #answer(
    request: IncomingMessage | Http2ServerRequest,
    response: ServerResponse | Http2ServerResponse,
    visitor: Visitor,
  ): Promise<void> {
    const reply = replyOf(response);
    reply.sink.on("error", () => {});
    request.on("error", () => {});
    const asked = await this.#placed(request, reply, visitor);
    if (asked === undefined) return;
    await this.#guarded(asked, reply, visitor, async () => {
      const judged = await this.#gate.judge(asked, this.#nameOf(asked), visitor.client, false);
      if (judged.kind === "page") await say(reply, judged.page);
      else await this.#exchanges.serve(this.#passed(asked, judged, visitor), reply);
    });
  }

  async #upgrade(request: IncomingMessage, stream: Duplex, head: Buffer, visitor: Visitor): Promise<void> {
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(stream as Socket);
    response.once("finish", () => void stream.end(() => void stream.destroy()));
    stream.on("error", () => {});
    const reply = replyOf(response);
    const asked = await this.#placed(request, reply, visitor);
    if (asked === undefined) return;
    await this.#guarded(asked, reply, visitor, async () => {
      if (!isWebSocket(asked)) {
        await say(reply, plainPage(400, "Refused", "Only WebSockets are known here."), true);
        return;
      }
      const judged = await this.#gate.judge(asked, this.#nameOf(asked), visitor.client, true);
      if (judged.kind === "page") await say(reply, judged.page, true);
      else await this.#exchanges.upgrade(this.#passed(asked, judged, visitor), reply, stream, head);
    });
  }

  /** What is asked, if it is asked of whom it was sent to. Undefined: it has been refused. */
  async #placed(
    request: IncomingMessage | Http2ServerRequest,
    reply: Reply,
    { client }: Visitor,
  ): Promise<Asked | undefined> {
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
    if (deviceOfHost(asked.host, this.#config.domain) === undefined) {
      await say(reply, plainPage(404, "Nothing here", "There is no such device, or it is not for you."));
      return undefined;
    }
    if (serverName === undefined && this.#config.plain === "redirect") {
      const fields = [["Location", `https://${asked.host}${asked.path}`]] as const;
      await say(reply, { ...plainPage(308, "Elsewhere", "This page is at https."), fields }, true);
      return undefined;
    }
    return asked;
  }

  #nameOf({ host }: Asked): string {
    return deviceOfHost(host, this.#config.domain) ?? "";
  }

  #passed(
    asked: Asked,
    { device, by, rule, user, fields }: Judged & { readonly kind: "in" },
    visitor: Visitor,
  ): Parameters<Exchanges["serve"]>[0] {
    const { desk } = visitor.client;
    visitor.tell(device, { outcome: "opened", by, rule, user });
    // Behind a proxy that has ended TLS there is no other way than https either.
    return { asked, fields, device, from: desk.from, secure: true, user, signal: desk.signal };
  }

  /** Whatever goes wrong is told to this client, and to no other. */
  async #guarded(asked: Asked, reply: Reply, visitor: Visitor, deal: () => Promise<void>): Promise<void> {
    try {
      await deal();
    } catch (error) {
      const known = error instanceof PosternError ? error : undefined;
      if (known?.blame === "UPSTREAM") {
        this.#ports.log.info("web-failed", { host: asked.host, code: known.code, reason: known.message });
        await say(reply, await this.#failure(asked, known));
      } else {
        this.#ports.log.error("web-failed", { host: asked.host, error });
        await say(reply, plainPage(400, "Refused", "That request cannot be passed on."), true);
      }
      visitor.tellFailed(known?.code ?? "BUG");
    }
  }

  /** Only who was let in comes so far. */
  async #failure(asked: Asked, { code, user }: PosternError): Promise<ReturnType<typeof plainPage>> {
    const name = this.#nameOf(asked);
    if (code === "UPSTREAM_WEB_BUSY")
      return { ...plainPage(503, `${name} is busy`, user), fields: [["Retry-After", "1"]] };
    if (code === "UPSTREAM_WEB_SILENT") return plainPage(504, `${name} does not answer`, user);
    if (code !== "UPSTREAM_DEVICE_OFFLINE") return plainPage(502, `${name} does not answer`, user);
    const device = await this.#ports.devices.byName(name);
    return plainPage(502, `${name} is offline`, ...seenText(device, this.#ports.clock.now()));
  }
}

function seenText(device: Device | undefined, nowMs: number): string[] {
  if (device?.lastSeenMs === undefined) return ["It has not been seen yet."];
  const seconds = Math.max(0, Math.round((nowMs - device.lastSeenMs) / 1000));
  return [
    `It offers no page now. Last seen: ${new Date(device.lastSeenMs).toISOString().replace("T", " ").slice(0, 19)} UTC, ${agoText(seconds)} ago.`,
  ];
}

function agoText(seconds: number): string {
  const [amount, unit] = (
    [
      [86_400, "day"],
      [3600, "hour"],
      [60, "minute"],
    ] as const
  ).flatMap(([size, name]) => (seconds >= size ? [[Math.floor(seconds / size), name] as const] : []))[0] ?? [
    seconds,
    "second",
  ];
  return `${amount} ${unit}${amount === 1 ? "" : "s"}`;
}

/** One client's connection. */
class Visitor {
  readonly client: WebClient;
  readonly gone: Promise<void>;
  readonly #stream: Duplex;
  readonly #clock: Clock;
  readonly #told = new Set<string>();
  #busy = 0;
  #between: Timer | undefined;
  #last: Promise<void> = Promise.resolve();
  #device: Device | undefined;

  constructor(stream: Duplex, client: WebClient, clock: Clock) {
    this.#stream = stream;
    this.client = client;
    this.#clock = clock;
    stream.on("error", () => {});
    this.gone = new Promise((resolve) => {
      if (stream.closed) resolve();
      else
        stream.once("close", () => {
          this.#between?.[Symbol.dispose]();
          resolve();
        });
    });
    this.#wait();
  }

  /** One request after the other; more than a few that wait end the connection. */
  async inTurn(deal: () => Promise<void>): Promise<void> {
    if (this.#busy >= maxPipelined) {
      this.#stream.destroy();
      return;
    }
    const turn = this.#last.then(async () => {
      // What follows an answer that ended the connection is not read any more.
      if (!this.#stream.destroyed && !this.#stream.writableEnded) await deal();
    });
    this.#last = turn.catch(() => {});
    await this.beside(() => turn);
  }

  /** While requests are under way, each has its own time. */
  async beside(deal: () => Promise<void>): Promise<void> {
    this.#busy++;
    this.#between?.[Symbol.dispose]();
    try {
      await deal();
    } catch {
      this.#stream.destroy();
    } finally {
      this.#busy--;
      if (this.#busy === 0) this.#wait();
    }
  }

  /** Each outcome once for a connection: pages ask for many things. */
  tell(
    device: Device,
    about: {
      readonly outcome: "opened";
      readonly by: LetIn;
      readonly rule: string | undefined;
      readonly user: string | undefined;
    },
  ): void {
    this.#device = device;
    const text = [device.id, about.by, about.user ?? ""].join(" ");
    if (this.#told.has(text)) return;
    this.#told.add(text);
    this.client.desk.audit?.({ event: "web", device: device.name, ...about });
  }

  tellFailed(reason: string): void {
    if (this.#device === undefined || this.#told.has(reason)) return;
    this.#told.add(reason);
    this.client.desk.audit?.({ event: "web", device: this.#device.name, outcome: "failed", reason });
  }

  #wait(): void {
    if (!this.#stream.destroyed)
      this.#between = this.#clock.after(betweenMs, () => void this.#stream.destroy());
  }
}
