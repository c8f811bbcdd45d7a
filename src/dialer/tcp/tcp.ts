import { connect, Socket } from "node:net";
import * as z from "zod";
import { formatHostPort } from "#base";
import type { DialerKind } from "#contract";
import { dialerErrors } from "../errors.ts";

const schema = z.strictObject({ kind: z.literal("tcp") });

export interface TcpConfig {
  readonly kind: "tcp";
}

/** RFC 8305, section 8: the recommended delay before the next address of a name is tried beside the first. */
const raceDelayMs = 250;

/**
 * After so much silence the kernel asks (TCP keepalive), and gives up after two minutes, as `keepalive` does. Before Node 26 it would give
 * up after ten seconds: too soon for a network that stumbles, so it asks after hours, as it does by itself, and that counts for nothing.
 */
const probes = { initialDelay: 30_000, interval: 10_000, count: 9 } as const;
const probing = Socket.prototype.setKeepAlive.length > 2;

/** TCP to a host name or address; a name's IPv6 and IPv4 addresses are raced (RFC 8305). */
export const tcp: DialerKind<TcpConfig> = {
  kind: "tcp",
  summary: "TCP to a host name or address, IPv6 and IPv4 raced.",
  schema,
  create: async () => ({ kind: "tcp", probing, dial, [Symbol.asyncDispose]: async () => {} }),
};

function dial(
  address: { readonly host: string; readonly port: number },
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<Socket> {
  const where = formatHostPort(address);
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(new dialerErrors.UPSTREAM_UNREACHABLE(`${where}: given up`, { cause: signal.reason }));
      return;
    }
    const socket = connect({
      ...address,
      noDelay: true,
      keepAlive: true,
      autoSelectFamily: true,
      autoSelectFamilyAttemptTimeout: raceDelayMs,
    });
    const settle = (error?: Error): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
      socket.removeAllListeners();
      if (error === undefined) {
        // Whoever takes it reads it; until then nothing may flow, and an early error must not end the process.
        socket.pause();
        if (probing) probe(socket);
        socket.on("error", () => {});
        resolve(socket);
      } else {
        socket.on("error", () => {});
        socket.destroy();
        reject(error);
      }
    };
    const abort = (): void =>
      settle(new dialerErrors.UPSTREAM_UNREACHABLE(`${where}: given up`, { cause: signal.reason }));
    const timer = setTimeout(
      () => settle(new dialerErrors.UPSTREAM_TIMEOUT(`${where}: no answer in ${timeoutMs} ms`)),
      timeoutMs,
    );
    signal.addEventListener("abort", abort, { once: true });
    socket.once("connect", () => settle());
    socket.once("error", (cause) =>
      settle(new dialerErrors.UPSTREAM_UNREACHABLE(`${where}: ${reasonOf(cause)}`, { cause })),
    );
  });
}

/** Node gathers the failures of a race in an AggregateError that has no text of its own. */
function reasonOf(cause: Error): string {
  if (cause instanceof AggregateError) return cause.errors.map(String).join("; ");
  return cause.message;
}

/** Node's types do not know the third and fourth yet. */
function probe(socket: {
  setKeepAlive(on: boolean, delay: number, interval?: number, count?: number): unknown;
}): void {
  socket.setKeepAlive(true, probes.initialDelay, probes.interval, probes.count);
}
