import type { Clock } from "#base";
import type { AlgorithmPreferences, RandomBytes } from "#ssh/algorithms";
import type { RekeyLimits } from "#ssh/transport";

/** What links of both legs have in common. */
export interface LinkSettings {
  /** What we call ourselves in version lines. */
  readonly name: string;
  readonly algorithms: AlgorithmPreferences;
  readonly rekey: RekeyLimits;
  readonly handshakeMs: number;
  readonly random: RandomBytes;
  readonly clock: Clock;
}
