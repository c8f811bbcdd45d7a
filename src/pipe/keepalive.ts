import { type Clock, Rounds } from "#base";
import { encodeGlobalRequest } from "#ssh/messages";
import type { PacketConn } from "#ssh/transport";

export interface KeepaliveOptions {
  /** Milliseconds of silence after which the peer is asked; 0: never. */
  readonly intervalMs: number;
  /** Questions in a row that may stay unanswered. */
  readonly maxMissed: number;
}

/** What is asked whether it is there. */
export type KeptAlive = Pick<PacketConn, "bytesIn" | "writable" | "send" | "flush">;

/** A question that every peer answers, if only to say that it does not know it. */
export const keepaliveRequest: Uint8Array = encodeGlobalRequest({
  type: "keepalive@openssh.com",
  wantReply: true,
  data: new Uint8Array(0),
});

/**
 * Notices a dead peer: after an interval in which nothing came it is sent a request that it must answer, even if it does not know
 * it. Anything that comes counts as a sign of life.
 */
export class Keepalive implements Disposable {
  readonly #conn: KeptAlive;
  readonly #options: KeepaliveOptions;
  readonly #asked: () => void;
  readonly #dead: () => void;
  #rounds: Disposable | undefined;
  #missed = 0;
  #bytesIn = 0;

  /** `asked`: a request was sent, whose answer is ours. `dead`: too many in a row stayed unanswered. */
  constructor(conn: KeptAlive, clock: Clock, options: KeepaliveOptions, asked: () => void, dead: () => void) {
    this.#conn = conn;
    this.#options = options;
    this.#asked = asked;
    this.#dead = dead;
    this.#bytesIn = conn.bytesIn;
    if (options.intervalMs > 0) this.#rounds = Rounds.of(clock, options.intervalMs).join(() => this.#look());
  }

  #look(): void {
    const heard = this.#conn.bytesIn !== this.#bytesIn;
    this.#bytesIn = this.#conn.bytesIn;
    if (heard) {
      this.#missed = 0;
      return;
    }
    if (this.#missed >= this.#options.maxMissed) {
      this.#dead();
      return;
    }
    this.#missed++;
    // A question for each silent interval would pile up at a socket that takes nothing; one that waits is enough.
    if (!this.#conn.writable) return;
    this.#asked();
    this.#conn.send(keepaliveRequest);
    // At once, not at the end of the turn: of thousands, hundreds are asked in one turn, and each would hold a buffer until then.
    this.#conn.flush();
  }

  [Symbol.dispose](): void {
    this.#rounds?.[Symbol.dispose]();
    this.#rounds = undefined;
  }
}
