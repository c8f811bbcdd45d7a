import { type Duplex, duplexPair } from "node:stream";
import { silentLog, systemClock } from "#base";
import type { Dialer, HopPorts } from "#contract";

/** What is behind a hop's connection: the far ends of what was dialled, and where to. */
export interface HopStand {
  readonly ports: HopPorts;
  readonly dialled: string[];
  /** Our ends, in the order in which they were dialled. */
  readonly near: Duplex[];
  /** The far end of the next connection that is dialled. */
  far(): Promise<Duplex>;
}

export function hopStand(): HopStand {
  const dialled: string[] = [];
  const ours: Duplex[] = [];
  const ready: Duplex[] = [];
  const waiting: ((far: Duplex) => void)[] = [];
  const through: Dialer = {
    kind: "fake",
    dial: async ({ host, port }) => {
      dialled.push(`${host}:${port}`);
      const [near, far] = duplexPair();
      ours.push(near);
      const next = waiting.shift();
      if (next === undefined) ready.push(far);
      else next(far);
      return near;
    },
    [Symbol.asyncDispose]: async () => {},
  };
  return {
    ports: { log: silentLog, clock: systemClock, files: { read: async () => undefined }, through },
    dialled,
    near: ours,
    far: async () => {
      const there = ready.shift();
      return there ?? (await new Promise<Duplex>((resolve) => waiting.push(resolve)));
    },
  };
}

/** Exactly so many bytes. */
export async function take(stream: Duplex, bytes: number): Promise<Buffer> {
  for (;;) {
    const read = stream.read(bytes) as Buffer | null;
    if (read !== null) return read;
    await new Promise<void>((resolve) => stream.once("readable", resolve));
  }
}
