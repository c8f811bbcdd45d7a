import type { Clock } from "./clock.ts";
import { Rounds } from "./rounds.ts";

/** Who is probed by the kernel, and to whom nothing is under way, is asked after so many intervals: whether its program still works. */
const probedIntervals = 6;

/**
 * In one interval so many of those are asked: with intervals of ten seconds less than half of a core's hundredth. Where there are more, each
 * is asked less often: whoever is sent something is asked at once anyway.
 */
const askedPerInterval = 200;

/** However many there are, each is asked in so many intervals. */
const maxProbedIntervals = 50;

export interface PeerWatchOptions {
  /** Milliseconds of silence after which the peer is asked; 0: never. */
  readonly intervalMs: number;
  /** Questions in a row that may stay unanswered. */
  readonly maxMissed: number;
  /** The kernel asks the peer itself, and drops the connection when nothing answers. */
  readonly probed: boolean;
  /** Sends something that the peer must answer. */
  readonly ask: () => void;
  /** Too many questions stayed unanswered. */
  readonly dead: () => void;
  /** Gives 0 ≤ x < 1. */
  readonly random?: () => number;
}

/** What is seen of a peer. */
export interface WatchedPeer {
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** False: what is sent would pile up. */
  readonly writable: boolean;
  flush(): void;
}

/** Notices a dead peer: after an interval in which nothing came it is asked something that it must answer. Anything that comes is a sign of life. */
export class PeerWatch implements Disposable {
  readonly #peer: WatchedPeer;
  readonly #options: PeerWatchOptions;
  readonly #rounds: Rounds | undefined;
  #joined: Disposable | undefined;
  #bytesIn: number;
  #bytesOut: number;
  #missed = 0;
  /** Intervals in which nothing passed, either way. */
  #silent = 0;
  /** Intervals, from any number: thousands that came at once are not asked at once. */
  #turn: number;

  constructor(peer: WatchedPeer, clock: Clock, options: PeerWatchOptions) {
    const { intervalMs, random = Math.random } = options;
    this.#peer = peer;
    this.#options = options;
    this.#bytesIn = peer.bytesIn;
    this.#bytesOut = peer.bytesOut;
    this.#turn = Math.floor(random() * maxProbedIntervals);
    if (intervalMs === 0) return;
    this.#rounds = Rounds.of(clock, intervalMs);
    this.#joined = this.#rounds.join(() => this.#look());
  }

  #look(): void {
    const { bytesIn, bytesOut, writable } = this.#peer;
    const { maxMissed, probed, ask, dead } = this.#options;
    const heard = bytesIn !== this.#bytesIn;
    const told = bytesOut !== this.#bytesOut;
    this.#bytesIn = bytesIn;
    this.#bytesOut = bytesOut;
    this.#turn++;
    if (heard) {
      this.#missed = 0;
      this.#silent = 0;
      return;
    }
    // Where something is under way the kernel sends that again and again, and asks nothing: then it may take long to give up.
    if (probed && !told && writable && !this.#isDue()) return;
    if (this.#missed++ >= maxMissed) {
      dead();
      return;
    }
    // A question for each silent interval would pile up at a socket that takes nothing; one that waits is enough.
    if (!writable) return;
    ask();
    // At once, not at the end of the turn: of thousands, hundreds are asked in one turn, and each would hold a buffer until then.
    this.#peer.flush();
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
