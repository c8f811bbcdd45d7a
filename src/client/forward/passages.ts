import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { formatHostPort, type HostPort, PosternError } from "#base";
import type { ClientConnection, RemoteConnection, RemoteListener, RemoteOrigin } from "../connection.ts";
import { dialTcp, dialUnix } from "../dial.ts";
import { type ForwardEvent, type ForwardingStatus, type PassingConnection, sentenceOf } from "./events.ts";
import { join } from "./join.ts";
import { listenLocal, type LocalListener } from "./listen.ts";
import { readSocks } from "./read-socks.ts";
import { type ForwardSpec, formatPlace, type Place } from "./spec.ts";

export interface PassagesOptions {
  /** For what comes here: the connection to the server, or the next one if that comes soon. */
  readonly connection: () => Promise<ClientConnection>;
  /** For people: which server that is. */
  readonly through: string;
  /** Take the place of UNIX sockets that are there already. */
  readonly unlink: boolean;
  /** Ends what is being connected. */
  readonly signal: AbortSignal;
  readonly tell: (event: ForwardEvent) => void;
}

/** Milliseconds to reach the place on our side of a remote forwarding. */
const dialMs = 30_000;

/** Listeners on both sides, and all that passes through them. */
export class Passages {
  readonly #options: PassagesOptions;
  readonly #local: LocalListener[] = [];
  readonly #passing = new Map<number, PassingConnection & { readonly streams: readonly Duplex[] }>();
  #serial = 0;
  #opened = 0;
  #refused = 0;
  #bytesOut = 0;
  #bytesIn = 0;

  constructor(options: PassagesOptions) {
    this.#options = options;
  }

  get status(): Omit<ForwardingStatus, "connected"> {
    return {
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

  /** Listens on our side; gives the place as bound. Throws OPERATOR_CLIENT_LISTEN. */
  async listenHere(spec: ForwardSpec): Promise<string> {
    const take = (socket: Socket): void => void this.#fromLocal(socket, spec);
    const listener = await listenLocal(spec.listen, take, { unlink: this.#options.unlink });
    this.#local.push(listener);
    return formatPlace(listener.place);
  }

  /** Has the server listen, as long as the connection lasts, and tells. Throws DENIED_CLIENT_CHANNEL. */
  async listenThere(connection: ClientConnection, spec: ForwardSpec): Promise<RemoteListener> {
    const take = (remote: RemoteConnection): void => void this.#fromRemote(remote, spec);
    if (spec.listen.kind === "unix") {
      const listener = await connection.listenUnix(spec.listen.path, take);
      this.tellForwarding(spec, formatPlace(spec.listen));
      return listener;
    }
    const { host = "localhost", port } = spec.listen;
    const listener = await connection.listenTcp({ host, port }, take);
    this.tellForwarding(spec, formatPlace({ kind: "tcp", host, port: listener.port ?? port }));
    return listener;
  }

  tellForwarding(spec: ForwardSpec, listen: string): void {
    const to = spec.to === undefined ? undefined : formatPlace(spec.to);
    this.#options.tell({ event: "forwarding", side: spec.side, listen, to, through: this.#options.through });
  }

  tellFailed(spec: ForwardSpec, error: unknown): void {
    const to = spec.to === undefined ? undefined : formatPlace(spec.to);
    const listen = formatPlace(spec.listen);
    this.#options.tell({ event: "forward-failed", side: spec.side, listen, to, reason: sentenceOf(error) });
  }

  /** Ends the listeners on our side, and all that passes. */
  async close(): Promise<void> {
    const closing = this.#local.splice(0).map((listener) => listener[Symbol.asyncDispose]());
    for (const { streams } of this.#passing.values()) for (const stream of streams) stream.destroy();
    await Promise.all(closing);
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
        const connection = await this.#options.connection();
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
    this.#options.tell({ event: "refused", id, from, to: place, reason: sentenceOf(error) });
  }

  #dial(to: Place): Promise<Socket> {
    const options = { timeoutMs: dialMs, signal: this.#options.signal };
    if (to.kind === "unix") return dialUnix(to.path, options);
    const place: HostPort = { host: to.host, port: to.port };
    return dialTcp(place, options);
  }

  async #pass(id: number, from: string, to: string, one: Duplex, other: Duplex): Promise<void> {
    const sinceMs = Date.now();
    this.#opened += 1;
    this.#passing.set(id, { id, from, to, sinceMs, streams: [one, other] });
    this.#options.tell({ event: "opened", id, from, to });
    const { bytesOut, bytesIn } = await join(one, other);
    this.#passing.delete(id);
    this.#bytesOut += bytesOut;
    this.#bytesIn += bytesIn;
    this.#options.tell({ event: "closed", id, from, to, bytesOut, bytesIn, ms: Date.now() - sinceMs });
  }
}

function peerOf(socket: Socket): string {
  const { remoteAddress, remotePort } = socket;
  if (remoteAddress === undefined || remotePort === undefined) return "a local socket";
  return formatHostPort({ host: remoteAddress.replace(/^::ffff:(?=\d+\.)/, ""), port: remotePort });
}
