import { Buffer } from "node:buffer";
import { closeSync, openSync, write, writeSync } from "node:fs";
import type { Clock, Timer } from "./clock.ts";

/** Waiting for a slow disk or reader; what comes when this is full is lost and counted (docs/limits.md). */
const maxWaitingBytes = 4 * 1024 * 1024;
const batchBytes = 64 * 1024;
/** How long a line may wait for others that come with it: a login has five, and of small files thousands come in a second. */
const gatherMs = 10;
const retryMs = 50;
/** How long the end waits for a reader that has stopped. */
const farewellMs = 2000;

/**
 * Lines to a file or descriptor, in order and without blocking the event loop. A full disk, a closed pipe, a directory that went
 * away: all of these lose lines, which are counted, and do nothing else.
 *
 * A write has a thread wake up, and the event loop after it. A line that comes within `gatherMs` of a write waits for others, so long
 * at most; one that comes alone does not.
 */
export class LogSink {
  linesLost = 0;
  /** Told once writing works again, with how many lines were lost meanwhile. */
  onRecovered: ((lines: number) => void) | undefined;
  readonly #file: string | undefined;
  readonly #clock: Clock;
  #writtenAt = Number.NEGATIVE_INFINITY;
  #gathering: Timer | undefined;
  #descriptor: number;
  #waiting: string[] = [];
  #waitingBytes = 0;
  /** The batch that is being written, and how far. */
  #batch: { readonly bytes: Buffer; readonly lines: number; at: number } | undefined;
  /** A descriptor to close as soon as no write uses it. */
  #outworn: number | undefined;
  #lostBefore = 0;
  #idle: (() => void)[] = [];
  #closed = false;
  /** The destination takes nothing just now, and will be asked again. */
  #retry: Timer | undefined;

  /** Throws what opening the file throws. */
  constructor(destination: string | number, clock: Clock) {
    this.#clock = clock;
    this.#file = typeof destination === "string" ? destination : undefined;
    this.#descriptor = typeof destination === "string" ? openLogFile(destination) : destination;
  }

  write(line: string): void {
    const size = Buffer.byteLength(line, "utf8");
    if (this.#closed || this.#waitingBytes + size > maxWaitingBytes) {
      this.linesLost++;
      return;
    }
    this.#waiting.push(line);
    this.#waitingBytes += size;
    if (this.#batch === undefined) this.#next();
  }

  reopen(): void {
    if (this.#file === undefined || this.#closed) return;
    let opened: number;
    try {
      opened = openLogFile(this.#file);
    } catch {
      // The old file may be gone from its name, but it still takes lines.
      return;
    }
    const old = this.#descriptor;
    this.#descriptor = opened;
    if (this.#batch === undefined) closeQuietly(old);
    else if (this.#outworn === undefined) this.#outworn = old;
    else closeQuietly(old);
  }

  /** Writes what waits, but for a batch under way, which the thread pool has. Gives up at the first failure. */
  flush(): void {
    const bytes = Buffer.from(this.#waiting.splice(0).join(""), "utf8");
    this.#waitingBytes = 0;
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#descriptor, bytes, at);
    } catch {
      this.linesLost++;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#retry !== undefined) {
      this.#retry[Symbol.dispose]();
      this.#push();
    }
    if (this.#gathering !== undefined) this.#next();
    if (this.#batch !== undefined) {
      await new Promise<void>((resolve) => {
        this.#idle.push(resolve);
        this.#clock.after(farewellMs, resolve);
      });
    }
    // A thread that still hangs in a write needs its descriptor.
    if (this.#batch !== undefined) return;
    if (this.#file !== undefined && this.#descriptor >= 0) closeQuietly(this.#descriptor);
    this.#descriptor = -1;
  }

  #next(): void {
    if (this.#outworn !== undefined) {
      closeQuietly(this.#outworn);
      this.#outworn = undefined;
    }
    this.#batch = undefined;
    if (this.#waiting.length === 0) {
      for (const resolve of this.#idle.splice(0)) resolve();
      return;
    }
    const earlyMs = gatherMs - (this.#clock.monotonic() - this.#writtenAt);
    if (earlyMs > 0 && this.#waitingBytes < batchBytes && !this.#closed) {
      this.#gathering ??= this.#clock.after(earlyMs, () => this.#gathered());
      return;
    }
    this.#gathering?.[Symbol.dispose]();
    this.#gathering = undefined;
    let lines = 0;
    let chars = 0;
    while (lines < this.#waiting.length && chars < batchBytes) chars += this.#waiting[lines++]?.length ?? 0;
    // Bytes of many lines at once: of each alone they would cost more than the line.
    const bytes = Buffer.from(this.#waiting.splice(0, lines).join(""), "utf8");
    this.#batch = { bytes, lines, at: 0 };
    this.#waitingBytes -= bytes.length;
    this.#push();
  }

  #gathered(): void {
    this.#gathering = undefined;
    if (this.#batch === undefined) this.#next();
  }

  #push(): void {
    const batch = this.#batch;
    this.#retry = undefined;
    if (batch === undefined) return;
    // Not the new descriptor in the middle of a line: a batch ends where it began.
    const descriptor = this.#outworn ?? this.#descriptor;
    write(descriptor, batch.bytes, batch.at, batch.bytes.length - batch.at, null, (error, written) => {
      if (error !== null) this.#failed(error, batch.lines);
      else if ((batch.at += written) < batch.bytes.length) this.#push();
      else this.#succeeded();
    });
  }

  #succeeded(): void {
    const lost = this.linesLost - this.#lostBefore;
    this.#lostBefore = this.linesLost;
    this.#writtenAt = this.#clock.monotonic();
    this.#next();
    if (lost > 0 && !this.#closed) this.onRecovered?.(lost);
  }

  #failed(error: NodeJS.ErrnoException, lines: number): void {
    if (error.code === "EAGAIN" && !this.#closed) {
      this.#retry = this.#clock.after(retryMs, () => this.#push());
      return;
    }
    this.linesLost += lines;
    this.#next();
  }
}

function openLogFile(path: string): number {
  return openSync(path, "a", 0o640);
}

function closeQuietly(descriptor: number): void {
  try {
    closeSync(descriptor);
  } catch {
    // Nothing is left to lose: its writes are over.
  }
}
