import {
  type ClientRequest,
  type IncomingMessage,
  request as sendRequest,
  type ServerResponse,
  STATUS_CODES,
} from "node:http";
import { type Duplex, pipeline } from "node:stream";
import { type Clock, PosternError, type Timer } from "#base";
import type { Reached, ReceptionDesk, SpliceRoute } from "#contract";
import { answer, texts } from "./http-answer.ts";

/** Time between two requests of one connection, from the end of an answer to the whole head of what comes next. */
const idleMs = 60_000;

/** Requests of one connection that came before those ahead of them were answered: browsers send none. */
export const maxPipelined: number = 32;

/** Of one connection alone (RFC 9110, section 7.6.1): what stands there was said to us. */
const hopByHop = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authenticate",
  "proxy-authorization",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "expect",
]);

/** Said by us, or not at all, whatever the client says: targets trust it. */
const told = new Set([
  "forwarded",
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-host",
  "x-forwarded-port",
  "x-forwarded-server",
  "x-real-ip",
]);

/** The name in a request's `Host`, which must stand there once. Undefined: it is for no host, or for a proxy. */
export function hostOf({
  rawHeaders,
  url = "",
}: Pick<IncomingMessage, "rawHeaders" | "url">): string | undefined {
  const hosts = rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === "host");
  if (hosts.length !== 1 || !(url.startsWith("/") || url === "*")) return undefined;
  const [, v6, name] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]/@\s]+))(?::\d{0,5})?$/.exec(hosts[0] ?? "") ?? [];
  return v6 ?? name;
}

/**
 * One client's connection, whose requests are each for the target that their `Host` names. Each is read whole by Node's parser,
 * asked about, and written anew on a connection of its own: there is none that two clients, or two hosts, could share.
 */
export class HttpHosts {
  readonly #desk: ReceptionDesk;
  readonly #clock: Clock;
  readonly #certificate: readonly string[] | undefined;
  readonly #secure: boolean;
  #idle: Timer | undefined;
  #waiting = 0;
  #last: Promise<void> = Promise.resolve();

  constructor(
    desk: ReceptionDesk,
    options: { readonly clock: Clock; readonly certificate?: readonly string[]; readonly secure: boolean },
  ) {
    this.#desk = desk;
    this.#clock = options.clock;
    this.#certificate = options.certificate;
    this.#secure = options.secure;
  }

  /** Deals with one request after the other; `deal` resolves when it is answered. */
  async inTurn(socket: Duplex, deal: () => Promise<void>): Promise<void> {
    if (this.#waiting >= maxPipelined) {
      socket.destroy();
      return;
    }
    this.#waiting++;
    this.#idle?.[Symbol.dispose]();
    const turn = this.#last.then(async () => {
      // What follows an answer that ended the connection is not read any more.
      if (!socket.destroyed && !socket.writableEnded) await deal();
    });
    this.#last = turn.catch(() => {});
    try {
      await turn;
    } finally {
      this.#waiting--;
      if (this.#waiting === 0 && !socket.destroyed)
        this.#idle = this.#clock.after(idleMs, () => socket.destroy());
    }
  }

  /** Undefined: no target of that name is for this client. */
  async find(request: IncomingMessage): Promise<SpliceRoute | undefined> {
    const name = hostOf(request);
    if (name === undefined) return undefined;
    const shown = this.#certificate === undefined ? {} : { certificate: this.#certificate };
    const route = await this.#desk.ask({ entry: "host", name, ...shown });
    return route.mode === "splice" ? route : undefined;
  }

  /** Answers a request out of a target; resolves when that is done. */
  async serve(request: IncomingMessage, response: ServerResponse, route: SpliceRoute): Promise<void> {
    const { socket } = request;
    const done = new Promise<void>((resolve) => response.once("close", resolve));
    const sending = await this.#send(request, route, {});
    if (sending === undefined) {
      refuse(socket, response, 502);
      return;
    }
    sending.on("response", (said) => {
      if (!isAnswer(said)) {
        sending.destroy();
        refuse(socket, response, 502);
        return;
      }
      response.sendDate = false;
      response.writeHead(said.statusCode ?? 502, said.statusMessage ?? "", kept(said.rawHeaders, new Set()));
      pipeline(said, response, () => {});
    });
    sending.on("error", () => refuse(socket, response, 502));
    // It ends without an error where the target changes the protocol unasked.
    sending.once("close", () => {
      if (!response.headersSent) refuse(socket, response, 502);
    });
    response.once("close", () => sending.destroy());
    pipeline(request, sending, () => {});
    await done;
  }

  /** The same for a request that changes the protocol: if the target agrees, its bytes are the client's from then on. */
  async upgrade(request: IncomingMessage, stream: Duplex, head: Buffer, route: SpliceRoute): Promise<void> {
    const protocol = request.headers.upgrade ?? "";
    const sending = await this.#send(request, route, { Connection: "Upgrade", Upgrade: protocol });
    if (sending === undefined) {
      answer(stream, 502);
      return;
    }
    sending.on("upgrade", (said, upstream, first) => {
      // Whoever has it must hear of its errors: nobody else does.
      upstream.on("error", () => {});
      if (!isAnswer(said)) {
        upstream.destroy();
        answer(stream, 502);
        return;
      }
      stream.write(
        headOf(said, kept(said.rawHeaders, new Set()).concat(["Connection", "Upgrade", "Upgrade", protocol])),
      );
      stream.write(first);
      upstream.write(head);
      pipeline(upstream, stream, () => upstream.destroy());
      pipeline(stream, upstream, () => stream.destroy());
    });
    sending.on("response", (said) => {
      if (!isAnswer(said)) {
        sending.destroy();
        answer(stream, 502);
        return;
      }
      // No, in its own words, and the last.
      stream.write(headOf(said, kept(said.rawHeaders, new Set()).concat(["Connection", "close"])));
      pipeline(said, stream, () => stream.destroy());
    });
    sending.on("error", () => answer(stream, 502));
    stream.once("close", () => sending.destroy());
    sending.end();
  }

  async #send(
    request: IncomingMessage,
    route: SpliceRoute,
    more: Readonly<Record<string, string>>,
  ): Promise<ClientRequest | undefined> {
    const { socket } = request;
    let reached: Reached;
    try {
      reached = await this.#desk.open(route, socket);
    } catch (error) {
      if (error instanceof PosternError || socket.destroyed) return undefined;
      throw error;
    }
    const { stream } = reached;
    stream.once("close", () => reached[Symbol.dispose]());
    if (socket.destroyed) {
      stream.destroy();
      return undefined;
    }
    const { from } = this.#desk;
    const isChunked = request.headers["transfer-encoding"] !== undefined;
    const own = [
      ...(from.ip === undefined ? [] : ["X-Forwarded-For", from.ip]),
      "X-Forwarded-Proto",
      this.#secure ? "https" : "http",
      ...(isChunked ? ["Transfer-Encoding", "chunked"] : []),
      ...(more["Connection"] === undefined ? ["Connection", "close"] : []),
      ...Object.entries(more).flat(),
    ];
    const { method = "GET", url: path = "/" } = request;
    const headers = [...kept(request.rawHeaders, told), ...own];
    // Without an agent: that would connect by itself.
    const sending = sendRequest({
      method,
      path,
      headers,
      setHost: false,
      createConnection: () => stream,
    });
    let upgraded = false;
    sending.once("upgrade", () => (upgraded = true));
    sending.once("close", () => {
      if (!upgraded) stream.destroy();
    });
    return sending;
  }
}

/** Headers that pass, as they were written: names and values in turn. */
function kept(raw: readonly string[], dropped: ReadonlySet<string>): string[] {
  const pairs = Array.from(
    { length: raw.length / 2 },
    (_, at) => [raw[2 * at] ?? "", raw[2 * at + 1] ?? ""] as const,
  );
  const named = pairs
    .filter(([name]) => name.toLowerCase() === "connection")
    .flatMap(([, value]) =>
      value
        .toLowerCase()
        .split(",")
        .map((each) => each.trim()),
    );
  return pairs
    .filter(([name]) => {
      const plain = name.toLowerCase();
      // Many a target cannot tell `_` from `-`: both become the same variable of CGI.
      return !hopByHop.has(plain) && !dropped.has(plain.replaceAll("_", "-")) && !named.includes(plain);
    })
    .flat();
}

/** What Node reads of a target may be more than it will write: that must end this answer, and nothing else. */
function isAnswer({ statusCode = 0, statusMessage = "" }: IncomingMessage): boolean {
  return statusCode >= 100 && statusCode <= 999 && /^[\t\x20-\x7e\x80-\xff]*$/.test(statusMessage);
}

function headOf(
  { statusCode = 502, statusMessage = "" }: IncomingMessage,
  headers: readonly string[],
): Buffer {
  const lines = [`HTTP/1.1 ${statusCode} ${statusMessage}`];
  for (let at = 0; at < headers.length; at += 2) lines.push(`${headers[at]}: ${headers[at + 1]}`);
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
}

/** Tells a client no, and ends the connection: what follows may be the rest of a request that is not read any more. */
export function refuse(socket: Duplex, response: ServerResponse, status: number): void {
  if (response.headersSent) {
    socket.destroy();
    return;
  }
  const body = `${texts[status]?.[1] ?? STATUS_CODES[status] ?? ""}\n`;
  response.writeHead(status, {
    "Content-Type": "text/plain; charset=utf-8",
    "Content-Length": Buffer.byteLength(body),
    Connection: "close",
  });
  response.end(body);
}
