import { type Clock, Rounds } from "#base";
import type { ServedSession } from "#contract";
import type { ConnectionMux } from "#ssh/connection";
import { DISCONNECT } from "#ssh/messages";

/** Who is probed by the kernel, and to whom nothing is under way, is asked in every sixth interval only: whether its program still works. */
const probedIntervals = 6;

type Watched = Pick<ServedSession, "conn" | "keepalive" | "probed">;

/** Notices a dead client: after an interval in which nothing came it is asked something that it must answer. */
export class Heartbeat implements Disposable {
  readonly #mux: ConnectionMux;
  readonly #session: Watched;
  #rounds: Disposable | undefined;
  #bytesIn: number;
  #bytesOut: number;
  #missed = 0;
  /** Intervals in which nothing passed, either way. */
  #silent = 0;

  constructor(mux: ConnectionMux, session: Watched, clock: Clock) {
    const { conn, keepalive } = session;
    this.#mux = mux;
    this.#session = session;
    this.#bytesIn = conn.bytesIn;
    this.#bytesOut = conn.bytesOut;
    if (keepalive.intervalMs > 0)
      this.#rounds = Rounds.of(clock, keepalive.intervalMs).join(() => this.#look());
  }

  #look(): void {
    const { conn, keepalive, probed } = this.#session;
    const heard = conn.bytesIn !== this.#bytesIn;
    const told = conn.bytesOut !== this.#bytesOut;
    this.#bytesIn = conn.bytesIn;
    this.#bytesOut = conn.bytesOut;
    if (heard) {
      this.#missed = 0;
      this.#silent = 0;
      return;
    }
    if (probed === true && !told && conn.writable && ++this.#silent < probedIntervals) return;
    if (this.#missed++ >= keepalive.maxMissed) {
      this.#mux.disconnect(DISCONNECT.CONNECTION_LOST, "no answer");
      return;
    }
    // A question for each silent interval would pile up at a socket that takes nothing.
    if (!conn.writable) return;
    void this.#mux.request("keepalive@openssh.com");
    // At once, not at the end of the turn: of thousands, hundreds are asked in one turn, and each would hold a buffer until then.
    conn.flush();
  }

  [Symbol.dispose](): void {
    this.#rounds?.[Symbol.dispose]();
    this.#rounds = undefined;
  }
}
