/**
 * When a socket is to be read again. A sender that is slower than we are would wake us for every packet, and the waking costs more
 * than the packet: a pause of a millisecond gathers several. A sender that is faster would keep us from every other socket.
 */

/** A read of so many bytes is not what somebody types. */
export const bulkReadBytes: number = 16 * 1024;

/** What came in one read without having been waited for is enough to be worth the waking. */
const plentyBytes = 512 * 1024;

/** Bulk data wait so long at most for more of their kind; timers may take one more. */
export const gatherMs: number = 1;

/**
 * So many pauses in a row that gathered nothing show that the peer waits for an answer to what it sent (one request at a time,
 * say): then every pause is lost time, and so many reads go without.
 */
const vainPauses = 4;
const readsAfterVain = 100;

export type ReadStep = "on" | "give-way" | "pause";

export class ReadPace {
  /** Bytes of the last bulk read that followed no pause. */
  #single = 0;
  #paused = false;
  #vain = 0;
  #unpaused = 0;

  /**
   * What to do after a read of so many bytes into a buffer of so many: read on; let other sockets have their turn first; or pause for
   * `gatherMs`.
   */
  after(bytes: number, bufferBytes: number): ReadStep {
    const followsPause = this.#paused;
    this.#paused = false;
    if (bytes === bufferBytes) return "give-way";
    if (bytes < bulkReadBytes || bytes >= plentyBytes) return "on";
    if (!followsPause) this.#single = bytes;
    else if (bytes > this.#single) this.#vain = 0;
    else if (++this.#vain === vainPauses) {
      this.#vain = 0;
      this.#unpaused = readsAfterVain;
    }
    if (this.#unpaused > 0) {
      this.#unpaused--;
      return "on";
    }
    this.#paused = true;
    return "pause";
  }
}

/** Whoever types now and then is thought to go on for so long, and a connection that moved bulk data to go on with that. */
const habitMs = 1_000;

/** For so long after it, an answer to what somebody typed is likely to come. */
const echoMs = 20;

/** Reads below this are somebody typing, if nothing large passed the same socket lately. */
const typedBytes = 1024;

/** Whether somebody types on any of the sockets of this thread: the others are then to keep their turns short. */
export class Typing {
  #at = Number.NEGATIVE_INFINITY;

  /** A read on a socket whose last bulk data, in either direction, passed at `bulkAt`. Milliseconds of one clock. */
  note(bytes: number, bulkAt: number, now: number): void {
    if (bytes < typedBytes && now - bulkAt > habitMs) this.#at = now;
  }

  /** How short the turns of others are to be kept at `now`: most of all while the answer to a keystroke is awaited. */
  going(now: number): "no" | "on and off" | "just now" {
    const ago = now - this.#at;
    if (ago >= habitMs) return "no";
    return ago < echoMs ? "just now" : "on and off";
  }
}
