import type { BenchCase } from "./case.ts";
import { LaneBench } from "./lane.ts";
import type { Sample } from "./schema.ts";

/** Ciphers are the subjects here: the engine alone, in this process. */
const ciphers = ["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr"] as const;

function laneCase(name: string, summary: string, bytes: number, batch: number, batches: number): BenchCase {
  const lanes = new Map<string, LaneBench>();
  return {
    name,
    summary,
    subjects: ciphers,
    quick: [ciphers[0]],
    measure: async (_stage, cipher, { quick }): Promise<Sample> => {
      let lane = lanes.get(cipher);
      if (lane === undefined) {
        lane = new LaneBench(cipher, bytes, batch);
        await lane.prepare();
        // Until the code is compiled.
        lane.round(batches);
        lanes.set(cipher, lane);
      }
      const { seal, open, relay } = lane.round(quick ? batches : 2 * batches);
      return { sealMicros: seal, openMicros: open, relayMicros: relay };
    },
  };
}

/** A large read is about 31 packets of 32 KiB; small packets come by the hundred. */
export const laneCases: readonly BenchCase[] = [
  laneCase("lane-32k", "the engine alone, 32 KiB packets in batches of 31", 32 * 1024 + 9, 31, 60),
  laneCase("lane-64", "the engine alone, 64 B packets in batches of 512", 64, 512, 30),
];
