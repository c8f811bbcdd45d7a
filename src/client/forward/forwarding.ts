import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { formatHostPort, type HostPort, PosternError } from "#base";
import { connect, type ConnectOptions, type KnownIdentities } from "../connect.ts";
import type { ClientConnection, RemoteConnection, RemoteListener, RemoteOrigin } from "../connection.ts";
import { dialTcp, dialUnix } from "../dial.ts";
import { join } from "./join.ts";
import { listenLocal, type LocalListener } from "./listen.ts";
import { readSocks } from "./read-socks.ts";
import { type ForwardSpec, formatPlace, type Place } from "./spec.ts";

export interface ReconnectOptions {
  /** Milliseconds before the first try; doubled for each further one. Default 1,000. */
  readonly firstMs?: number;
  /** At most this. Default 60,000. */
  readonly maxMs?: number;
}

export interface ForwardOptions {
  readonly connect: ConnectOptions;
  readonly forwards: readonly ForwardSpec[];
  /** False: the loss of the connection is the end. */
  readonly reconnect?: false | ReconnectOptions;
  /** Try again even when the first connection fails, or the server refuses the login. */
  readonly keepTrying?: boolean;
  /** One forwarding that cannot be had is the end of all. */
  readonly exitOnForwardFailure?: boolean;
  /** Milliseconds that a local connection waits for a server that is away. Default 30,000. */
  readonly holdMs?: number;
  /** Take the place of UNIX sockets that are there already. */
  readonly unlink?: boolean;
  readonly onEvent?: (event: ForwardEvent) => void;
}

/** What happens, for people and scripts. Times in milliseconds; `id` counts the connections. */
export type ForwardEvent =
  | { readonly event: "connecting"; readonly to: string; readonly attempt: number }
  | { readonly event: "connected"; readonly to: string; readonly server: string }
  /** It holds. */
  | {
      readonly event: "forwarding";
      readonly side: ForwardSpec["side"];
      readonly listen: string;
      /** Undefined: whoever connects says it by SOCKS. */
      readonly to: string | undefined;
      readonly through: string;
    }
  | {
      readonly event: "forward-failed";
      readonly side: ForwardSpec["side"];
      readonly listen: string;
      readonly to: string | undefined;
      readonly reason: string;
    }
  | { readonly event: "ready" }
  | { readonly event: "opened"; readonly id: number; readonly from: string; readonly to: string }
  | {
      readonly event: "refused";
      readonly id: number;
      readonly from: string;
      readonly to: string | undefined;
      readonly reason: string;
    }
  | {
      readonly event: "closed";
      readonly id: number;
      readonly from: string;
      readonly to: string;
      /** From where the connection came to where it goes, and back. */
      readonly bytesOut: number;
      readonly bytesIn: number;
      readonly ms: number;
    }
  | { readonly event: "lost"; readonly reason: string }
  | { readonly event: "retry"; readonly inMs: number; readonly reason: string };

/** One connection that passes through now. */
export interface PassingConnection {
  readonly id: number;
  readonly from: string;
  readonly to: string;
  readonly sinceMs: number;
}

export interface ForwardingStatus {
  readonly connected: boolean;
  readonly connections: readonly PassingConnection[];
  /** Since the start. */
  readonly opened: number;
  readonly refused: number;
  /** Of connections that are closed. */
  readonly bytesOut: number;
  readonly bytesIn: number;
}

/** How long a local connection waits while there is no server. */
const defaultHoldMs = 30_000;
/** Local connections that wait for the server at once. */
const maxHeld = 1024;
/** A connection that held this long was a good one: the next wait begins small again. */
const steadyMs = 30_000;
/** Between tries at a port of the server that its last session may still hold. */
const remoteRetryMs = 5_000;
/** Milliseconds to reach the place on our side of a remote forwarding. */
const dialMs = 30_000;

/**
 * Forwards ports and sockets over one SSH connection, which is made anew when it is lost; local listeners stay open meanwhile.
 * Resolves once the forwardings hold.
 *
 * Throws what `connect` throws, OPERATOR_CLIENT_LISTEN, and DENIED_CLIENT_CHANNEL when the server listens for none of them.
 *
 *     await using forwarding = await forward({ connect: { host: "gate" }, forwards: [parseForward("local", "8008:web:80")] });
 */
export async function forward(options: ForwardOptions): Promise<Forwarding> {
  const forwarding = new Forwarding(options);
  try {
    await forwarding.start();
    return forwarding;
  } catch (error) {
    await forwarding.close();
    throw error;
  }
}

/** Forwardings at work. */
export class Forwarding implements AsyncDisposable {
  /** Resolves when they are over; with the reason unless they were closed. */
  readonly ended: Promise<Error | undefined>;
  readonly #options: ForwardOptions;
  readonly #end: PromiseWithResolvers<Error | undefined>;
  readonly #identities: KnownIdentities = new WeakMap();
  readonly #stop = new AbortController();
  readonly #local: LocalListener[] = [];
  readonly #remote: RemoteListener[] = [];
  readonly #passing = new Map<number, PassingConnection & { readonly streams: readonly Duplex[] }>();
  readonly #retries = new Set<NodeJS.Timeout>();
  readonly #waiting = new Set<(connection: ClientConnection | undefined) => void>();
  #connection: ClientConnection | undefined;
  #serial = 0;
  #opened = 0;
  #refused = 0;
  #bytesOut = 0;
  #bytesIn = 0;

  /** For `forward`. */
  constructor(options: ForwardOptions) {
    this.#options = options;
    this.#end = Promise.withResolvers();
    this.ended = this.#end.promise;
    const { signal } = options.connect;
    if (signal?.aborted === true) this.#stop.abort();
    signal?.addEventListener("abort", () => void this.close(), { once: true });
  }

  get status(): ForwardingStatus {
    return {
      connected: this.#connection !== undefined,
      connections: [...this.#passing.values()].map(({ id, from, to, sinceMs }) => ({
        id,
        from,
        to,
        sinceMs,
      })),
      opened: this.#opened,
      refused: this.#refused,
      bytesOut: this.#bytesOut,
      bytesIn: this.#bytesIn,
    };
  }

  /** For `forward`. */
  async start(): Promise<void> {
    const { forwards, exitOnForwardFailure = false } = this.#options;
    const failures: Error[] = [];
    const fail = (spec: ForwardSpec, error: unknown): void => {
      if (!(error instanceof PosternError) || exitOnForwardFailure) throw error;
      failures.push(error);
      this.#tellFailed(spec, error);
    };
    // A port that is in use here is known before anybody is asked for a password.
    const listening: [ForwardSpec, LocalListener][] = [];
    for (const spec of forwards.filter(({ side }) => side === "local")) {
      try {
        const listener = await listenLocal(spec.listen, (socket) => void this.#fromLocal(socket, spec), {
          unlink: this.#options.unlink ?? false,
        });
        this.#local.push(listener);
        listening.push([spec, listener]);
      } catch (error) {
        fail(spec, error);
      }
    }
    const [only] = failures;
    if (only !== undefined && failures.length === forwards.length) throw only;
    const connection = await this.#connectAtFirst();
    for (const [spec, { place }] of listening) this.#tellForwarding(spec, formatPlace(place));
    for (const spec of forwards.filter(({ side }) => side === "remote")) {
      try {
        await this.#listenRemote(connection, spec);
      } catch (error) {
        fail(spec, error);
      }
    }
    const [first] = failures;
    if (first !== undefined && failures.length === forwards.length) throw first;
    this.#ready(connection);
    void this.#supervise(connection);
  }

  /** Ends the forwardings and the connection. */
  async close(): Promise<void> {
    await this.#finish(undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #finish(reason: Error | undefined): Promise<void> {
    this.#stop.abort();
    for (const timer of this.#retries) clearTimeout(timer);
    for (const wake of this.#waiting) wake(undefined);
    const closing = this.#local.splice(0).map((listener) => listener[Symbol.asyncDispose]());
    for (const { streams } of this.#passing.values()) for (const stream of streams) stream.destroy();
    await this.#connection?.close();
    await Promise.all(closing);
    this.#end.resolve(reason);
  }

  get #through(): string {
    const { host, port = 22, user } = this.#options.connect;
    const place = port === 22 ? host : formatHostPort({ host, port });
    return user === undefined ? place : `${user}@${place}`;
  }

  #tell(event: ForwardEvent): void {
    if (!this.#stop.signal.aborted || event.event === "closed") this.#options.onEvent?.(event);
  }

  #tellForwarding(spec: ForwardSpec, listen: string): void {
    const to = spec.to === undefined ? undefined : formatPlace(spec.to);
    this.#tell({ event: "forwarding", side: spec.side, listen, to, through: this.#through });
  }

  #tellFailed(spec: ForwardSpec, error: unknown): void {
    const to = spec.to === undefined ? undefined : formatPlace(spec.to);
    const listen = formatPlace(spec.listen);
    this.#tell({ event: "forward-failed", side: spec.side, listen, to, reason: sentenceOf(error) });
  }

  async #connectAtFirst(): Promise<ClientConnection> {
    if (this.#options.keepTrying === true) return await this.#connectAgain(0);
    return await this.#connectOnce(1);
  }

  async #connectOnce(attempt: number): Promise<ClientConnection> {
    this.#tell({ event: "connecting", to: this.#through, attempt });
    const options = { ...this.#options.connect, signal: this.#stop.signal };
    const connection = await connect(options, this.#identities);
    this.#tell({ event: "connected", to: this.#through, server: connection.serverVersion });
    return connection;
  }

  /** Until it succeeds, or there is no sense in it. */
  async #connectAgain(waits: number): Promise<ClientConnection> {
    const { keepTrying = false } = this.#options;
    let attempt = 0;
    for (;;) {
      attempt += 1;
      if (waits > 0 || attempt > 1) await this.#pause(this.#waitMs(waits + attempt - 2));
      try {
        return await this.#connectOnce(attempt);
      } catch (error) {
        if (this.#stop.signal.aborted || !isPassing(error, keepTrying)) throw error;
        this.#tell({
          event: "retry",
          inMs: this.#waitMs(waits + attempt - 1),
          reason: sentenceOf(error),
        });
      }
    }
  }

  #waitMs(waits: number): number {
    const { reconnect } = this.#options;
    const { firstMs = 1_000, maxMs = 60_000 } = reconnect === false ? {} : (reconnect ?? {});
    return Math.min(maxMs, firstMs * 2 ** Math.min(Math.max(waits, 0), 20));
  }

  async #pause(ms: number): Promise<void> {
    const { signal } = this.#stop;
    if (signal.aborted) return;
    await new Promise<void>((resolve) => {
      // A crowd that lost its server together should not come back together.
      const timer = setTimeout(resolve, ms * (0.8 + 0.4 * Math.random()));
      signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
    });
  }

  #ready(connection: ClientConnection): void {
    this.#connection = connection;
    for (const wake of this.#waiting) wake(connection);
    this.#tell({ event: "ready" });
  }

  async #supervise(first: ClientConnection): Promise<void> {
    let connection = first;
    let waits = 0;
    try {
      for (;;) {
        const since = performance.now();
        const { error } = await connection.ended;
        this.#connection = undefined;
        this.#remote.length = 0;
        if (this.#stop.signal.aborted) return;
        const lost = error ?? new Error("the connection was closed");
        this.#tell({ event: "lost", reason: sentenceOf(lost) });
        if (this.#options.reconnect === false) {
          await this.#finish(lost);
          return;
        }
        waits = performance.now() - since > steadyMs ? 1 : waits + 1;
        this.#tell({ event: "retry", inMs: this.#waitMs(waits - 1), reason: sentenceOf(lost) });
        connection = await this.#connectAgain(waits);
        for (const spec of this.#options.forwards.filter(({ side }) => side === "remote"))
          await this.#listenAgain(connection, spec);
        this.#ready(connection);
      }
    } catch (error) {
      if (!this.#stop.signal.aborted)
        await this.#finish(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** The server's last session may still hold the port: asked again until it lets go. */
  async #listenAgain(connection: ClientConnection, spec: ForwardSpec): Promise<void> {
    try {
      await this.#listenRemote(connection, spec);
    } catch (error) {
      if (!(error instanceof PosternError) || error.code !== "DENIED_CLIENT_CHANNEL") return;
      this.#tellFailed(spec, error);
      const timer = setTimeout(() => {
        this.#retries.delete(timer);
        if (this.#connection === connection) void this.#listenAgain(connection, spec);
      }, remoteRetryMs);
      this.#retries.add(timer);
    }
  }

  async #listenRemote(connection: ClientConnection, spec: ForwardSpec): Promise<void> {
    const take = (remote: RemoteConnection): void => void this.#fromRemote(remote, spec);
    if (spec.listen.kind === "unix") {
      this.#remote.push(await connection.listenUnix(spec.listen.path, take));
      this.#tellForwarding(spec, formatPlace(spec.listen));
      return;
    }
    const { host = "localhost", port } = spec.listen;
    const listener = await connection.listenTcp({ host, port }, take);
    this.#remote.push(listener);
    this.#tellForwarding(spec, formatPlace({ kind: "tcp", host, port: listener.port ?? port }));
  }

  async #fromLocal(socket: Socket, spec: ForwardSpec): Promise<void> {
    socket.on("error", () => {});
    const id = ++this.#serial;
    const from = peerOf(socket);
    let to = spec.to;
    try {
      const socks = to === undefined ? await readSocks(socket) : undefined;
      if (socks !== undefined) to = { kind: "tcp", ...socks.to };
      if (to === undefined) return;
      try {
        const connection = await this.#current();
        const origin: RemoteOrigin = {
          address: socket.remoteAddress ?? "127.0.0.1",
          port: socket.remotePort ?? 0,
        };
        const channel =
          to.kind === "unix" ? await connection.openUnix(to.path) : await connection.openTcp(to, origin);
        socks?.granted();
        await this.#pass(id, from, formatPlace(to), socket, channel);
      } catch (error) {
        socks?.refused(error instanceof PosternError && error.code === "DENIED_CLIENT_CHANNEL");
        throw error;
      }
    } catch (error) {
      this.#tellRefused(id, from, to, error);
      // Anything but a plain end: a client must not take it for an empty answer.
      if (to !== undefined && spec.to !== undefined) socket.resetAndDestroy();
      else socket.destroySoon();
    }
  }

  async #fromRemote(remote: RemoteConnection, spec: ForwardSpec): Promise<void> {
    const id = ++this.#serial;
    const { address, port } = remote.origin;
    const from = address === "" ? "a socket there" : formatHostPort({ host: address, port });
    let to = spec.to;
    try {
      if (to === undefined) {
        const channel = remote.accept();
        const socks = await readSocks(channel);
        to = { kind: "tcp", ...socks.to };
        try {
          const socket = await this.#dial(to);
          socks.granted();
          await this.#pass(id, from, formatPlace(to), channel, socket);
        } catch (error) {
          socks.refused(false);
          channel.end();
          throw error;
        }
        return;
      }
      const socket = await this.#dial(to).catch((error: unknown) => {
        remote.refuse(sentenceOf(error));
        throw error;
      });
      await this.#pass(id, from, formatPlace(to), remote.accept(), socket);
    } catch (error) {
      this.#tellRefused(id, from, to, error);
    }
  }

  #tellRefused(id: number, from: string, to: Place | undefined, error: unknown): void {
    this.#refused += 1;
    const place = to === undefined ? undefined : formatPlace(to);
    this.#tell({ event: "refused", id, from, to: place, reason: sentenceOf(error) });
  }

  #dial(to: Place): Promise<Socket> {
    const options = { timeoutMs: dialMs, signal: this.#stop.signal };
    if (to.kind === "unix") return dialUnix(to.path, options);
    const place: HostPort = { host: to.host, port: to.port };
    return dialTcp(place, options);
  }

  async #pass(id: number, from: string, to: string, one: Duplex, other: Duplex): Promise<void> {
    const sinceMs = Date.now();
    this.#opened += 1;
    this.#passing.set(id, { id, from, to, sinceMs, streams: [one, other] });
    this.#tell({ event: "opened", id, from, to });
    const { bytesOut, bytesIn } = await join(one, other);
    this.#passing.delete(id);
    this.#bytesOut += bytesOut;
    this.#bytesIn += bytesIn;
    this.#tell({ event: "closed", id, from, to, bytesOut, bytesIn, ms: Date.now() - sinceMs });
  }

  /** The connection, or the next one if that comes soon. */
  async #current(): Promise<ClientConnection> {
    if (this.#connection !== undefined) return this.#connection;
    if (this.#waiting.size >= maxHeld) throw new Error("Too many connections wait for the server.");
    const { holdMs = defaultHoldMs } = this.#options;
    const coming = Promise.withResolvers<ClientConnection | undefined>();
    const timer = setTimeout(() => coming.resolve(undefined), holdMs);
    this.#waiting.add(coming.resolve);
    try {
      const connection = await coming.promise;
      if (connection === undefined) throw new Error(`There is no connection to ${this.#through} now.`);
      return connection;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(coming.resolve);
    }
  }
}

/** Whether another try may end otherwise. A host key that is not right is never passed over. */
function isPassing(error: unknown, keepTrying: boolean): boolean {
  if (!(error instanceof PosternError)) return false;
  if (error.code === "UPSTREAM_CLIENT_HOST_KEY") return false;
  return (
    error.blame === "UPSTREAM" ||
    (keepTrying && error.code === "DENIED_CLIENT_LOGIN") ||
    error.code === "DENIED_CLIENT_CHANNEL"
  );
}

export function sentenceOf(error: unknown): string {
  if (error instanceof PosternError)
    return error.code.includes("_CLIENT_") ? (error.detail ?? error.message) : `${error.message}.`;
  return error instanceof Error ? error.message : String(error);
}

function peerOf(socket: Socket): string {
  const { remoteAddress, remotePort } = socket;
  if (remoteAddress === undefined || remotePort === undefined) return "a local socket";
  return formatHostPort({ host: remoteAddress.replace(/^::ffff:(?=\d+\.)/, ""), port: remotePort });
}
