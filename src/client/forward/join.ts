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

/** What is gathered for one write: as much as one read of a socket brings. */
const gatheredBytes = 1024 * 1024;
/** Large buffers made anew for each write would be cleared and collected each time. */
const arenas = new ArenaPool(gatheredBytes, 8);
/** Less than this is written from a copy of its size: who does not read what little there is holds no large buffer. */
const smallBytes = 16 * 1024;

/**
 * Bytes that reads lent, until whoever they are written to has taken them. All that comes in one turn of the event loop is one write:
 * a channel's bytes come in messages of 32 KiB, and a system call for each would cost more than to decrypt it.
 */
class Outlet {
  readonly #from: ByteStream;
  readonly #to: ByteStream;
  #arena: Uint8Array | undefined;
  #at = 0;

  constructor(from: ByteStream, to: ByteStream) {
    this.#from = from;
    this.#to = to;
  }

  add(lent: Uint8Array): void {
    if (lent.length > gatheredBytes - this.#at) this.flush();
    if (this.#arena === undefined) {
      this.#arena = arenas.take();
      process.nextTick(() => this.flush());
    }
    this.#arena.set(lent, this.#at);
    this.#at += lent.length;
  }

  /** What waits leaves; unless it is taken at once, no more is read until it is. */
  flush(): void {
    const arena = this.#arena;
    if (arena === undefined) return;
    const gathered = arena.subarray(0, this.#at);
    this.#arena = undefined;
    this.#at = 0;
    const small = gathered.length < smallBytes;
    const bytes = small ? Uint8Array.from(gathered) : gathered;
    if (small) arenas.give(arena);
    const taken = this.#to.write([bytes], () => {
      if (!small) arenas.give(arena);
      this.#from.resume();
    });
    if (!taken) this.#from.pause();
    else if (!small) arenas.give(arena);
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
  return { stream: byteStreamOf(stream), ended: false, finished: false, closed: false };
}

function whenClosed({ stream }: Side): Promise<void> {
  return new Promise((resolve) => stream.whenClosed(resolve));
}

function flow(from: Side, to: Side, add: (bytes: number) => void): void {
  const outlet = new Outlet(from.stream, to.stream);
  from.stream.start(
    (bytes, start, end) => {
      add(end - start);
      outlet.add(bytes.subarray(start, end));
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
