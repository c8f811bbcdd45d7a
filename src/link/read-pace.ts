/**
 * When a socket is to be read again. A sender that is slower than we are would wake us for every packet, and the waking costs more
 * than the packet: a pause of a millisecond or two gathers several. A sender that is faster would keep us from every other socket.
 */

/** A read of so many bytes is not what somebody types. */
export const bulkReadBytes: number = 16 * 1024;

/** What came in one read without having been waited for is enough to be worth the waking. */
const plentyBytes = 512 * 1024;

/** Bulk data wait so long for more of their kind. */
const gatherMs = 1;

/** The same where they come slowly: then a millisecond gathers three packets, and Node's and the kernel's part in a rest costs more than those. */
const slowGatherMs = 2;

/** Slow is what brings less than this in a millisecond, 128 MB a second: the fastest that a gigabit can bring. */
const slowBytesPerMs = 128_000;

/** The rate is taken over so long. */
const rateMs = 16;

/**
 * So many pauses in a row that gathered nothing show that the peer waits for an answer to what it sent (one request at a time,
 * say): then every pause is lost time, and so many reads go without; twice as many each time that it shows again.
 */
const vainPauses = 4;
/** A pause has gathered something that brought more than so many reads without one. */
const worthwhile = 2;
const readsAfterVain = 100;
const mostReadsAfterVain = 3_200;

/** What to do next: read on; let other sockets have their turn first; or leave it for so many milliseconds. */
export type ReadStep = "on" | "give-way" | number;

export class ReadPace {
  /** Bytes of a bulk read that followed no pause: a running mean. */
  #single = 0;
  #paused = false;
  #vain = 0;
  #unpaused = 0;
  #afterVain = readsAfterVain;
  /** Bytes in a millisecond, until `#rateAt`; and what has come since. */
  #rate = Number.POSITIVE_INFINITY;
  #rateAt = 0;
  #sinceThen = 0;

  /** What to do after a read of so many bytes into a buffer of so many, at `now` (milliseconds of any clock that only goes forward). */
  after(bytes: number, bufferBytes: number, now: number): ReadStep {
    const followsPause = this.#paused;
    this.#paused = false;
    this.#measure(bytes, now);
    if (bytes === bufferBytes) return "give-way";
    if (bytes < bulkReadBytes || bytes >= plentyBytes) return "on";
    if (!followsPause) this.#single += (bytes - this.#single) / (this.#single === 0 ? 1 : 8);
    else if (bytes > worthwhile * this.#single) {
      this.#vain = 0;
      this.#afterVain = readsAfterVain;
    } else if (++this.#vain === vainPauses) {
      this.#vain = 0;
      this.#unpaused = this.#afterVain;
      this.#afterVain = Math.min(2 * this.#afterVain, mostReadsAfterVain);
    }
    if (this.#unpaused > 0) {
      this.#unpaused--;
      return "on";
    }
    this.#paused = true;
    return this.#rate < slowBytesPerMs ? slowGatherMs : gatherMs;
  }

  #measure(bytes: number, now: number): void {
    const elapsed = now - this.#rateAt;
    if (elapsed >= rateMs) {
      this.#rate = this.#sinceThen / elapsed;
      this.#rateAt = now;
      this.#sinceThen = 0;
    }
    this.#sinceThen += bytes;
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
