import { type Clock, formatHostPort, type Log, PeerWatch, PosternError, type Timer } from "#base";
import type { Route } from "#contract";
import type { KeepaliveOptions } from "#pipe";
import { type MountEnd, type MountWay, type SymlinkOrder, symlinkOrder } from "#sftp";
import { type Channel, ConnectionMux } from "#ssh/connection";
import { encodeSubsystemRequest } from "#ssh/messages";
import { gatewayErrors } from "./errors.ts";
import type { UpstreamEntry } from "./upstream-entry.ts";
import type { UpstreamLogin } from "./upstream-login.ts";

export interface MountHostOptions {
  readonly route: Route;
  readonly user: string;
  /** Makes one for a connection of its own. */
  readonly entry: () => UpstreamEntry;
  /** Milliseconds that the host has to open a channel, and its SFTP server to answer. */
  readonly answerMs: number;
  readonly keepalive: KeepaliveOptions;
  /** Our version line to the host. */
  readonly ourVersion: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** One connection to a mount's host, logged in. */
interface Connected {
  readonly upstream: UpstreamLogin;
  readonly mux: ConnectionMux;
  readonly where: string;
  readonly symlinks: SymlinkOrder;
}

/** The host of one mount: entered when a channel to it is wanted first, for all channels of the session; anew when that is lost. */
export class MountHost implements AsyncDisposable {
  readonly #options: MountHostOptions;
  #connection: Promise<Connected> | undefined;
  #upstream: string | undefined;
  #over = false;

  constructor(options: MountHostOptions) {
    this.#options = options;
  }

  /** User, host and port of its connection, as long as there is one. */
  get upstream(): string | undefined {
    return this.#upstream;
  }

  /** A channel to its SFTP server. Rejects with what the client may be told. */
  async open(end: MountEnd): Promise<MountWay> {
    const { route, answerMs, clock } = this.#options;
    try {
      const connected = await this.#connected();
      const { upstream, mux, where, symlinks } = connected;
      let late = false;
      // Disposed of when the server there has answered.
      const timer = clock.after(answerMs, () => {
        late = true;
        upstream.link.destroy();
      });
      const why = (detail: string): PosternError =>
        late
          ? new gatewayErrors.UPSTREAM_LOGIN_TIMEOUT(where)
          : new gatewayErrors.UPSTREAM_NO_SFTP(`${where}: ${detail}`);
      const opened = await mux.open("session", { discardStderr: true });
      if (opened.opened && (await opened.channel.request("subsystem", encodeSubsystemRequest("sftp")))) {
        const name = `${route.user}@${where}`;
        return new HostWay(opened.channel, {
          timer,
          place: where,
          upstream: name,
          symlinks,
          end,
          isLate: () => late,
        });
      }
      timer[Symbol.dispose]();
      if (opened.opened) opened.channel.destroy();
      throw why(opened.opened ? "the subsystem is refused" : opened.description.slice(0, shownChars));
    } catch (error) {
      throw error instanceof PosternError
        ? error
        : new gatewayErrors.BUG_SESSION(undefined, { cause: error });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over = true;
    const connected = await this.#connection?.catch(() => undefined);
    await connected?.upstream[Symbol.asyncDispose]();
  }

  async #connected(): Promise<Connected> {
    const connection = (this.#connection ??= this.#connect());
    const forget = (): void => {
      if (this.#connection !== connection) return;
      this.#connection = undefined;
      this.#upstream = undefined;
    };
    try {
      const connected = await connection;
      if (this.#connection === connection) this.#upstream = `${this.#options.route.user}@${connected.where}`;
      void connected.mux.ended.then(forget);
      return connected;
    } catch (error) {
      forget();
      throw error;
    }
  }

  async #connect(): Promise<Connected> {
    const { route, user, entry: entryOf, keepalive, clock, log } = this.#options;
    const entry = entryOf();
    try {
      await entry.enter(route, user, undefined);
      const upstream = entry.take();
      // A connection that is over by now would not tell again.
      if (upstream === undefined || upstream.over) throw new gatewayErrors.UPSTREAM_LOST(route.rule);
      if (this.#over) {
        await upstream[Symbol.asyncDispose]();
        throw new gatewayErrors.UPSTREAM_LOST(route.rule);
      }
      const { link } = upstream;
      const mux = new ConnectionMux(link);
      const where = formatHostPort(upstream.address);
      const alive = new PeerWatch(link, clock, {
        ...keepalive,
        probed: link.probed,
        ask: () => mux.probe(),
        dead: () => {
          log.warn("mount-silent", { upstream: where });
          link.destroy();
        },
      });
      void mux.ended.then(() => alive[Symbol.dispose]());
      return { upstream, mux, where, symlinks: symlinkOrder(link.peerVersion, this.#options.ourVersion) };
    } finally {
      await entry.drop();
    }
  }
}

/** Of the host's own words, in the log. */
const shownChars = 200;

interface WayParts {
  readonly timer: Timer;
  readonly isLate: () => boolean;
  readonly place: string;
  readonly upstream: string;
  readonly symlinks: SymlinkOrder;
  readonly end: MountEnd;
}

/** One channel to the SFTP server of a host. */
class HostWay implements MountWay {
  readonly place: string;
  readonly upstream: string;
  readonly symlinks: SymlinkOrder;
  readonly #channel: Channel;
  readonly #timer: Timer;
  #closed = false;

  constructor(channel: Channel, { timer, isLate, place, upstream, symlinks, end }: WayParts) {
    this.place = place;
    this.upstream = upstream;
    this.symlinks = symlinks;
    this.#channel = channel;
    this.#timer = timer;
    channel.readLent((bytes) => end.received(bytes));
    channel.on("drain", () => end.drained());
    const over = (): void => {
      timer[Symbol.dispose]();
      if (this.#closed) return;
      this.#closed = true;
      channel.destroy();
      end.ended(
        isLate()
          ? new gatewayErrors.UPSTREAM_LOGIN_TIMEOUT(place)
          : new gatewayErrors.UPSTREAM_LOST(`${upstream}: its SFTP channel has ended`),
      );
    };
    channel.once("end", over);
    channel.once("close", over);
  }

  get queuedBytes(): number {
    return this.#channel.writableLength;
  }

  send(bytes: Uint8Array): void {
    if (!this.#closed) this.#channel.write(Buffer.from(bytes));
  }

  greeted(): void {
    this.#timer[Symbol.dispose]();
  }

  close(): void {
    this.#closed = true;
    this.#timer[Symbol.dispose]();
    this.#channel.destroy();
  }
}
