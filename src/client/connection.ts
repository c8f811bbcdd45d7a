import type { Duplex } from "node:stream";
import { formatHostPort, type HostPort, PosternError } from "#base";
import type { Link } from "#link";
import { type Channel, type ChannelOffer, ConnectionMux, type OpenOptions } from "#ssh/connection";
import {
  decodeBoundPort,
  decodeForwardedStreamlocal,
  decodeTcpipChannel,
  encodeAddressAndPort,
  encodeDirectStreamlocal,
  encodeStreamlocalForward,
  encodeTcpipChannel,
  OPEN_FAILURE,
} from "#ssh/messages";
import type { ConnClose } from "#ssh/transport";
import { Agent } from "./agent.ts";
import { clientErrors } from "./errors.ts";
import { join } from "./forward/join.ts";
import { bindingOf, closeSentence } from "./login.ts";
import { quotable } from "./printable.ts";
import { Session, type SessionOptions } from "./session.ts";
import { X11Forwarding } from "./x11/x11-forwarding.ts";

/** Channels at once: a browser behind a SOCKS port opens hundreds. */
export const maxClientChannels = 4096;

export interface KeepaliveOptions {
  /** Milliseconds between questions; 0 asks nothing. */
  readonly intervalMs: number;
  /** Questions unanswered after which the connection counts as lost. */
  readonly maxMissed: number;
}

/** How a connection ended; `error` is undefined when it was closed here. */
export interface ConnectionEnd {
  readonly error: Error | undefined;
}

/** Where a connection that the server passes on came from. */
export interface RemoteOrigin {
  /** Empty for a UNIX socket. */
  readonly address: string;
  readonly port: number;
}

/** What the server listens on for us, until it is disposed of. */
export interface RemoteListener extends AsyncDisposable {
  /** As bound: for port 0, the one that the server chose. */
  readonly port: number | undefined;
}

/** Takes a connection from a remote listener: `accept` gives the stream, `refuse` sends the other side away. */
export interface RemoteConnection {
  readonly origin: RemoteOrigin;
  accept(): Channel;
  refuse(reason: string): void;
}

interface TcpEntry {
  readonly kind: "tcp";
  /** 0 until the server has said which it chose. Servers name the address as they like; the port is theirs to say right. */
  port: number;
  readonly take: (connection: RemoteConnection) => void;
}

type RemoteEntry =
  | TcpEntry
  | { readonly kind: "unix"; readonly path: string; readonly take: TcpEntry["take"] };

const forwardedTcpip = "forwarded-tcpip";
const forwardedStreamlocal = "forwarded-streamlocal@openssh.com";

interface Parts {
  readonly link: Link;
  readonly address: HostPort;
  readonly where: string;
  readonly user: string;
  readonly keepalive: KeepaliveOptions;
  /** Told what was refused to the server: one sentence each. */
  readonly notice: (text: string) => void;
  /** Called when it has ended, to release what it stands on. */
  readonly release: () => Promise<void>;
}

/** A connection to an SSH server, logged in. */
export class ClientConnection implements AsyncDisposable {
  /** Host and port as connected to. */
  readonly address: HostPort;
  readonly user: string;
  /** The server's version line. */
  readonly serverVersion: string;
  /** Resolves when the connection is over; what it stands on (jump hosts) is released by then. */
  readonly ended: Promise<ConnectionEnd>;
  readonly #where: string;
  readonly #link: Link;
  readonly #mux: ConnectionMux;
  readonly #remote = new Set<RemoteEntry>();
  readonly #notice: (text: string) => void;
  /** The agent and the display that the server may use, once a session has offered them. */
  #agent: Agent | undefined;
  #x11: X11Forwarding | undefined;
  #missed = 0;
  #timer: NodeJS.Timeout | undefined;
  #dead: Error | undefined;

  /** For `connect`. */
  constructor({ link, address, where, user, keepalive, notice, release }: Parts) {
    this.address = address;
    this.user = user;
    this.#where = where;
    this.#link = link;
    this.#notice = notice;
    this.serverVersion = link.peerVersion;
    const offered = (offer: ChannelOffer): void => this.#offered(offer);
    this.#mux = new ConnectionMux(link, {
      channels: new Map([
        [forwardedTcpip, offered],
        [forwardedStreamlocal, offered],
        ["auth-agent@openssh.com", (offer) => void this.#offeredAgent(offer)],
        ["x11", (offer) => void this.#offeredX11(offer)],
      ]),
      limits: { maxChannels: maxClientChannels },
    });
    this.ended = this.#mux.ended.then(async (close) => {
      clearInterval(this.#timer);
      await release();
      return { error: this.#errorOf(close) };
    });
    this.#watch(keepalive);
  }

  get bytesIn(): number {
    return this.#link.bytesIn;
  }

  get bytesOut(): number {
    return this.#link.bytesOut;
  }

  /** Channels open or being opened. */
  get channelCount(): number {
    return this.#mux.channelCount;
  }

  /**
   * A TCP connection from the server to a place that it can reach. Throws DENIED_CLIENT_CHANNEL with the server's reason, or
   * UPSTREAM_CLIENT_LOST.
   */
  async openTcp(to: HostPort, origin: RemoteOrigin = { address: "127.0.0.1", port: 0 }): Promise<Channel> {
    const data = encodeTcpipChannel({
      host: to.host,
      port: to.port,
      originAddress: origin.address,
      originPort: origin.port,
    });
    return await this.#open("direct-tcpip", { data }, formatHostPort(to));
  }

  /** The same to a UNIX socket on the server (OpenSSH's extension). */
  async openUnix(path: string): Promise<Channel> {
    return await this.#open(
      "direct-streamlocal@openssh.com",
      { data: encodeDirectStreamlocal(path) },
      `the socket ${path}`,
    );
  }

  /**
   * A session: a shell, a command or a subsystem. Throws DENIED_CLIENT_CHANNEL. A display that cannot be forwarded is told by `notice`
   * and left out.
   *
   *     await using session = await connection.session({ command: "uname -a" });
   */
  async session(options: SessionOptions): Promise<Session> {
    const { forwardAgent, forwardX11 } = options;
    if (forwardAgent !== undefined) this.#agent = new Agent(forwardAgent, bindingOf(this.#link));
    let x11: X11Forwarding | undefined;
    try {
      if (forwardX11 !== undefined) x11 = this.#x11 ??= await X11Forwarding.open(forwardX11);
    } catch (error) {
      this.#told(error);
    }
    return await Session.start(
      options,
      (channel) => this.#open("session", channel, "a session"),
      { agent: forwardAgent !== undefined, x11: x11?.request },
      this.#notice,
    );
  }

  /**
   * Has the server listen on TCP; `bind` is "" for all its addresses, "localhost" for loopback. Each connection that comes is
   * handed to `take`. Throws DENIED_CLIENT_CHANNEL.
   */
  async listenTcp(bind: HostPort, take: (connection: RemoteConnection) => void): Promise<RemoteListener> {
    const data = encodeAddressAndPort({ address: bind.host, port: bind.port });
    const place = bind.host === "" ? `port ${bind.port}` : formatHostPort(bind);
    // Known before it is asked for: a connection may come in the same breath as the answer.
    const entry: TcpEntry = { kind: "tcp", port: bind.port, take };
    this.#remote.add(entry);
    const reply = await this.#mux.request("tcpip-forward", data);
    if (!reply.success) {
      this.#remote.delete(entry);
      throw this.#notListening(place);
    }
    if (bind.port === 0 && reply.data.length === 4) entry.port = decodeBoundPort(reply.data);
    const { port } = entry;
    return {
      port,
      [Symbol.asyncDispose]: async () => {
        this.#remote.delete(entry);
        await this.#mux.request("cancel-tcpip-forward", encodeAddressAndPort({ address: bind.host, port }));
      },
    };
  }

  /** Has the server listen on a UNIX socket (OpenSSH's extension). Throws DENIED_CLIENT_CHANNEL. */
  async listenUnix(path: string, take: (connection: RemoteConnection) => void): Promise<RemoteListener> {
    const data = encodeStreamlocalForward(path);
    const entry: RemoteEntry = { kind: "unix", path, take };
    this.#remote.add(entry);
    const reply = await this.#mux.request("streamlocal-forward@openssh.com", data);
    if (!reply.success) {
      this.#remote.delete(entry);
      throw this.#notListening(`the socket ${path}`);
    }
    return {
      port: undefined,
      [Symbol.asyncDispose]: async () => {
        this.#remote.delete(entry);
        await this.#mux.request("cancel-streamlocal-forward@openssh.com", data);
      },
    };
  }

  /** Ends the connection: what was sent leaves first. Resolves when it is over. */
  async close(): Promise<void> {
    this.#mux.disconnect();
    await this.ended;
  }

  /** Drops the connection at once. */
  destroy(): void {
    this.#link.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #open(type: string, options: OpenOptions, what: string): Promise<Channel> {
    const outcome = await this.#mux.open(type, options);
    if (outcome.opened) return outcome.channel;
    const { reason, description } = outcome;
    throw new clientErrors.DENIED_CLIENT_CHANNEL(
      `${this.#where} refused ${what}: ${quotable(description) || reasonWords[reason] || `reason ${reason}`}.`,
    );
  }

  #notListening(place: string): Error {
    if (this.#dead !== undefined) return this.#dead;
    return new clientErrors.DENIED_CLIENT_CHANNEL(
      `${this.#where} does not listen on ${place}: the port may be in use there, or its administrator does not allow it.`,
    );
  }

  #offered(offer: ChannelOffer): void {
    const { name, port, origin } = decodeOffer(offer);
    const entries = [...this.#remote];
    const entry =
      offer.type === forwardedTcpip
        ? (entries.find((each) => each.kind === "tcp" && each.port === port) ??
          entries.find((each) => each.kind === "tcp" && each.port === 0))
        : entries.find((each) => each.kind === "unix" && each.path === name);
    if (entry === undefined) {
      offer.refuse(OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED, "nobody here listens for that");
      return;
    }
    entry.take({
      origin,
      accept: () => offer.accept(),
      refuse: (reason) => offer.refuse(OPEN_FAILURE.CONNECT_FAILED, reason),
    });
  }

  /** The server wants to use the agent: only if it was told that it may. */
  async #offeredAgent(offer: ChannelOffer): Promise<void> {
    const agent = this.#agent;
    if (agent === undefined) {
      offer.refuse(OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED, "no agent was offered");
      this.#notice(`${this.#where} wanted to use the agent, which it was not offered: it was refused.`);
      return;
    }
    try {
      const socket = await agent.open();
      await join(offer.accept(), socket);
    } catch (error) {
      this.#told(error);
      offer.refuse(OPEN_FAILURE.CONNECT_FAILED, "the agent cannot be reached");
    }
  }

  async #offeredX11(offer: ChannelOffer): Promise<void> {
    const x11 = this.#x11;
    if (x11 === undefined) {
      offer.refuse(OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED, "no display was offered");
      this.#notice(`${this.#where} wanted to use the display, which it was not offered: it was refused.`);
      return;
    }
    try {
      await x11.take(offer);
    } catch (error) {
      this.#told(error);
    }
  }

  /** For what goes wrong beside the main thing. */
  #told(error: unknown): void {
    if (!(error instanceof PosternError)) throw error;
    if (error.blame === "PEER")
      this.#notice(`An X11 connection from ${this.#where} was refused: ${error.detail ?? ""}.`);
    else this.#notice(error.detail ?? error.message);
  }

  /** The kernel alone may not notice for hours that nobody is there any more. */
  #watch({ intervalMs, maxMissed }: KeepaliveOptions): void {
    if (intervalMs <= 0) return;
    this.#timer = setInterval(() => {
      if (this.#missed >= maxMissed) {
        const seconds = Math.round((intervalMs * maxMissed) / 1000);
        this.#dead = new clientErrors.UPSTREAM_CLIENT_LOST(
          `${this.#where} has not answered for ${seconds} s: the connection counts as lost.`,
        );
        this.#link.destroy();
        return;
      }
      this.#missed += 1;
      const seen = this.#link.bytesIn;
      void this.#mux.request("keepalive@openssh.com").then(() => {
        // The end of the connection answers as well.
        if (this.#link.bytesIn > seen) this.#missed = 0;
      });
    }, intervalMs);
    this.#timer.unref();
  }

  #errorOf(close: ConnClose): Error | undefined {
    if (this.#dead !== undefined) return this.#dead;
    if (close.kind === "local") return undefined;
    return new clientErrors.UPSTREAM_CLIENT_LOST(closeSentence(this.#where, close), { cause: close.error });
  }
}

const reasonWords: Readonly<Record<number, string>> = {
  [OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED]: "its administrator does not allow it",
  [OPEN_FAILURE.CONNECT_FAILED]: "it could not connect",
  [OPEN_FAILURE.UNKNOWN_CHANNEL_TYPE]: "it knows no such thing",
  [OPEN_FAILURE.RESOURCE_SHORTAGE]: "it has no room for more",
};

function decodeOffer({ type, data }: ChannelOffer): { name: string; port: number; origin: RemoteOrigin } {
  if (type === forwardedTcpip) {
    const { host, port, originAddress, originPort } = decodeTcpipChannel(data);
    return { name: host, port, origin: { address: originAddress, port: originPort } };
  }
  const name = Buffer.from(decodeForwardedStreamlocal(data)).toString("utf8");
  return { name, port: 0, origin: { address: "", port: 0 } };
}

/** A stream that somebody else made, to speak SSH over. */
export type StreamSource = (signal: AbortSignal | undefined) => Promise<Duplex> | Duplex;
