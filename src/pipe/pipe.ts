import { type Clock, PosternError } from "#base";
import { decodeGlobalRequest, DISCONNECT, encodeDebug, encodeRequestFailure, MSG } from "#ssh/messages";
import { type ConnClose, type PacketConn, type PacketView, payloadOf } from "#ssh/transport";
import { ChannelCount } from "./channels.ts";
import { pipeErrors } from "./errors.ts";
import {
  type AnnouncedHostKey,
  defaultRsa,
  encodeHostKeys,
  hostKeysProveRequest,
  hostKeysRequest,
  proveHostKeys,
} from "./host-keys.ts";
import { type KeepaliveOptions, keepaliveRequest, keptAlive } from "./keepalive.ts";
import { Lane } from "./lane.ts";
import { Ledger } from "./ledger.ts";
import { type Tap, TapTable, type TapVerdict } from "./taps.ts";

export interface PipeOptions {
  /** Both authenticated; their handlers become the pipe's. */
  readonly downstream: PacketConn;
  readonly upstream: PacketConn;
  readonly clock: Clock;
  readonly keepalive: KeepaliveOptions;
  /** Whom the kernel asks whether they are there (TCP keepalive). */
  readonly probed?: { readonly downstream: boolean; readonly upstream: boolean };
  /** Channels open at once, by whichever side. */
  readonly maxChannels: number;
  /** Plain host keys of ours to tell the client; none: it is told nothing. */
  readonly hostKeys: readonly AnnouncedHostKey[];
  readonly tapsToUpstream?: readonly Tap[];
  readonly tapsToDownstream?: readonly Tap[];
  /** A side takes more packets again: for taps that keep some. */
  readonly drained?: (side: "downstream" | "upstream") => void;
}

/** How a pipe ended: which side ended first, and how. */
export interface PipeEnd {
  readonly by: "downstream" | "upstream" | "gateway";
  readonly close: ConnClose;
}

export interface Pipe {
  /** Resolves when one side is over and the other has been told. */
  readonly closed: Promise<PipeEnd>;
  readonly channels: { readonly open: number; readonly total: number };
  /** Tells the client something, as far as its program shows it (SSH_MSG_DEBUG). */
  notify(text: string): void;
  /** Calls back when the client has read all that was sent to it until now, as its answer to a question tells. */
  whenRead(then: () => void): void;
  /** Ends both sides, the client with this reason and text. */
  close(reason: number, description: string): void;
}

/** Joins two connections, packet by packet, channel numbers and windows untouched. */
export function joinPipe(options: PipeOptions): Pipe {
  return new JoinedPipe(options);
}

class JoinedPipe implements Pipe {
  readonly closed: Promise<PipeEnd>;
  readonly channels: ChannelCount;
  readonly #options: PipeOptions;
  readonly #end: PromiseWithResolvers<PipeEnd> = Promise.withResolvers();
  /** What the downstream asked and is owed, and the same of the upstream. */
  readonly #down: Ledger;
  readonly #up: Ledger;
  readonly #keepalives: readonly Disposable[];
  #over = false;

  constructor(options: PipeOptions) {
    const { downstream, upstream, clock, keepalive, probed } = options;
    this.#options = options;
    this.closed = this.#end.promise;
    this.channels = new ChannelCount(options.maxChannels);
    this.#down = new Ledger((answer) => downstream.send(answer));
    this.#up = new Ledger((answer) => upstream.send(answer));
    const counting = this.channels.tap();
    const toUpstream = new Lane({
      near: downstream,
      far: upstream,
      taps: new TapTable([counting, ...(options.tapsToUpstream ?? [])]),
      global: (packet, number, verdict) => this.#globalFromDownstream(packet, number, verdict),
      closed: (close) => this.#closedBy("downstream", close),
      drained: () => options.drained?.("downstream"),
    });
    const toDownstream = new Lane({
      near: upstream,
      far: downstream,
      taps: new TapTable([counting, ...(options.tapsToDownstream ?? [])]),
      global: (packet, number, verdict) => this.#globalFromUpstream(packet, number, verdict),
      closed: (close) => this.#closedBy("upstream", close),
      drained: () => options.drained?.("upstream"),
    });
    this.#keepalives = [
      keptAlive(
        downstream,
        clock,
        { ...keepalive, probed: probed?.downstream === true },
        { asked: () => this.#down.ask(undefined), dead: () => this.#dead("downstream") },
      ),
      keptAlive(
        upstream,
        clock,
        { ...keepalive, probed: probed?.upstream === true },
        { asked: () => this.#up.ask(undefined), dead: () => this.#dead("upstream") },
      ),
    ];
    downstream.attach(toUpstream);
    upstream.attach(toDownstream);
    if (options.hostKeys.length > 0) downstream.send(encodeHostKeys(options.hostKeys));
  }

  notify(text: string): void {
    if (!this.#over) this.#options.downstream.send(encodeDebug({ display: true, text }));
  }

  whenRead(then: () => void): void {
    if (this.#over) return;
    this.#down.ask(() => {
      if (!this.#over) then();
    });
    this.#options.downstream.send(keepaliveRequest);
  }

  close(reason: number, description: string): void {
    this.#conclude("gateway", { kind: "local", reason, description }, reason, description);
  }

  #globalFromDownstream(packet: PacketView, number: number, verdict: TapVerdict): boolean {
    if (number !== MSG.GLOBAL_REQUEST) return this.#answer(packet, this.#down, this.#up);
    const request = decodeGlobalRequest(payloadOf(packet));
    if (request.type === hostKeysProveRequest) {
      this.#proveHostKeys(packet);
      return true;
    }
    if (verdict.kind === "reply") return answerAtOnce(verdict, request.wantReply, this.#down);
    if (request.wantReply) this.#up.ask(this.#down.owe());
    return false;
  }

  #globalFromUpstream(packet: PacketView, number: number, verdict: TapVerdict): boolean {
    if (number !== MSG.GLOBAL_REQUEST) return this.#answer(packet, this.#up, this.#down);
    const request = decodeGlobalRequest(payloadOf(packet));
    // It speaks of the upstream's host keys, and their proof would be over the upstream's session.
    if (request.type === hostKeysRequest) return true;
    if (verdict.kind === "reply") return answerAtOnce(verdict, request.wantReply, this.#up);
    if (request.wantReply) this.#down.ask(this.#up.owe());
    return false;
  }

  /** An answer from the side of `from`, which belongs to us or to the side of `to`. */
  #answer(packet: PacketView, from: Ledger, to: Ledger): true {
    const owed = from.answered();
    if (owed !== undefined) to.settle(owed, Uint8Array.from(payloadOf(packet)));
    return true;
  }

  #proveHostKeys(packet: PacketView): void {
    const { downstream, hostKeys } = this.#options;
    const request = decodeGlobalRequest(Uint8Array.from(payloadOf(packet)));
    const owed = this.#down.owe();
    proveHostKeys(request, hostKeys, downstream.sessionId, defaultRsa).then(
      (answer) => {
        if (!this.#over) this.#down.settle(owed, answer);
      },
      (error: unknown) => this.#closedBy("downstream", { kind: "failed", error }),
    );
  }

  #dead(side: "downstream" | "upstream"): void {
    const error = side === "upstream" ? new pipeErrors.UPSTREAM_SILENT() : new pipeErrors.PEER_SILENT();
    this.#closedBy(side, { kind: "failed", error });
  }

  /** One side is over: the other is told what it may know. Whatever it was still to get goes out before. */
  #closedBy(by: "downstream" | "upstream", close: ConnClose): void {
    if (close.kind === "disconnected") {
      this.#conclude(by, close, close.reason ?? DISCONNECT.BY_APPLICATION, close.description ?? "");
    } else if (by === "upstream") {
      const error = upstreamFault(close);
      this.#conclude(by, close, error.disconnect, error.user);
    } else {
      const reason = close.error instanceof PosternError ? close.error.disconnect : DISCONNECT.BY_APPLICATION;
      const text =
        close.error instanceof PosternError ? close.error.user : "The client closed the connection.";
      this.#conclude(by, close, reason, text);
    }
  }

  #conclude(by: PipeEnd["by"], close: ConnClose, reason: number, description: string): void {
    if (this.#over) return;
    this.#over = true;
    for (const keepalive of this.#keepalives) keepalive[Symbol.dispose]();
    // Ending a side that is over already does nothing.
    this.#options.upstream.disconnect(reason, description);
    this.#options.downstream.disconnect(reason, description);
    this.#end.resolve({ by, close });
  }
}

/** A tap's answer to a global request of one side, in its place in the order of that side's answers. */
function answerAtOnce(
  { payloads: [answer] }: TapVerdict & { kind: "reply" },
  wanted: boolean,
  ledger: Ledger,
): true {
  if (wanted) ledger.settle(ledger.owe(), answer ?? encodeRequestFailure());
  return true;
}

/** What the client is told of an upstream's fault: never the upstream's own internals, always whose fault it is. */
function upstreamFault(close: ConnClose): PosternError {
  const { error } = close;
  if (!(error instanceof PosternError)) return new pipeErrors.UPSTREAM_CLOSED(undefined, { cause: error });
  if (error.blame === "PEER" || error.blame === "MISMATCH") {
    return new pipeErrors.UPSTREAM_BROKE_PROTOCOL(error.code, { cause: error });
  }
  return error;
}
