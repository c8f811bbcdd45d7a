import { formatHostPort, type HostPort, type Log, PosternError } from "#base";
import type { SpliceRoute } from "#contract";
import type { Duplex } from "node:stream";
import { gatewayErrors } from "./errors.ts";
import type { World } from "./world.ts";

export interface TargetDialOptions {
  readonly world: Pick<World, "dialer">;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** A target that answered, and by which of its addresses. */
export interface ReachedTarget {
  readonly stream: Duplex;
  readonly address: HostPort;
}

/** The first address that can be reached. Throws UPSTREAM_ errors. */
export async function dialTarget(
  { addresses, connectTimeoutMs: timeoutMs }: SpliceRoute,
  { world, log, signal }: TargetDialOptions,
): Promise<ReachedTarget> {
  const failures: PosternError[] = [];
  for (const address of addresses) {
    try {
      return { stream: await world.dialer.dial(address, { timeoutMs, signal }), address };
    } catch (error) {
      if (!(error instanceof PosternError) || error.blame !== "UPSTREAM" || signal.aborted) throw error;
      log.warn("upstream-address-failed", { upstream: formatHostPort(address), error });
      failures.push(error);
    }
  }
  const [only] = failures;
  if (only !== undefined && failures.length === 1) throw only;
  throw new gatewayErrors.UPSTREAM_ADDRESSES_FAILED(failures.map(({ message }) => message).join("; "));
}
