import { createServer, type Server, type Socket } from "node:net";
import { type Clock, systemClock } from "#base";
import { Link } from "#link";
import { defaultAlgorithms, type RandomBytes, systemRandom } from "#ssh/algorithms";
import { ConnectionMux } from "#ssh/connection";
import type { PrivateKey } from "#ssh/keys";
import { DISCONNECT } from "#ssh/messages";
import type { PacketConn } from "#ssh/transport";
import { type DemoUsers, login } from "./login.ts";
import { Session } from "./session.ts";

/** Connections at once; more wait in the kernel's queue or are dropped by it. */
export const maxDemoConnections = 256;
/** Sessions and other channels of one connection. */
export const maxDemoChannels = 64;
/** Milliseconds for the key exchange, and again for the login. */
export const demoGraceMs = 60_000;
/** Milliseconds that clients have to close when the upstream stops. */
const farewellMs = 1_000;
/** Bytes of receive window of each channel: little, as there is nothing to be fast for. */
const windowBytes = 512 * 1024;
const maxAttempts = 6;

const signatureAlgorithms = [
  "ssh-ed25519",
  "sk-ssh-ed25519@openssh.com",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "sk-ecdsa-sha2-nistp256@openssh.com",
  "rsa-sha2-512",
  "rsa-sha2-256",
];

export interface DemoUpstreamOptions {
  /** Where to listen; loopback unless you want strangers to see the toy. Port 0 takes a free one. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly hostKey: PrivateKey;
  /** User name to password. */
  readonly users: Readonly<Record<string, string>>;
  /** User name to public key blobs that log in too. */
  readonly keys?: Readonly<Record<string, readonly Uint8Array[]>>;
  /** Shown when an interactive shell begins. */
  readonly greeting?: string;
  readonly clock?: Clock;
  readonly random?: RandomBytes;
}

export interface DemoUpstream extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** Connections open now. */
  readonly connections: number;
}

const defaultGreeting = "Welcome to the demo upstream, a toy. Try help; exit or Ctrl-D leaves.\n";

/**
 * Starts an SSH server to try a gateway with: a toy shell that starts no process and touches no file. Rejects as `listen` of node:net
 * does. Disposing closes the port and ends all connections.
 */
export async function startDemoUpstream(options: DemoUpstreamOptions): Promise<DemoUpstream> {
  const clock = options.clock ?? systemClock;
  const links = new Set<Link>();
  const server = createServer({ pauseOnConnect: true, noDelay: true }, (socket) => {
    // Counted here: a link takes its socket out of the server's own count.
    if (links.size >= maxDemoConnections) socket.destroy();
    else void serveSocket(socket, options, links);
  });
  await listening(server, options.listen);
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : options.listen.port;
  return {
    host: options.listen.host,
    port,
    get connections() {
      return links.size;
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      const left = [...links];
      for (const link of left) link.disconnect(DISCONNECT.BY_APPLICATION, "The demo upstream stops.");
      clock.after(farewellMs, () => {
        for (const link of left) link.destroy();
      });
      await closed;
    },
  };
}

function listening(server: Server, listen: DemoUpstreamOptions["listen"]): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: listen.host, port: listen.port }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

async function serveSocket(socket: Socket, options: DemoUpstreamOptions, links: Set<Link>): Promise<void> {
  const link = new Link(socket, {
    role: "server",
    version: "SSH-2.0-PosternDemo",
    algorithms: defaultAlgorithms,
    extensions: new Map([
      ["server-sig-algs", Buffer.from(signatureAlgorithms.join())],
      ["publickey-hostbound@openssh.com", Buffer.from("0")],
    ]),
    hostKeys: [options.hostKey],
    random: options.random ?? systemRandom,
    clock: options.clock ?? systemClock,
    handshakeMs: demoGraceMs,
  });
  links.add(link);
  try {
    await link.established;
    await serveConn(link, options);
  } catch {
    // Why a client did not come through its key exchange is of no interest to a toy.
  }
  links.delete(link);
}

/** The demo upstream on a connection after its key exchange: login, then sessions. Resolves when the connection is over. */
export function serveConn(
  conn: PacketConn,
  options: Omit<DemoUpstreamOptions, "listen" | "hostKey">,
): Promise<void> {
  const clock = options.clock ?? systemClock;
  const users: DemoUsers = { passwords: options.users, keys: options.keys ?? {} };
  const over = Promise.withResolvers<void>();
  const grace = clock.after(demoGraceMs, () =>
    conn.disconnect(DISCONNECT.BY_APPLICATION, "The login took too long."),
  );
  login(conn, {
    users,
    signatureAlgorithms,
    maxAttempts,
    accepted: (user) => {
      grace[Symbol.dispose]();
      const mux = serveUser(conn, user, clock, options.greeting ?? defaultGreeting);
      over.resolve(mux.ended.then(() => undefined));
    },
    closed: () => {
      grace[Symbol.dispose]();
      over.resolve();
    },
  });
  return over.promise;
}

function serveUser(conn: PacketConn, user: string, clock: Clock, greeting: string): ConnectionMux {
  return new ConnectionMux(conn, {
    limits: { maxChannels: maxDemoChannels, windowBytes },
    channels: new Map([
      [
        "session",
        (offer) => {
          void new Session(offer, { user, clock, greeting });
        },
      ],
    ]),
  });
}
