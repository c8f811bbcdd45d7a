import type { Duplex } from "node:stream";
import type { Clock, Timer } from "#base";

export interface PeekOptions {
  /** Whether these bytes tell what was to be known. */
  readonly enough: (bytes: Uint8Array) => boolean;
  /** More than this is not waited for. */
  readonly maxBytes: number;
  /** How long to wait for the first byte. Absent: as long as it takes. */
  readonly silentMs?: number;
  /** How long to wait in all; what came by then is all there is. Absent: as long as it takes. */
  readonly limitMs?: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export interface Peeked {
  /** From the beginning; they have been put back, so whoever reads next gets them first, unless the stream has ended. */
  readonly bytes: Uint8Array;
  /** `enough`: they tell. `full`: too many and still not. `silent`: none, or not all, came in time. `closed`: the stream ended before. */
  readonly why: "enough" | "full" | "silent" | "closed";
}

/** Looks at how a stream begins. Its holder destroys the stream to end it early. Throws what `enough` throws. */
export async function peek(stream: Duplex, options: PeekOptions): Promise<Peeked> {
  const { enough, maxBytes, silentMs, limitMs, clock, signal } = options;
  const pieces: Uint8Array[] = [];
  let held = 0;
  return await new Promise<Peeked>((resolve, reject) => {
    let timer: Timer | undefined;
    let limit: Timer | undefined;
    let stopped = false;
    const stop = (): Uint8Array => {
      stopped = true;
      timer?.[Symbol.dispose]();
      limit?.[Symbol.dispose]();
      stream.off("readable", look);
      stream.off("end", closed);
      stream.off("close", closed);
      signal.removeEventListener("abort", closed);
      const bytes = Buffer.concat(pieces);
      if (bytes.length > 0 && !stream.destroyed && !stream.readableEnded) stream.unshift(bytes);
      return bytes;
    };
    const settle = (why: Peeked["why"]): void => resolve({ bytes: stop(), why });
    const closed = (): void => settle("closed");
    const look = (): void => {
      for (;;) {
        const chunk: unknown = stream.read();
        if (!(chunk instanceof Uint8Array)) break;
        pieces.push(chunk);
        held += chunk.length;
      }
      if (held === 0) return;
      timer?.[Symbol.dispose]();
      const bytes = Buffer.concat(pieces, held);
      pieces.splice(0, pieces.length, bytes);
      try {
        if (enough(bytes)) settle("enough");
        else if (held >= maxBytes) settle("full");
      } catch (error) {
        stop();
        reject(error);
      }
    };
    if (stream.destroyed || stream.readableEnded || signal.aborted) {
      settle("closed");
      return;
    }
    // Timers come before what has arrived, so a process that was held up would take for silence what it had no time to read.
    const onceMore = (last: () => boolean): void => {
      const again = (): void => {
        if (!stopped) look();
        if (!stopped && last()) settle("silent");
      };
      setImmediate(() => setImmediate(again));
    };
    if (silentMs !== undefined) timer = clock.after(silentMs, () => onceMore(() => held === 0));
    if (limitMs !== undefined) limit = clock.after(limitMs, () => onceMore(() => true));
    stream.on("readable", look);
    stream.on("end", closed);
    stream.on("close", closed);
    signal.addEventListener("abort", closed);
    // What was put back before is no news that would be told.
    if (stream.readableLength > 0) look();
  });
}
