import { userInfo } from "node:os";
import type { Duplex } from "node:stream";
import { type HostPort, PosternError, systemClock, version as program } from "#base";
import { Link } from "#link";
import { type AlgorithmPreferences, defaultAlgorithms, systemRandom } from "#ssh/algorithms";
import { ClientConnection, type KeepaliveOptions, type StreamSource } from "./connection.ts";
import { dialTcp } from "./dial.ts";
import { clientErrors } from "./errors.ts";
import { HostKeyCheck, type HostKeyOptions, placeOf } from "./host-keys.ts";
import { Identities } from "./identities.ts";
import { Login, type LoginMemory, type LoginOptions } from "./login.ts";

/** Where to connect, and everything that is needed to get in. Nothing is read from anywhere that is not named here. */
export interface ConnectOptions {
  readonly host: string;
  /** Default 22. */
  readonly port?: number;
  /** Default: the name of the account that runs this. */
  readonly user?: string;
  readonly hostKey?: HostKeyOptions;
  readonly login?: LoginOptions;
  /** Servers to go through, the first one first: each opens the connection to the next. */
  readonly jumps?: readonly ConnectOptions[];
  /** A stream to speak SSH over, instead of a TCP connection to host and port. */
  readonly stream?: StreamSource;
  /** Milliseconds for the connection, and again for the first key exchange. Default 30,000. */
  readonly timeoutMs?: number;
  readonly keepalive?: KeepaliveOptions;
  /** Told what was passed over, and what a server has to say: one sentence each, not for programs. */
  readonly notice?: (text: string) => void;
  /** Comment in our version line, after the name of this program: `Host: web1`. */
  readonly versionComment?: string;
  /** Software version in our version line. Default `Postern_…`. */
  readonly software?: string;
  /**
   * Hides `Host: NAME` in the first packet, for gates that read an HTTP request out of an SSH stream. Only AES-GCM is offered then: the
   * other ciphers need strict key exchange, which such a packet rules out.
   */
  readonly hostHeader?: string;
  readonly algorithms?: Partial<AlgorithmPreferences>;
  /** Local address to connect from. */
  readonly bindAddress?: string;
  /** Only IPv4, or only IPv6. */
  readonly family?: 4 | 6;
  readonly signal?: AbortSignal;
}

const defaultTimeoutMs = 30_000;

/** Milliseconds that a person has for the question about a host key; the server's own patience is shorter. */
const thinkingMs = 3_600_000;

/** What a connection remembers for the next one to the same place. */
export type KnownLogins = WeakMap<object, LoginMemory>;

/**
 * Connects to an SSH server, checks its host key and logs in.
 *
 * Throws UPSTREAM_CLIENT_UNREACHABLE, UPSTREAM_CLIENT_HANDSHAKE, UPSTREAM_CLIENT_HOST_KEY, UPSTREAM_CLIENT_LOST,
 * DENIED_CLIENT_LOGIN; the `detail` of each is a sentence for people.
 *
 *     await using connection = await connect({ host: "web1", user: "ada", login: { keyFiles: ["id_ed25519"] } });
 */
export async function connect(
  options: ConnectOptions,
  remembered: KnownLogins = new WeakMap(),
): Promise<ClientConnection> {
  const [jump, ...later] = [...(options.jumps ?? [])].reverse();
  if (jump === undefined) return await connectOver(options, undefined, remembered);
  // The last hop is reached over those before it.
  const signal = options.signal ?? jump.signal;
  const hop = await connect(
    { ...jump, jumps: [...later].reverse(), ...(signal === undefined ? {} : { signal }) },
    remembered,
  );
  try {
    return await connectOver(options, hop, remembered);
  } catch (error) {
    await hop.close();
    throw error;
  }
}

async function connectOver(
  options: ConnectOptions,
  hop: ClientConnection | undefined,
  remembered: KnownLogins,
): Promise<ClientConnection> {
  const { host, port = 22, user = userInfo().username, signal } = options;
  const address = { host, port };
  const where = placeOf(address);
  // Before dialling: a gate that waits for our first words should not wait for our files.
  const check = await HostKeyCheck.open(address, options.hostKey ?? {}, options.notice ?? ((): void => {}));
  const stream = await streamTo(address, options, hop);
  let link: Link | undefined;
  const abort = (): void => {
    link?.destroy();
    stream.destroy();
  };
  signal?.addEventListener("abort", abort, { once: true });
  try {
    if (signal?.aborted === true) throw givenUp(where, signal.reason);
    await handshake(stream, address, check, options, (made) => (link = made));
    if (link === undefined) throw givenUp(where, undefined);
    const login = options.login ?? {};
    const notice = login.notice ?? options.notice;
    const whole = notice === undefined ? login : { ...login, notice };
    let memory = remembered.get(login);
    if (memory === undefined) remembered.set(login, (memory = { identities: new Identities(whole) }));
    await new Login(link, where, user, whole, memory).run();
    return new ClientConnection({
      link,
      address,
      where,
      user,
      keepalive: options.keepalive ?? { intervalMs: 0, maxMissed: 3 },
      notice: options.notice ?? ((): void => {}),
      release: async () => await hop?.close(),
    });
  } catch (error) {
    abort();
    throw signal?.aborted === true ? givenUp(where, error) : error;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

async function streamTo(
  address: HostPort,
  options: ConnectOptions,
  hop: ClientConnection | undefined,
): Promise<Duplex> {
  const { stream, timeoutMs = defaultTimeoutMs, signal, bindAddress, family } = options;
  if (hop !== undefined) return await hop.openTcp(address);
  if (stream !== undefined) return await stream(signal);
  return await dialTcp(address, { timeoutMs, signal, bindAddress, family });
}

/** `made` gets the link at once: the stream is its own from then on, so ending it early is done by the link. */
async function handshake(
  stream: Duplex,
  address: HostPort,
  check: HostKeyCheck,
  options: ConnectOptions,
  made: (link: Link) => void,
): Promise<void> {
  const { timeoutMs = defaultTimeoutMs } = options;
  if (stream.destroyed) {
    throw new clientErrors.UPSTREAM_CLIENT_HANDSHAKE(
      `No SSH connection to ${placeOf(address)}: the way there ended before it began.`,
    );
  }
  const { hostHeader, versionComment = hostHeader === undefined ? undefined : "/ HTTP/1.1" } = options;
  const algorithms = algorithmsFor(options);
  const software = options.software ?? `Postern_${program}`;
  const comment = versionComment === undefined ? "" : ` ${versionComment}`;
  let late = false;
  /** Why the host key was not accepted: whoever was asked may have thrown something of its own. */
  let refusal: { readonly error: unknown } | undefined;
  const link = new Link(stream, {
    role: "client",
    version: `SSH-2.0-${software}${comment}`,
    algorithms: { ...algorithms, hostKeys: check.order(algorithms.hostKeys) },
    extensions: new Map(),
    ...(hostHeader === undefined ? {} : { firstIgnore: Buffer.from(`\r\nHost: ${hostHeader}\r\n\r\n`) }),
    random: systemRandom,
    clock: systemClock,
    handshakeMs: thinkingMs,
    checkHostKey: async (_algorithm, blob) => {
      // Somebody may be asked now: their time is not the server's.
      clearTimeout(timer);
      try {
        await check.check(blob);
      } catch (error) {
        refusal = { error };
        throw error;
      }
    },
  });
  made(link);
  const timer = setTimeout(() => {
    late = true;
    link.destroy();
  }, timeoutMs);
  try {
    await link.established;
  } catch (error) {
    link.destroy();
    if (refusal !== undefined) throw refusal.error;
    throw noHandshake(address, error, late ? timeoutMs : undefined);
  } finally {
    clearTimeout(timer);
  }
}

function algorithmsFor({ hostHeader, algorithms }: ConnectOptions): AlgorithmPreferences {
  const all = { ...defaultAlgorithms, ...algorithms };
  if (hostHeader === undefined) return all;
  return { ...all, ciphers: all.ciphers.filter((name) => name.includes("-gcm@")) };
}

const hints: Readonly<Record<string, string>> = {
  PEER_STREAM_ENDED: "it closed the connection before the key exchange was done. Is that an SSH server?",
  PEER_NOT_SSH: "what answers there speaks no SSH.",
};

function noHandshake(address: HostPort, error: unknown, lateMs: number | undefined): Error {
  const code = error instanceof PosternError ? error.code : "";
  const late = `it accepted the connection, but did not complete the key exchange in ${(lateMs ?? 0) / 1000} s.`;
  const said = `${error instanceof Error ? error.message : String(error)}.`;
  const reason = lateMs === undefined ? (hints[code] ?? said) : late;
  return new clientErrors.UPSTREAM_CLIENT_HANDSHAKE(`No SSH connection to ${placeOf(address)}: ${reason}`, {
    cause: error,
  });
}

function givenUp(where: string, cause: unknown): Error {
  return new clientErrors.UPSTREAM_CLIENT_UNREACHABLE(`Cannot connect to ${where}: given up.`, { cause });
}
