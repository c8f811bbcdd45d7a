import type { Duplex } from "node:stream";
import { checkServerIdentity, connect as connectTls, type TLSSocket } from "node:tls";
import { isIP } from "node:net";
import { formatHostPort, type HostPort, parseHostPort, PosternError } from "#base";
import { createWebSocketStream, WebSocket } from "ws";
import { dialTcp, reasonOf } from "../dial.ts";
import { clientErrors } from "../errors.ts";
import { gateError, ProxyAnswerReader, refusalWords } from "./http-answer.ts";

/** Ways to say a name to a gate that any client can use, since they are around the SSH. */
export type GateWay = "sni" | "connect" | "websocket";

/** A gate as people type it. */
export interface Gate extends HostPort {
  /** Whether it is spoken to inside TLS. */
  readonly tls: boolean;
  readonly user: string | undefined;
  readonly password: string | undefined;
}

export interface GateTls {
  /** PEM of authorities to trust instead of the system's. */
  readonly authorities?: string;
  /** PEM of our own certificate and its key. */
  readonly certificate?: string;
  readonly key?: string;
  /** The name that the gate's certificate must have. Default: the gate's, or the one that is asked for. */
  readonly name?: string;
  /** Whoever stands in between can end the TLS. */
  readonly dangerouslyAcceptAny?: boolean;
}

export interface GateOptions {
  readonly way: GateWay;
  readonly gate: Gate;
  /** Which host behind it is meant. */
  readonly to: HostPort;
  readonly tls?: GateTls;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

const defaultTimeoutMs = 30_000;

/** Messages of a gate's WebSocket: far above those that gates send. */
const maxWebSocketMessageBytes = 16 * 1024 * 1024;

/**
 * Reads `[http://|https://|ws://|wss://][user[:password]@]host[:port]`. Without a scheme, `sni` and `websocket` are inside TLS, and
 * `connect` is not. Throws OPERATOR_CLIENT_ARGUMENT.
 */
export function parseGate(text: string, way: GateWay): Gate {
  const [, scheme, login, place = ""] =
    /^(?:(https?|wss?|tls):\/\/)?(?:([^@/]*)@)?([^/@]+)\/?$/.exec(text) ?? [];
  const tls = scheme === undefined ? way !== "connect" : scheme !== "http" && scheme !== "ws";
  if (place === "")
    throw new clientErrors.OPERATOR_CLIENT_ARGUMENT(`"${text.slice(0, 200)}" is no gate: write host:port.`);
  const [, user, password] = /^([^:]*)(?::(.*))?$/s.exec(login ?? "") ?? [];
  let address: HostPort;
  try {
    address = parseHostPort(place, tls ? 443 : 80);
  } catch (cause) {
    throw new clientErrors.OPERATOR_CLIENT_ARGUMENT(`"${text.slice(0, 200)}" is no gate: write host:port.`, {
      cause,
    });
  }
  return {
    ...address,
    tls,
    user: user === "" || login === undefined ? undefined : decoded(user ?? ""),
    password: password === undefined ? undefined : decoded(password),
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A stream to the host behind the gate. Throws UPSTREAM_CLIENT_UNREACHABLE, UPSTREAM_CLIENT_GATE. */
export async function openGate(options: GateOptions): Promise<Duplex> {
  switch (options.way) {
    case "sni":
      return await dialTls(options, options.to.host);
    case "connect":
      return await connectThrough(options);
    case "websocket":
      return await openWebSocket(options);
  }
}

async function dialTls(
  options: GateOptions,
  serverName: string,
  protocols: string[] = ["ssh"],
): Promise<TLSSocket> {
  const { gate, tls = {}, timeoutMs = defaultTimeoutMs, signal } = options;
  const raw = await dialTcp(gate, { timeoutMs, signal });
  const socket = connectTls({
    socket: raw,
    ...(isIP(serverName) === 0 ? { servername: serverName } : {}),
    ALPNProtocols: protocols,
    ...tlsOptions(tls, [serverName, gate.host]),
  });
  return await settled(socket, "secureConnect", options, (error) => tlsWords(error));
}

/** Certificate, and whose name must be in it. */
function tlsOptions(
  tls: GateTls,
  names: readonly string[],
): {
  ca?: string;
  cert?: string;
  key?: string;
  rejectUnauthorized: boolean;
  checkServerIdentity: typeof checkServerIdentity;
} {
  const wanted = tls.name === undefined ? names : [tls.name];
  return {
    ...(tls.authorities === undefined ? {} : { ca: tls.authorities }),
    ...(tls.certificate === undefined ? {} : { cert: tls.certificate }),
    ...(tls.key === undefined ? {} : { key: tls.key }),
    rejectUnauthorized: tls.dangerouslyAcceptAny !== true,
    // The gate's own name is as good as that of the host behind: it is the gate that ends the TLS.
    checkServerIdentity: (_host, certificate) => {
      const problems = wanted.map((name) => checkServerIdentity(name, certificate));
      return problems.includes(undefined) ? undefined : problems[0];
    },
  };
}

function tlsWords(error: Error): string {
  const { code = "", message } = error as NodeJS.ErrnoException;
  if (/CERT|SIGNATURE|ISSUER|VERIFY/.test(code))
    return `its certificate is not trusted (${message}); name its authority with --ca`;
  if (message.includes("unrecognized name")) return "it knows no host of that name, or does not let you in";
  if (/wrong version number|packet length too long|http request/.test(message))
    return "it does not speak TLS there";
  return reasonOf(error);
}

/** Waits for a stream's event; what comes instead ends it, and so does time. */
async function settled<S extends Duplex>(
  stream: S,
  event: string,
  { timeoutMs = defaultTimeoutMs, signal }: GateOptions,
  words: (error: Error) => string,
): Promise<S> {
  const done = Promise.withResolvers<void>();
  const fail = (reason: string, cause?: unknown): void => done.reject(gateError(reason, cause));
  const onError = (error: Error): void => fail(words(error), error);
  const onClose = (): void => fail("it closed the connection");
  const onAbort = (): void => fail("given up");
  const timer = setTimeout(() => fail(`no answer in ${timeoutMs / 1000} s`), timeoutMs);
  stream.once(event, done.resolve);
  stream.on("error", onError);
  stream.on("close", onClose);
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    await done.promise;
    stream.on("error", () => {});
    return stream;
  } catch (error) {
    stream.on("error", () => {});
    stream.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
    stream.off("error", onError);
    stream.off("close", onClose);
    signal?.removeEventListener("abort", onAbort);
  }
}

async function connectThrough(options: GateOptions): Promise<Duplex> {
  const { gate, to, timeoutMs = defaultTimeoutMs, signal } = options;
  const stream: Duplex = gate.tls
    ? await dialTls(options, options.tls?.name ?? gate.host, ["http/1.1"])
    : await dialTcp(gate, { timeoutMs, signal });
  const place = formatHostPort(to);
  const login = basic(gate);
  stream.write(
    `CONNECT ${place} HTTP/1.1\r\nHost: ${place}\r\n${login === undefined ? "" : `Proxy-Authorization: ${login}\r\n`}\r\n`,
  );
  const reader = new ProxyAnswerReader();
  const onData = (chunk: Buffer): void => {
    try {
      const answer = reader.receive(chunk);
      if (answer === undefined) return;
      stream.off("data", onData);
      stream.pause();
      if (answer.status < 200 || answer.status > 299)
        throw gateError(refusalWords(answer.status, answer.reason));
      if (answer.rest.length > 0) stream.unshift(Buffer.from(answer.rest));
      stream.emit("gate-open");
    } catch (error) {
      stream.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  };
  stream.on("data", onData);
  const onEnd = (): void => void stream.destroy();
  stream.once("end", onEnd);
  try {
    return await settled(stream, "gate-open", options, (error) => reasonOf(error));
  } catch (error) {
    // The reader's own words are the better ones.
    const { cause } = error as Error;
    throw cause instanceof PosternError ? cause : error;
  } finally {
    stream.off("end", onEnd);
  }
}

async function openWebSocket(options: GateOptions): Promise<Duplex> {
  const { gate, to, tls = {}, timeoutMs = defaultTimeoutMs, signal } = options;
  const login = basic(gate);
  const url = `${gate.tls ? "wss" : "ws"}://${formatHostPort(gate)}/ssh/${encodeURIComponent(to.host)}`;
  const { host } = gate;
  const socket = new WebSocket(url, ["ssh"], {
    perMessageDeflate: false,
    handshakeTimeout: timeoutMs,
    maxPayload: maxWebSocketMessageBytes,
    ...(login === undefined ? {} : { headers: { Authorization: login } }),
    ...(gate.tls ? tlsOptions(tls, [tls.name ?? host]) : {}),
  });
  const opened = Promise.withResolvers<void>();
  const fail = (reason: string, cause?: unknown): void => opened.reject(gateError(reason, cause));
  socket.once("open", opened.resolve);
  socket.on("error", (error) => fail(tlsWords(error), error));
  socket.once("unexpected-response", (_request, response) =>
    fail(refusalWords(response.statusCode ?? 0, response.statusMessage ?? "")),
  );
  const abort = (): void => fail("given up");
  signal?.addEventListener("abort", abort, { once: true });
  try {
    await opened.promise;
    const stream = createWebSocketStream(socket);
    stream.on("error", () => {});
    return stream;
  } catch (error) {
    socket.terminate();
    throw error;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

function basic({ user, password = "" }: Gate): string | undefined {
  return user === undefined ? undefined : `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}
