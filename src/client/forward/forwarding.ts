import { formatHostPort, PosternError } from "#base";
import { connect, type ConnectOptions, type KnownLogins } from "../connect.ts";
import type { ClientConnection } from "../connection.ts";
import { type ForwardEvent, type ForwardingStatus, sentenceOf } from "./events.ts";
import { Passages } from "./passages.ts";
import type { ForwardSpec } from "./spec.ts";

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

/** How long a local connection waits while there is no server. */
const defaultHoldMs = 30_000;
/** Local connections that wait for the server at once. */
const maxHeld = 1024;
/** A connection that held this long was a good one: the next wait begins small again. */
const steadyMs = 30_000;
/** Between tries at a port of the server that its last session may still hold. */
const remoteRetryMs = 5_000;

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
  readonly #logins: KnownLogins = new WeakMap();
  readonly #stop = new AbortController();
  readonly #passages: Passages;
  readonly #retries = new Set<NodeJS.Timeout>();
  readonly #waiting = new Set<(connection: ClientConnection | undefined) => void>();
  #connection: ClientConnection | undefined;

  /** For `forward`. */
  constructor(options: ForwardOptions) {
    this.#options = options;
    this.#end = Promise.withResolvers();
    this.ended = this.#end.promise;
    const { signal } = options.connect;
    this.#passages = new Passages({
      connection: () => this.#current(),
      through: this.#through,
      unlink: options.unlink ?? false,
      signal: this.#stop.signal,
      tell: (event) => this.#tell(event),
    });
    if (signal?.aborted === true) this.#stop.abort();
    signal?.addEventListener("abort", () => void this.close(), { once: true });
  }

  get status(): ForwardingStatus {
    return { connected: this.#connection !== undefined, ...this.#passages.status };
  }

  /** For `forward`. */
  async start(): Promise<void> {
    const { forwards, exitOnForwardFailure = false } = this.#options;
    const failures: Error[] = [];
    const fail = (spec: ForwardSpec, error: unknown): void => {
      if (!(error instanceof PosternError) || exitOnForwardFailure) throw error;
      failures.push(error);
      this.#passages.tellFailed(spec, error);
    };
    // A port that is in use here is known before anybody is asked for a password.
    const listening: [ForwardSpec, string][] = [];
    for (const spec of forwards.filter(({ side }) => side === "local")) {
      try {
        listening.push([spec, await this.#passages.listenHere(spec)]);
      } catch (error) {
        fail(spec, error);
      }
    }
    const [only] = failures;
    if (only !== undefined && failures.length === forwards.length) throw only;
    const connection = await this.#connectAtFirst();
    for (const [spec, place] of listening) this.#passages.tellForwarding(spec, place);
    for (const spec of forwards.filter(({ side }) => side === "remote")) {
      try {
        await this.#passages.listenThere(connection, spec);
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
    const closing = this.#passages.close();
    await this.#connection?.close();
    await closing;
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

  async #connectAtFirst(): Promise<ClientConnection> {
    if (this.#options.keepTrying === true) return await this.#connectAgain(0);
    return await this.#connectOnce(1);
  }

  async #connectOnce(attempt: number): Promise<ClientConnection> {
    this.#tell({ event: "connecting", to: this.#through, attempt });
    const options = { ...this.#options.connect, signal: this.#stop.signal };
    const connection = await connect(options, this.#logins);
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
      await this.#passages.listenThere(connection, spec);
    } catch (error) {
      if (!(error instanceof PosternError) || error.code !== "DENIED_CLIENT_CHANNEL") return;
      this.#passages.tellFailed(spec, error);
      const timer = setTimeout(() => {
        this.#retries.delete(timer);
        if (this.#connection === connection) void this.#listenAgain(connection, spec);
      }, remoteRetryMs);
      this.#retries.add(timer);
    }
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
