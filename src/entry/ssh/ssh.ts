import type { Server, Socket } from "node:net";
import { z } from "zod";
import { type Endpoint, endpoint, formatEndpoint, formatHostPort, type Log, normalAddress } from "#base";
import type { Arrival, EntryKind, EntryPoint, PeerAddress } from "#contract";
import { bind } from "./bind.ts";

const schema = z.strictObject({
  kind: z.literal("ssh"),
  listen: endpoint.describe("host:port, [v6]:port, unix:/path or systemd[:name]."),
});

export interface SshEntryConfig {
  readonly kind: "ssh";
  readonly listen: Endpoint;
}

/** Streams held before `start`; the kernel's own queue is not ours to use, since Node accepts as soon as it listens. */
const maxEarly = 64;

/** SSH on TCP, on a UNIX socket, or on sockets that systemd passed. */
export const ssh: EntryKind<SshEntryConfig> = {
  kind: "ssh",
  summary: "SSH on TCP (IPv6, IPv4, names), on a UNIX socket, or on sockets passed by systemd.",
  schema,
  async create(config, ports) {
    return new SshEntry(formatEndpoint(config.listen), await bind(config.listen, ports), ports.log);
  },
};

class SshEntry implements EntryPoint {
  readonly kind = "ssh";
  readonly name: string;
  readonly addresses: readonly string[];
  readonly #servers: readonly Server[];
  readonly #early: Arrival[] = [];
  #accept: ((arrival: Arrival) => void) | undefined;

  constructor(name: string, servers: readonly Server[], log: Log) {
    this.name = name;
    this.#servers = servers;
    this.addresses = servers.map(addressOf);
    for (const server of servers) {
      server.on("connection", (socket: Socket) => this.#take(socket));
      server.on("error", (error) => log.error("listener-failed", { listen: name, error }));
    }
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
    const arrival: Arrival = { stream: socket, from, via: this.name };
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
    return { ip, port: remotePort, text: formatHostPort({ host: ip, port: remotePort }) };
  }
  // A TCP socket without a peer has lost it already; a UNIX socket never has one.
  return socket.localAddress === undefined ? { text: "unix" } : undefined;
}

function addressOf(server: Server): string {
  const address = server.address();
  if (address === null) return "closed";
  if (typeof address === "string") return `unix:${address}`;
  return formatHostPort({ host: address.address, port: address.port });
}
