import type { Duplex } from "node:stream";

/** How two joined streams ended. */
export interface JoinEnd {
  /** From the first stream to the second, and back. */
  readonly bytesOut: number;
  readonly bytesIn: number;
}

/**
 * Joins two streams: each direction with its own end, no more waiting than the two keep themselves. Owns both; resolves when both
 * are closed.
 */
export async function join(one: Duplex, other: Duplex): Promise<JoinEnd> {
  const count = { bytesOut: 0, bytesIn: 0 };
  flow(one, other, (bytes) => (count.bytesOut += bytes));
  flow(other, one, (bytes) => (count.bytesIn += bytes));
  await Promise.all([closed(one), closed(other)]);
  return count;
}

function flow(from: Duplex, to: Duplex, add: (bytes: number) => void): void {
  from.on("data", (chunk: Buffer) => {
    add(chunk.length);
    if (!to.write(chunk)) from.pause();
  });
  to.on("drain", () => from.resume());
  // The other direction may go on as long as it likes.
  from.once("end", () => to.end());
  // An error is told by what follows it.
  from.on("error", () => {});
  from.once("close", () => {
    if (from.readableEnded) whenFlushed(to);
    else to.destroy();
  });
  from.resume();
}

/** One side is gone, after all that it had to say: the other hears it to the end, but nothing more is read of it. */
function whenFlushed(stream: Duplex): void {
  if (stream.writableFinished) stream.destroy();
  else {
    stream.once("finish", () => stream.destroy());
    stream.end();
  }
}

function closed(stream: Duplex): Promise<void> {
  return stream.closed ? Promise.resolve() : new Promise((resolve) => stream.once("close", () => resolve()));
}
