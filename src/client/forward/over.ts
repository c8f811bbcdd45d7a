import { PosternError } from "#base";
import type { ClientConnection } from "../connection.ts";
import type { ForwardEvent } from "./events.ts";
import { Passages } from "./passages.ts";
import type { ForwardSpec } from "./spec.ts";

export interface ForwardOverOptions {
  readonly forwards: readonly ForwardSpec[];
  /** For people: which server that is. */
  readonly through: string;
  /** One forwarding that cannot be had is thrown; else it is told. */
  readonly exitOnForwardFailure?: boolean;
  /** Take the place of UNIX sockets that are there already. */
  readonly unlink?: boolean;
  readonly onEvent?: (event: ForwardEvent) => void;
}

/**
 * Forwards over a connection that serves other ends too, as long as it lasts. Throws OPERATOR_CLIENT_LISTEN and DENIED_CLIENT_CHANNEL
 * where `exitOnForwardFailure` says so.
 */
export async function forwardOver(
  connection: ClientConnection,
  { forwards, through, exitOnForwardFailure = false, unlink = false, onEvent }: ForwardOverOptions,
): Promise<AsyncDisposable> {
  const stop = new AbortController();
  const passages = new Passages({
    connection: () => Promise.resolve(connection),
    through,
    unlink,
    signal: stop.signal,
    tell: (event) => onEvent?.(event),
  });
  const close = async (): Promise<void> => {
    stop.abort();
    await passages.close();
  };
  for (const spec of forwards) {
    try {
      if (spec.side === "remote") await passages.listenThere(connection, spec);
      else passages.tellForwarding(spec, await passages.listenHere(spec));
    } catch (error) {
      if (exitOnForwardFailure || !(error instanceof PosternError)) {
        await close();
        throw error;
      }
      passages.tellFailed(spec, error);
    }
  }
  return { [Symbol.asyncDispose]: close };
}
