import { connect, createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type Clock, systemClock } from "#base";
import { defaultAlgorithms, systemRandom } from "#ssh/algorithms";
import { Link, type LinkOptions } from "#link";
import {
  type ConnClose,
  type PacketHandler,
  type PacketView,
  payloadOf,
  type RekeyLimits,
} from "#ssh/transport";
import { testHostKey } from "#test/support/engines";

export interface LinkPairOptions {
  readonly clock?: Clock;
  readonly rekey?: RekeyLimits;
  readonly ciphers?: readonly string[];
}

export function linkOptions(role: "client" | "server", options: LinkPairOptions = {}): LinkOptions {
  const key = testHostKey();
  const common = {
    version: "SSH-2.0-Test",
    algorithms: { ...defaultAlgorithms, ciphers: options.ciphers ?? defaultAlgorithms.ciphers },
    extensions: new Map(),
    ...(options.rekey === undefined ? {} : { rekey: options.rekey }),
    random: systemRandom,
    clock: options.clock ?? systemClock,
    handshakeMs: 10_000,
  };
  if (role === "client") return { ...common, role, checkHostKey: () => {} };
  const signer = {
    blob: key.publicKey.blob,
    algorithms: key.algorithms,
    sign: (algorithm: string, data: Uint8Array) => key.sign(algorithm, data),
  };
  return { ...common, role, hostKeys: [signer] };
}

/** A pair of connected sockets, nothing read from either: the accepted one as net.Server gives it. */
export async function socketPair(): Promise<AsyncDisposable & { near: Socket; far: Socket; server: Server }> {
  const server = createServer({ pauseOnConnect: true });
  const accepted = new Promise<Socket>((resolve) => server.once("connection", resolve));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const near = connect(address.port, "127.0.0.1").pause();
  await new Promise((resolve) => near.once("connect", resolve));
  const far = await accepted;
  return {
    near,
    far,
    server,
    async [Symbol.asyncDispose]() {
      near.destroy();
      far.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Two links over sockets, after their first key exchange. */
export async function linkPair(
  options: LinkPairOptions = {},
): Promise<
  AsyncDisposable & { client: Link; server: Link; sockets: Awaited<ReturnType<typeof socketPair>> }
> {
  const sockets = await socketPair();
  const client = link(sockets.near, "client", options);
  const server = link(sockets.far, "server", options);
  await Promise.all([client.established, server.established]);
  return {
    client,
    server,
    sockets,
    async [Symbol.asyncDispose]() {
      client.destroy();
      server.destroy();
      await sockets[Symbol.asyncDispose]();
    },
  };
}

export function link(stream: Duplex, role: "client" | "server", options: LinkPairOptions = {}): Link {
  return new Link(stream, linkOptions(role, options));
}

/** Keeps what it is shown; `until` waits for a number of payloads, `closed` for the end. */
export class Collector implements PacketHandler {
  readonly payloads: Uint8Array[] = [];
  bytes = 0;
  drains = 0;
  /** False: packets are left. */
  open = true;
  /** False: payloads are counted, not kept. */
  keep = true;
  readonly closed: (close: ConnClose) => void;
  readonly end: Promise<ConnClose>;
  readonly #waiting: { readonly done: () => boolean; readonly resolve: () => void }[] = [];

  constructor() {
    const end = Promise.withResolvers<ConnClose>();
    this.end = end.promise;
    this.closed = (close) => {
      end.resolve(close);
      this.#look();
    };
  }

  ready(): boolean {
    return this.open;
  }

  packet(packet: PacketView): void {
    const payload = payloadOf(packet);
    this.bytes += payload.length;
    if (this.keep) this.payloads.push(Uint8Array.from(payload));
    this.#look();
  }

  drain(): void {
    this.drains++;
    this.#look();
  }

  /** Resolves as soon as `done()` is true, looked at after each payload, drain and the end. */
  async until(done: () => boolean): Promise<void> {
    if (done()) return;
    await new Promise<void>((resolve) => this.#waiting.push({ done, resolve }));
  }

  #look(): void {
    for (const [n, waiting] of [...this.#waiting.entries()].reverse()) {
      if (!waiting.done()) continue;
      this.#waiting.splice(n, 1);
      waiting.resolve();
    }
  }
}
