import { type Clock, formatHostPort, PosternError } from "#base";
import type { Route, UpstreamFiles } from "#contract";
import { ConnectionMux } from "#ssh/connection";
import { encodeSubsystemRequest } from "#ssh/messages";
import { gatewayErrors } from "./errors.ts";
import { readOverSftp } from "./sftp-read.ts";
import type { UpstreamEntry } from "./upstream-entry.ts";
import type { UpstreamLogin } from "./upstream-login.ts";

export interface UpstreamFilesOptions {
  readonly route: Route;
  readonly user: string;
  /** Makes one for a connection of its own. */
  readonly entry: () => UpstreamEntry;
  /** Milliseconds that reading may take once we are in. */
  readonly readMs: number;
  readonly clock: Clock;
  /** The client has gone. */
  readonly signal: AbortSignal;
}

/**
 * Files of the upstream that a route leads to, each read over a connection of its own: the session's own begins untouched, with the
 * numbers of its first channel free.
 */
export function upstreamFiles(options: UpstreamFilesOptions): UpstreamFiles {
  const { route, user, entry } = options;
  return {
    place: `${route.rule} ${route.user}@${route.addresses.map(formatHostPort).sort().join(",")}`,
    read: async (path, maxBytes) => {
      const entered = entry();
      let upstream: UpstreamLogin | undefined;
      try {
        await entered.enter(route, user, undefined);
        upstream = entered.take();
        if (upstream === undefined) throw new gatewayErrors.UPSTREAM_LOST(route.rule);
        return await readFile(upstream, path, maxBytes, options);
      } finally {
        await upstream?.[Symbol.asyncDispose]();
        await entered.drop();
      }
    },
  };
}

async function readFile(
  { link, address }: UpstreamLogin,
  path: string,
  maxBytes: number,
  { readMs, clock, signal }: UpstreamFilesOptions,
): Promise<Uint8Array | undefined> {
  const where = formatHostPort(address);
  const unreadable = (why: string, cause?: unknown): Error =>
    new gatewayErrors.UPSTREAM_FILE_UNREADABLE(`${where}: ${path}: ${why}`, { cause });
  const mux = new ConnectionMux(link);
  const end = (): void => link.destroy();
  using limits = new DisposableStack();
  limits.use(clock.after(readMs, end));
  signal.addEventListener("abort", end, { once: true });
  limits.defer(() => signal.removeEventListener("abort", end));
  try {
    const opened = await mux.open("session", { discardStderr: true });
    if (!opened.opened) throw unreadable(opened.description);
    const { channel } = opened;
    if (!(await channel.request("subsystem", encodeSubsystemRequest("sftp"))))
      throw unreadable("it has no SFTP");
    return await readOverSftp(channel, path, maxBytes);
  } catch (error) {
    // A stream that is cut off throws errors of its own.
    throw error instanceof PosternError
      ? error
      : unreadable("the connection was lost, or took too long", error);
  }
}
