import { formatHostPort, type HostPort, PosternError, type Timer } from "#base";
import type { DialOptions, Dialer, HopPorts, SshConnector } from "#contract";
import { ConnectionMux } from "#ssh/connection";
import { encodeTcpipChannel } from "#ssh/messages";
import type { Duplex } from "node:stream";
import { dialerErrors } from "../errors.ts";

export interface JumpOptions {
  readonly address: HostPort;
  /** A connection without channels is closed after so long. */
  readonly idleMs: number;
}

export interface JumpPorts extends HopPorts {
  /** Connects to the jump host, checks its host key and logs in. */
  readonly connector: SshConnector;
}

/** Streams over one connection to a jump host. */
export const maxJumpChannels: number = 4096;

/** One connection to a jump host, and the streams that go over it. */
interface Connection {
  readonly mux: ConnectionMux;
  channels: number;
  /** New streams go over it. */
  current: boolean;
  idle: Timer | undefined;
}

/**
 * Over a jump host, by `direct-tcpip` channels (RFC 4254, section 7.2). One SSH connection to it is made when it is needed first, and
 * shared by all that goes this way.
 */
export class JumpDialer implements Dialer {
  readonly kind = "ssh";
  readonly #options: JumpOptions;
  readonly #ports: JumpPorts;
  readonly #over = new AbortController();
  #connection: Promise<Connection> | undefined;

  constructor(options: JumpOptions, ports: JumpPorts) {
    this.#options = options;
    this.#ports = ports;
  }

  async dial(address: HostPort, options: DialOptions): Promise<Duplex> {
    const where = `jump host ${formatHostPort(this.#options.address)}`;
    const connection = await this.#waitFor(this.#connected(), options.signal, where);
    connection.channels++;
    connection.idle?.[Symbol.dispose]();
    try {
      return await this.#open(connection, address, options, where);
    } catch (error) {
      this.#left(connection);
      // A jump host that is silent may be gone: the next one makes a connection of its own.
      if (error instanceof PosternError && error.code === "UPSTREAM_TIMEOUT") this.#forget(connection);
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    const connection = await this.#connection?.catch(() => undefined);
    if (connection === undefined) return;
    connection.idle?.[Symbol.dispose]();
    connection.mux.disconnect();
  }

  async #open(
    connection: Connection,
    address: HostPort,
    { timeoutMs, signal }: DialOptions,
    where: string,
  ): Promise<Duplex> {
    const data = encodeTcpipChannel({ ...address, originAddress: "127.0.0.1", originPort: 0 });
    const opening = connection.mux.open("direct-tcpip", { data });
    const { clock } = this.#ports;
    const given = Promise.withResolvers<never>();
    using _timer = clock.after(timeoutMs, () =>
      given.reject(new dialerErrors.UPSTREAM_TIMEOUT(`${where}: ${formatHostPort(address)}: no answer`)),
    );
    const abort = (): void => given.reject(new dialerErrors.UPSTREAM_UNREACHABLE(`${where}: given up`));
    signal.addEventListener("abort", abort, { once: true });
    try {
      if (signal.aborted) abort();
      const outcome = await Promise.race([opening, given.promise]);
      if (!outcome.opened) {
        const reason = outcome.description === "" ? `reason ${outcome.reason}` : outcome.description;
        throw new dialerErrors.UPSTREAM_PROXY_REFUSED(`${where}: ${formatHostPort(address)}: ${reason}`);
      }
      const { channel } = outcome;
      channel.on("error", () => {});
      channel.once("close", () => this.#left(connection));
      return channel;
    } catch (error) {
      void opening.then((outcome) => {
        if (outcome.opened) outcome.channel.destroy();
      });
      throw error;
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  /** The connection in place, or a new one. Whoever waits for it may give up; it is made all the same. */
  #connected(): Promise<Connection> {
    if (this.#connection !== undefined) return this.#connection;
    const connecting = this.#connect();
    this.#connection = connecting;
    connecting.catch(() => {
      if (this.#connection === connecting) this.#connection = undefined;
    });
    return connecting;
  }

  async #connect(): Promise<Connection> {
    const { connector, through, log } = this.#ports;
    const jump = formatHostPort(this.#options.address);
    const conn = await connector(through, this.#over.signal);
    const mux = new ConnectionMux(conn, { limits: { maxChannels: maxJumpChannels } });
    const connection: Connection = { mux, channels: 0, current: true, idle: undefined };
    log.info("jump-connected", { jump });
    void mux.ended.then((close) => {
      log.info("jump-closed", { jump, how: close.kind });
      connection.idle?.[Symbol.dispose]();
      this.#forget(connection);
    });
    return connection;
  }

  async #waitFor(connecting: Promise<Connection>, signal: AbortSignal, where: string): Promise<Connection> {
    const given = Promise.withResolvers<never>();
    const abort = (): void => given.reject(new dialerErrors.UPSTREAM_UNREACHABLE(`${where}: given up`));
    signal.addEventListener("abort", abort, { once: true });
    try {
      if (signal.aborted) abort();
      return await Promise.race([connecting, given.promise]);
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  /** A channel has ended. */
  #left(connection: Connection): void {
    connection.channels--;
    if (connection.channels > 0) return;
    const { clock } = this.#ports;
    const ms = connection.current ? this.#options.idleMs : 0;
    connection.idle = clock.after(ms, () => {
      this.#forget(connection);
      connection.mux.disconnect();
    });
  }

  /** Nobody new goes over it. */
  #forget(connection: Connection): void {
    if (!connection.current) return;
    connection.current = false;
    this.#connection = undefined;
    if (connection.channels === 0) connection.mux.disconnect();
  }
}
