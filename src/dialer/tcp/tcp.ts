import { connect, type Socket } from "node:net";
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

/** TCP to a host name or address; a name's IPv6 and IPv4 addresses are raced (RFC 8305). */
export const tcp: DialerKind<TcpConfig> = {
  kind: "tcp",
  summary: "TCP to a host name or address, IPv6 and IPv4 raced.",
  schema,
  create: async () => ({ kind: "tcp", dial, [Symbol.asyncDispose]: async () => {} }),
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
