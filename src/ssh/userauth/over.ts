import type { PacketConn } from "#ssh/transport";
import { serverSignatureAlgorithms, supportsHostbound } from "./algorithms.ts";
import { UserauthClient } from "./client.ts";

/** The client's half of a login over a connection whose keys are agreed. Whoever owns the connection hands it what comes. */
export function userauthOver(conn: PacketConn, user: string): UserauthClient {
  return new UserauthClient({
    send: (payload) => conn.send(payload),
    sessionId: conn.sessionId,
    user,
    hostKey: conn.hostKey,
    // The server may tell of these at any time before the login: they are read when they are needed.
    get serverSignatureAlgorithms() {
      return serverSignatureAlgorithms(conn.extensions);
    },
    get hostbound() {
      return supportsHostbound(conn.extensions);
    },
  });
}
