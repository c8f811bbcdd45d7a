import { formatHostPort } from "#base";
import type { Dialer, Tunnels } from "#contract";
import { dialerErrors } from "../errors.ts";

/** What a device is told of who connects, when that is nobody it could know. */
const origin = { host: "127.0.0.1", port: 0 };

/** Streams to devices: the host is a device's name, the port one that it offers. */
export function createTunnelDialer(tunnels: Tunnels): Dialer {
  return {
    kind: "tunnel",
    async dial(address, { timeoutMs, signal }) {
      const late = AbortSignal.timeout(timeoutMs);
      const given = AbortSignal.any([signal, late]);
      const opening = tunnels.open(address.host, address.port, origin, given);
      // A device that never answers keeps nobody waiting; what it opens after all, it closes itself.
      const gone = Promise.withResolvers<never>();
      const giveUp = (): void =>
        gone.reject(
          late.aborted
            ? new dialerErrors.UPSTREAM_TIMEOUT(`${formatHostPort(address)}: no answer in ${timeoutMs} ms`)
            : new dialerErrors.UPSTREAM_UNREACHABLE(`${formatHostPort(address)}: given up`),
        );
      given.addEventListener("abort", giveUp, { once: true });
      if (given.aborted) giveUp();
      opening.catch(() => {});
      try {
        return await Promise.race([opening, gone.promise]);
      } finally {
        given.removeEventListener("abort", giveUp);
      }
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
