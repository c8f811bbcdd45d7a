import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type ByteStream, byteStreamOf } from "#link";

/** How two joined streams ended. */
export interface JoinEnd {
  /** From the first stream to the second, and back. */
  readonly bytesOut: number;
  readonly bytesIn: number;
}

/** Buffers of one read each that are kept for the next: large ones made anew would be cleared and collected each time. */
const maxSpare = 8;
const spareBytes = 1024 * 1024;
const largeBytes = 16 * 1024;
const spare: Uint8Array[] = [];

/** A copy of bytes that a read lent, until whoever it was written to has taken it. */
function keep(lent: Uint8Array): { readonly bytes: Uint8Array; readonly release: () => void } {
  if (lent.length < largeBytes || lent.length > spareBytes)
    return { bytes: Uint8Array.from(lent), release: () => {} };
  const whole = spare.pop() ?? new Uint8Array(spareBytes);
  whole.set(lent);
  return {
    bytes: whole.subarray(0, lent.length),
    release: () => {
      if (spare.length < maxSpare) spare.push(whole);
    },
  };
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
  from.stream.start(
    (bytes, start, end) => {
      add(end - start);
      const { bytes: kept, release } = keep(bytes.subarray(start, end));
      const taken = to.stream.write([kept], () => {
        release();
        from.stream.resume();
      });
      if (taken) release();
      else from.stream.pause();
    },
    (error) => {
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
