import type { ConnClose } from "#ssh/transport";
import { type PacketPipeOptions, type PipeEnd, packetPipe } from "./packet-pipe.ts";

/** A peer that speaks in payloads: sends what a test hands it and keeps what comes. */
export class RawPeer {
  readonly end: PipeEnd;
  readonly received: Uint8Array[] = [];
  close: ConnClose | undefined;

  constructor(end: PipeEnd) {
    this.end = end;
    end.attach({
      packet: (packet) => {
        this.received.push(Uint8Array.from(packet.bytes.subarray(packet.start, packet.end)));
      },
      closed: (close) => {
        this.close = close;
      },
    });
  }

  send(...payloads: readonly Uint8Array[]): void {
    for (const payload of payloads) this.end.send(payload);
  }

  /** Message numbers received since the last call. */
  numbers(): number[] {
    return this.take().map((payload) => payload[0] ?? 0);
  }

  /** Payloads received since the last call. */
  take(): Uint8Array[] {
    return this.received.splice(0);
  }
}

/** Our end of a synchronous pipe whose other end is a raw peer. */
export function rawPeer(options: PacketPipeOptions = {}): { readonly conn: PipeEnd; readonly peer: RawPeer } {
  const [conn, far] = packetPipe({ delivery: "sync", ...options });
  return { conn, peer: new RawPeer(far) };
}

/** Lets everything run that is due now: microtasks, ticks and immediates. */
export function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(() => setImmediate(resolve));
  });
}
