import { joinPipe, type Pipe, type PipeOptions } from "#pipe";
import type { PacketConn } from "#ssh/transport";
import { fakeClock } from "./fake-clock.ts";

/** What taps need of the client's side. */
export interface TappedClient {
  send(payload: Uint8Array): void;
  whenRead(then: () => void): void;
}

export interface Taps {
  tapsToUpstream(): NonNullable<PipeOptions["tapsToUpstream"]>;
  tapsToDownstream(): NonNullable<PipeOptions["tapsToDownstream"]>;
}

export interface TappedPipeOptions extends Pick<PipeOptions, "downstream" | "upstream" | "drained"> {
  /** Absent: nothing looks. */
  readonly taps?: (client: TappedClient) => Taps;
  /** In place of the pipe's own: a test says when all is read. */
  readonly whenRead?: TappedClient["whenRead"];
}

/** Two connections joined as a session joins them, its taps between. */
export function tappedPipe({ taps, whenRead, ...ends }: TappedPipeOptions): Pipe {
  const { downstream }: { readonly downstream: PacketConn } = ends;
  const made = taps?.({
    send: (payload) => downstream.send(payload),
    whenRead: whenRead ?? ((then) => pipe.whenRead(then)),
  });
  const pipe = joinPipe({
    ...ends,
    clock: fakeClock(),
    keepalive: { intervalMs: 0, maxMissed: 3 },
    maxChannels: 10,
    hostKeys: [],
    ...(made === undefined
      ? {}
      : { tapsToUpstream: made.tapsToUpstream(), tapsToDownstream: made.tapsToDownstream() }),
  });
  return pipe;
}
