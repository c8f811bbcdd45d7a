import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type ByteStream, byteStreamOf } from "#link";
import { ArenaPool } from "#ssh/transport";

/** How two joined streams ended. */
export interface JoinEnd {
  /** From the first stream to the second, and back. */
  readonly bytesOut: number;
  readonly bytesIn: number;
}

/**
 * Room for what is gathered: a message or two of a channel, then as much as one read of a socket brings. Made anew for each write,
 * such buffers would be cleared and collected each time.
 */
const shortArenas = new ArenaPool(48 * 1024, 64);
const longArenas = new ArenaPool(1024 * 1024, 8);
/** Less than this is written from a copy of its size: who does not read what little there is holds no large buffer. */
const smallBytes = 16 * 1024;

/** Outlets whose last write has not been taken yet; from so many on, each reads little at a time. */
let waiting = 0;
const manyWaiting = 4;
const crowded = (): boolean => waiting >= manyWaiting;

interface Gathered {
  readonly pool: ArenaPool;
  readonly arena: Uint8Array;
  at: number;
}

/**
 * Bytes that reads lent, until whoever they are written to has taken them. All that comes in one turn of the event loop is one write:
 * a channel's bytes come in messages of 32 KiB, and a system call for each would cost more than to decrypt it.
 */
class Outlet {
  readonly #from: ByteStream;
  readonly #to: ByteStream;
  #gathered: Gathered[] = [];

  constructor(from: ByteStream, to: ByteStream) {
    this.#from = from;
    this.#to = to;
  }

  add(bytes: Uint8Array, start: number, end: number): void {
    // What leaves at once need not be kept.
    const gone = this.#gathered.length === 0 ? (this.#to.writeLent?.(bytes, start, end) ?? 0) : 0;
    if (start + gone < end) this.#gather(bytes.subarray(start + gone, end));
  }

  #gather(lent: Uint8Array): void {
    let last = this.#gathered.at(-1);
    if (last === undefined) process.nextTick(() => this.flush());
    if (last === undefined || lent.length > last.arena.length - last.at) {
      const pool = last === undefined && lent.length <= shortArenas.bytes ? shortArenas : longArenas;
      last = { pool, arena: pool.take(), at: 0 };
      this.#gathered.push(last);
    }
    last.arena.set(lent, last.at);
    last.at += lent.length;
  }

  /** What waits leaves; unless it is taken at once, no more is read until it is. */
  flush(): void {
    const gathered = this.#gathered;
    if (gathered.length === 0) return;
    this.#gathered = [];
    const pieces = gathered.map(({ arena, at }) => arena.subarray(0, at));
    const [first, more] = pieces;
    const small = first !== undefined && more === undefined && first.length < smallBytes;
    const giveBack = (): void => {
      for (const { pool, arena } of gathered) pool.give(arena);
    };
    const written = small ? [Uint8Array.from(first)] : pieces;
    if (small) giveBack();
    const taken = this.#to.write(written, () => {
      waiting -= 1;
      if (!small) giveBack();
      this.#from.resume();
    });
    if (!taken) {
      waiting += 1;
      this.#from.pause();
    } else if (!small) giveBack();
  }
}

/**
 * Joins two streams: each direction with its own end, no more waiting than one read. Owns both; resolves when both are closed.
 * Plain sockets are read by their handles, into a buffer that all of them share.
 */
export async function join(one: Duplex, other: Duplex): Promise<JoinEnd> {
  const count = { bytesOut: 0, bytesIn: 0 };
  const [first, second] = [sideOf(one), sideOf(other)];
  const closed = [whenClosed(first), whenClosed(second)];
  flow(first, second, (bytes) => (count.bytesOut += bytes));
  flow(second, first, (bytes) => (count.bytesIn += bytes));
  await Promise.all(closed);
  return count;
}

/** One of the two. */
interface Side {
  readonly stream: ByteStream;
  /** It said all that it had to say. */
  ended: boolean;
  /** It has taken the other's last word. */
  finished: boolean;
  closed: boolean;
}

function sideOf(stream: Duplex): Side {
  if (stream instanceof Socket) stream.setNoDelay(true);
  return { stream: byteStreamOf(stream, crowded), ended: false, finished: false, closed: false };
}

function whenClosed({ stream }: Side): Promise<void> {
  return new Promise((resolve) => stream.whenClosed(resolve));
}

function flow(from: Side, to: Side, add: (bytes: number) => void): void {
  const outlet = new Outlet(from.stream, to.stream);
  from.stream.start(
    (bytes, start, end) => {
      add(end - start);
      outlet.add(bytes, start, end);
    },
    (error) => {
      outlet.flush();
      from.ended = true;
      if (error !== undefined) {
        from.stream.destroy();
        to.stream.destroy();
        return;
      }
      // The other direction may go on as long as it likes, unless nobody is there any more to hear it.
      to.stream.finish(() => {
        to.finished = true;
        if (to.ended || from.closed) to.stream.destroy();
      });
      if (from.finished) from.stream.destroy();
    },
  );
  from.stream.whenClosed(() => {
    from.closed = true;
    if (to.finished || !from.ended) to.stream.destroy();
  });
}
