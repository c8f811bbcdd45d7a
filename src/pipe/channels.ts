import { decodeChannelOpen, encodeChannelOpenFailure, MSG, OPEN_FAILURE } from "#ssh/messages";
import { payloadOf } from "#ssh/transport";
import { passing, type Tap } from "./taps.ts";

/**
 * Bounds the channels of one session without keeping any: every open counts one, every failed open gives it back, and a channel
 * is over when both sides have sent CLOSE (RFC 4254, section 5.3).
 */
export class ChannelCount {
  readonly #max: number;
  #opened = 0;
  #failed = 0;
  #closes = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Channels open or being opened. */
  get open(): number {
    return this.#opened - this.#failed - Math.floor(this.#closes / 2);
  }

  /** Channels ever opened. */
  get total(): number {
    return this.#opened - this.#failed;
  }

  /** For either lane: both sides may open. */
  tap(): Tap {
    return {
      numbers: [MSG.CHANNEL_OPEN, MSG.CHANNEL_OPEN_FAILURE, MSG.CHANNEL_CLOSE],
      see: (packet) => {
        switch (packet.bytes[packet.start]) {
          case MSG.CHANNEL_OPEN_FAILURE:
            this.#failed++;
            return passing;
          case MSG.CHANNEL_CLOSE:
            this.#closes++;
            return passing;
          default:
            if (this.open < this.#max) {
              this.#opened++;
              return passing;
            }
            return { kind: "reply", payloads: [refusal(payloadOf(packet), this.#max)] };
        }
      },
      stopped: (packet) => {
        if (packet.bytes[packet.start] === MSG.CHANNEL_OPEN) this.#failed++;
      },
    };
  }
}

function refusal(payload: Uint8Array, max: number): Uint8Array {
  return encodeChannelOpenFailure({
    recipient: decodeChannelOpen(payload).channel,
    reason: OPEN_FAILURE.RESOURCE_SHORTAGE,
    description: `this gateway allows ${max} channels at once`,
  });
}
