import type { Server, Socket } from "node:net";
import * as z from "zod";
import {
  type Cidr,
  cidr,
  type Endpoint,
  endpoint,
  formatEndpoint,
  formatHostPort,
  type Log,
  normalAddress,
  systemClock,
} from "#base";
import type { Arrival, EntryKind, EntryPoint, EntryPorts, PeerAddress } from "#contract";
import { peek } from "../peek.ts";
import { decodeProxyHeader, maxProxyHeaderBytes, readProxyHeader } from "../proxy-protocol/index.ts";
import { bind } from "./bind.ts";

const schema = z.strictObject({
  kind: z.literal("ssh"),
  listen: endpoint.describe("host:port, [v6]:port, unix:/path or systemd[:name]."),
  proxyFrom: z.array(cidr).optional().describe("Proxies whose PROXY protocol headers are believed."),
});

export interface SshEntryConfig {
  readonly kind: "ssh";
  readonly listen: Endpoint;
  readonly proxyFrom?: readonly Cidr[] | undefined;
}

/** A listener whose trust in proxies can change while it listens. */
export interface SshEntryPoint extends EntryPoint {
  setProxies(proxyFrom: readonly Cidr[]): void;
}

/** A proxy sends its header at once. */
const proxyHeaderMs = 5_000;

/** Streams held before `start`; the kernel's own queue is not ours to use, since Node accepts as soon as it listens. */
const maxEarly = 64;

/** SSH on TCP, on a UNIX socket, or on sockets that systemd passed. */
export const ssh: Omit<EntryKind<SshEntryConfig>, "create"> & {
  create(config: SshEntryConfig, ports: EntryPorts): Promise<SshEntryPoint>;
} = {
  kind: "ssh",
  summary: "SSH on TCP (IPv6, IPv4, names), on a UNIX socket, or on sockets passed by systemd.",
  schema,
  async create(config, ports) {
    const entry = new SshEntry(formatEndpoint(config.listen), await bind(config.listen, ports), ports.log);
    entry.setProxies(config.proxyFrom ?? []);
    return entry;
  },
};

class SshEntry implements SshEntryPoint {
  readonly kind = "ssh";
  readonly name: string;
  readonly addresses: readonly string[];
  readonly #servers: readonly Server[];
  readonly #early: Arrival[] = [];
  readonly #log: Log;
  #proxyFrom: readonly Cidr[] = [];
  #accept: ((arrival: Arrival) => void) | undefined;

  constructor(name: string, servers: readonly Server[], log: Log) {
    this.name = name;
    this.#log = log;
    this.#servers = servers;
    this.addresses = servers.map(addressOf);
    for (const server of servers) {
      server.on("connection", (socket: Socket) => this.#take(socket));
      server.on("error", (error) => log.error("listener-failed", { listen: name, error }));
    }
  }

  setProxies(proxyFrom: readonly Cidr[]): void {
    this.#proxyFrom = proxyFrom;
  }

  start(accept: (arrival: Arrival) => void): void {
    this.#accept = accept;
    for (const arrival of this.#early.splice(0)) accept(arrival);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Not awaited: a closed server is done only when its last stream is, and those are others'.
    for (const server of this.#servers) server.close();
    for (const { stream } of this.#early.splice(0)) stream.destroy();
  }

  #take(socket: Socket): void {
    const from = peerOf(socket);
    if (from === undefined) {
      socket.destroy();
      return;
    }
    const to = localOf(socket);
    const about = { stream: socket, from, via: this.name, ...(to === undefined ? {} : { to }) };
    const { ip } = from;
    if (ip !== undefined && this.#proxyFrom.some((range) => range.contains(ip))) void this.#unwrap(about);
    else this.#hand(ip === undefined ? about : { ...about, probed: true });
  }

  /** For a proxy that we believe: who is behind it. */
  async #unwrap(arrival: Arrival): Promise<void> {
    const { stream, from } = arrival;
    stream.on("error", () => {});
    const limit = AbortSignal.timeout(proxyHeaderMs);
    try {
      const { bytes } = await peek(stream, {
        enough: (each) => decodeProxyHeader(each) !== undefined,
        maxBytes: maxProxyHeaderBytes,
        clock: systemClock,
        signal: limit,
      });
      const { length, source, destination } = readProxyHeader(bytes);
      stream.read(length);
      const behind = source === undefined ? {} : { from: { ...source, text: textOf(source) } };
      this.#hand({ ...arrival, ...behind, ...(destination === undefined ? {} : { to: destination }) });
    } catch (error) {
      this.#log.info("proxy-header-refused", { from: from.text, via: this.name, error });
      stream.destroy();
    }
  }

  #hand(arrival: Arrival): void {
    const socket = arrival.stream;
    if (this.#accept !== undefined) this.#accept(arrival);
    else if (this.#early.length < maxEarly) this.#early.push(arrival);
    else socket.destroy();
  }
}

/** Undefined when the peer has gone again. */
function peerOf(socket: Socket): PeerAddress | undefined {
  if (socket.destroyed) return undefined;
  const { remoteAddress, remotePort } = socket;
  if (remoteAddress !== undefined && remotePort !== undefined) {
    const ip = normalAddress(remoteAddress);
    return { ip, port: remotePort, text: textOf({ ip, port: remotePort }) };
  }
  // A TCP socket without a peer has lost it already; a UNIX socket never has one.
  return socket.localAddress === undefined ? { text: "unix" } : undefined;
}

function localOf({ localAddress, localPort }: Socket): Arrival["to"] {
  if (localAddress === undefined || localPort === undefined) return undefined;
  return { ip: normalAddress(localAddress), port: localPort };
}

function textOf({ ip, port }: { readonly ip: string; readonly port: number }): string {
  return formatHostPort({ host: ip, port });
}

function addressOf(server: Server): string {
  const address = server.address();
  if (address === null) return "closed";
  if (typeof address === "string") return `unix:${address}`;
  return formatHostPort({ host: address.address, port: address.port });
}
