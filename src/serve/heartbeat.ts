import { type Clock, PeerWatch } from "#base";
import type { ServedSession } from "#contract";
import type { ConnectionMux } from "#ssh/connection";
import { DISCONNECT } from "#ssh/messages";

type Watched = Pick<ServedSession, "conn" | "keepalive" | "probed">;

/** Ends the connection of a client that is dead. */
export function heartbeat(
  mux: ConnectionMux,
  { conn, keepalive, probed = false }: Watched,
  clock: Clock,
  random: () => number = Math.random,
): Disposable {
  return new PeerWatch(conn, clock, {
    ...keepalive,
    probed,
    random,
    ask: () => mux.probe(),
    dead: () => mux.disconnect(DISCONNECT.CONNECTION_LOST, "no answer"),
  });
}
