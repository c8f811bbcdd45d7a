import { type Clock, version } from "#base";
import type { Config } from "#config";
import type { LinkSettings } from "#gateway";
import { systemRandom } from "#ssh/algorithms";

/** What a configuration says of all SSH connections, to clients and to upstreams. */
export function linkSettings({ algorithms, limits }: Config, clock: Clock): LinkSettings {
  return {
    name: `Postern_${version}`,
    algorithms,
    rekey: { bytes: limits.rekeyBytes, packets: limits.rekeyPackets, ms: limits.rekeySeconds * 1000 },
    handshakeMs: limits.handshakeSeconds * 1000,
    random: systemRandom,
    clock,
  };
}
