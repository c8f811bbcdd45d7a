import { type Clock, PeerWatch } from "#base";
import { encodeGlobalRequest } from "#ssh/messages";
import type { PacketConn } from "#ssh/transport";

export interface KeepaliveOptions {
  /** Milliseconds of silence after which the peer is asked; 0: never. */
  readonly intervalMs: number;
  /** Questions in a row that may stay unanswered. */
  readonly maxMissed: number;
}

/** What is asked whether it is there. */
export type KeptAlive = Pick<PacketConn, "bytesIn" | "bytesOut" | "writable" | "send" | "flush">;

/** A question that every peer answers, if only to say that it does not know it. */
export const keepaliveRequest: Uint8Array = encodeGlobalRequest({
  type: "keepalive@openssh.com",
  wantReply: true,
  data: new Uint8Array(0),
});

export interface KeepaliveEvents {
  /** A request is sent, whose answer is ours. */
  asked(): void;
  /** Too many in a row stayed unanswered. */
  dead(): void;
}

/** `probed`: the kernel asks as well (TCP keepalive). */
export function keptAlive(
  conn: KeptAlive,
  clock: Clock,
  options: KeepaliveOptions & { readonly probed: boolean },
  events: KeepaliveEvents,
): Disposable {
  return new PeerWatch(conn, clock, {
    ...options,
    ask: () => {
      events.asked();
      conn.send(keepaliveRequest);
    },
    dead: () => events.dead(),
  });
}
