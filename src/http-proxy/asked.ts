import { type IncomingMessage, type OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type { Readable, Writable } from "node:stream";
import { endToEnd, type Fields, fieldsOf, valueOf, valuesOf } from "./fields.ts";
import { plainHost } from "./host.ts";

/** A request as it came, read by Node's parsers. */
export interface Asked {
  readonly method: string;
  /** Path and query: begins with a stroke. */
  readonly path: string;
  /** What stands before it, for who is at a path of its host: `/d/kiosk7`. */
  readonly prefix?: string;
  /** In lower case, without its port. */
  readonly host: string;
  /** With its port, if it was said. */
  readonly authority: string;
  readonly fields: Fields;
  readonly body: Readable;
  /** How its length is told to the device: by its own Content-Length, in chunks, or there is no body. */
  readonly length: "said" | "chunked" | "none";
}

/** Where the answer goes. */
export interface Reply {
  readonly sink: Writable;
  readonly begun: boolean;
  /** Throws what Node says of a status or a field that cannot be sent. */
  begin(status: number, text: string, fields: Fields, trailers?: boolean): void;
  /** Fields behind the body, said before its end; where `trailers` had announced them. */
  trail?(fields: Fields): void;
  /** Resolves when the answer has been given, or can be no more. */
  over(): Promise<void>;
}

/** Methods that would give a page what it is not meant to see, or open what is no request. */
const refusedMethods = new Set(["TRACE", "TRACK", "CONNECT"]);

/** What was asked; or the status with which it is refused: it is not said once and plainly what is asked of whom. */
export function askedOf(request: IncomingMessage | Http2ServerRequest): Asked | number {
  const { method = "", url = "" } = request;
  const fields = fieldsOf(request.rawHeaders);
  if (refusedMethods.has(method.toUpperCase())) return 405;
  if (!url.startsWith("/")) return 400;
  const hosts = valuesOf(fields, "host");
  const pseudo = "authority" in request ? [request.authority].filter((each) => each !== "") : [];
  const said = [...new Set([...pseudo, ...hosts].map((each) => each.toLowerCase()))];
  const [authority = ""] = said;
  const host = plainHost(authority);
  if (said.length !== 1 || hosts.length > 1 || host === undefined) return 400;
  const length = lengthOf(request, fields);
  if (length === undefined) return 400;
  return { method, path: url, host, authority, fields, body: request, length };
}

function lengthOf(
  request: IncomingMessage | Http2ServerRequest,
  fields: Fields,
): Asked["length"] | undefined {
  const codings = valuesOf(fields, "transfer-encoding");
  const lengths = valuesOf(fields, "content-length");
  if (request.httpVersionMajor >= 2) {
    if (codings.length > 0) return undefined;
    if (lengths.length > 0) return "said";
    return "stream" in request && request.stream.endAfterHeaders ? "none" : "chunked";
  }
  if (codings.length > 0) {
    // Others that Node's parser lets through are for nobody; of HTTP/1.0 nobody knows what is meant.
    const plain = codings.length === 1 && codings[0]?.toLowerCase() === "chunked";
    return plain && lengths.length === 0 && request.httpVersion === "1.1" ? "chunked" : undefined;
  }
  return lengths.length > 0 ? "said" : "none";
}

/** A GET for a WebSocket (RFC 6455, section 4.1). Nothing else may leave HTTP: what it would carry is judged by nobody. */
export function isWebSocket({ method, fields, length }: Asked): boolean {
  return (
    method === "GET" &&
    length === "none" &&
    valueOf(fields, "upgrade")?.toLowerCase() === "websocket" &&
    valuesOf(fields, "connection").some((value) => /(?:^|,)\s*upgrade\s*(?:,|$)/i.test(value))
  );
}

export function replyOf(response: ServerResponse | Http2ServerResponse): Reply {
  if (response instanceof ServerResponse) {
    response.sendDate = false;
    return {
      sink: response,
      get begun() {
        return response.headersSent;
      },
      begin: (status, text, fields) => void response.writeHead(status, text, fields.flat()),
      trail: (fields) => response.addTrailers(fields.map(([name, value]): [string, string] => [name, value])),
      // Only then does the connection know whether there will be another.
      over: () => (response.closed ? Promise.resolve() : either(response, "close")),
    };
  }
  // Not Node's imitation of the old class: the stream itself is one that can be piped to.
  const { stream } = response;
  return {
    sink: stream,
    get begun() {
      return stream.headersSent;
    },
    // Its imitation answers the question for them by itself.
    trail: (fields) => response.addTrailers(groupedOf(fields)),
    begin(status, _text, fields, trailers = false) {
      stream.respond({ ":status": status, ...groupedOf(endToEnd(fields)) }, { waitForTrailers: trailers });
    },
    // It closes when all of the request has come as well.
    over: () =>
      stream.writableFinished || stream.closed ? Promise.resolve() : either(stream, "finish", "close"),
  };
}

/** As HTTP/2 has them. */
function groupedOf(fields: Fields): OutgoingHttpHeaders {
  const grouped = new Map<string, string[]>();
  for (const [name, value] of fields) {
    const plain = name.toLowerCase();
    grouped.set(plain, [...(grouped.get(plain) ?? []), value]);
  }
  const headers: OutgoingHttpHeaders = {};
  for (const [name, all] of grouped) headers[name] = all.length === 1 ? all[0] : all;
  return headers;
}

function either(sink: Writable, ...events: readonly ("finish" | "close")[]): Promise<void> {
  return new Promise((resolve) => {
    for (const event of events) sink.once(event, () => resolve());
  });
}

/** Whether another site's page is behind a request: it must not use what its visitor may do here. */
export function isForeign({ method, fields, authority }: Asked, secure: boolean, upgrades: boolean): boolean {
  const site = valueOf(fields, "sec-fetch-site");
  const reads = (method === "GET" || method === "HEAD") && !upgrades;
  if (site === "same-origin" || site === "none") return false;
  if (site !== undefined) {
    const isLink =
      reads &&
      valueOf(fields, "sec-fetch-mode") === "navigate" &&
      valueOf(fields, "sec-fetch-dest") === "document";
    return !isLink;
  }
  // Older browsers, and programs: these send no origin.
  const origins = valuesOf(fields, "origin");
  if (origins.length === 0) return false;
  const own = secure ? [`https://${authority}`] : [`https://${authority}`, `http://${authority}`];
  return origins.some((origin) => !own.includes(origin.toLowerCase()));
}

/** A person's browser that goes to a page, and could show another one. */
export function isVisit({ method, fields }: Asked): boolean {
  if (method !== "GET" && method !== "HEAD") return false;
  const mode = valueOf(fields, "sec-fetch-mode");
  if (mode !== undefined) return mode === "navigate";
  return valuesOf(fields, "accept").some((value) => value.toLowerCase().includes("text/html"));
}

/** A program that a script runs: it knows what to do when it is asked for name and password. */
export function isProgram({ fields }: Asked): boolean {
  return valuesOf(fields, "sec-fetch-mode").length === 0 && valuesOf(fields, "origin").length === 0;
}
