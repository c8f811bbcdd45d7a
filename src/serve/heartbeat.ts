import { type Clock, Rounds } from "#base";
import type { ServedSession } from "#contract";
import type { ConnectionMux } from "#ssh/connection";
import { DISCONNECT } from "#ssh/messages";

/** Who is probed by the kernel, and to whom nothing is under way, is asked after so many intervals: whether its program still works. */
const probedIntervals = 6;

/** In one interval so many of those are asked, which costs a hundredth of a core at most. Where there are more, each is asked less often. */
const askedPerInterval = 300;

/** However many there are, each is asked in so many intervals. */
const maxProbedIntervals = 30;

type Watched = Pick<ServedSession, "conn" | "keepalive" | "probed">;

/** Notices a dead client: after an interval in which nothing came it is asked something that it must answer. */
export class Heartbeat implements Disposable {
  readonly #mux: ConnectionMux;
  readonly #session: Watched;
  readonly #rounds: Rounds | undefined;
  #joined: Disposable | undefined;
  #bytesIn: number;
  #bytesOut: number;
  #missed = 0;
  /** Intervals in which nothing passed, either way. */
  #silent = 0;
  /** Intervals, from any number: thousands that came back at once are not asked at once. */
  #turn: number;

  /** `random` gives 0 ≤ x < 1. */
  constructor(mux: ConnectionMux, session: Watched, clock: Clock, random: () => number = Math.random) {
    const { conn, keepalive } = session;
    this.#mux = mux;
    this.#session = session;
    this.#bytesIn = conn.bytesIn;
    this.#bytesOut = conn.bytesOut;
    this.#turn = Math.floor(random() * maxProbedIntervals);
    if (keepalive.intervalMs === 0) return;
    this.#rounds = Rounds.of(clock, keepalive.intervalMs);
    this.#joined = this.#rounds.join(() => this.#look());
  }

  #look(): void {
    const { conn, keepalive, probed } = this.#session;
    const heard = conn.bytesIn !== this.#bytesIn;
    const told = conn.bytesOut !== this.#bytesOut;
    this.#bytesIn = conn.bytesIn;
    this.#bytesOut = conn.bytesOut;
    this.#turn++;
    if (heard) {
      this.#missed = 0;
      this.#silent = 0;
      return;
    }
    if (probed === true && !told && conn.writable && !this.#isDue()) return;
    if (this.#missed++ >= keepalive.maxMissed) {
      this.#mux.disconnect(DISCONNECT.CONNECTION_LOST, "no answer");
      return;
    }
    // A question for each silent interval would pile up at a socket that takes nothing.
    if (!conn.writable) return;
    this.#mux.probe();
    // At once, not at the end of the turn: of thousands, hundreds are asked in one turn, and each would hold a buffer until then.
    conn.flush();
  }

  /** Of those whom the kernel asks. */
  #isDue(): boolean {
    if (++this.#silent < probedIntervals) return false;
    const intervals = Math.ceil((this.#rounds?.size ?? 0) / askedPerInterval);
    return this.#turn % Math.min(Math.max(intervals, 1), maxProbedIntervals) === 0;
  }

  [Symbol.dispose](): void {
    this.#joined?.[Symbol.dispose]();
    this.#joined = undefined;
  }
}
