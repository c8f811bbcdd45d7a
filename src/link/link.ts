import { Buffer } from "node:buffer";
import type { Duplex } from "node:stream";
import { PosternError, Rounds, type Timer } from "#base";
import { type Agreement, Slow } from "#ssh/algorithms";
import { DISCONNECT, type Extensions } from "#ssh/messages";
import {
  type ConnClose,
  defaultRekeyLimits,
  type Negotiated,
  type PacketConn,
  type PacketHandler,
  type PacketView,
  releaseOutput,
  Transport,
  type TransportEvent,
} from "#ssh/transport";
import { type ByteStream, byteStreamOf } from "./byte-stream.ts";
import { linkErrors } from "./errors.ts";
import { bulkReadBytes } from "./read-pace.ts";
import { type Established, hostKeyBlobs, type LinkOptions, withHostKeys } from "./options.ts";

/**
 * Bytes of output that may wait for the socket before we stop reading what the same peer sends: replies of our own (to pings, to
 * refused channels) must not grow without end for one who never reads them. Bulk data stop long before, by `writable`.
 */
export const maxUnsentBytes: number = 4 * 1024 * 1024;

/** Milliseconds that a peer has to close after the kernel has taken our last words, before the connection is dropped. */
export const lingerMs: number = 2_000;

/** Milliseconds that a slow peer has to take what was still to be written when the connection ended. */
export const lastWordsMs: number = 30_000;

/**
 * So often in the time for which keys may be used, the clock is looked at. Not more often: of thousands that are idle nothing is in the
 * processor's caches any more, and each look then costs as much as twenty would.
 */
const looksPerKeys = 12;
const minLookMs = 1_000;

/** A transport engine on a stream of bytes: reads, writes, timers, backpressure. */
export class Link implements PacketConn {
  /** Settles once: with the first key exchange, or with why there was none. */
  readonly established: Promise<Established>;
  readonly #options: LinkOptions;
  readonly #stream: ByteStream;
  readonly #transport: Transport;
  readonly #establish: PromiseWithResolvers<Established>;
  #handler: PacketHandler | undefined;
  #extensions: Extensions = new Map();
  #hostKeySignature: Uint8Array | undefined;
  #deadline: Timer | undefined;
  #ticker: Disposable | undefined;
  /** Pieces that the kernel has not taken yet. */
  #unsent: Uint8Array[] = [];
  #unsentBytes = 0;
  #flushing = false;
  #pumping = false;
  #paused = false;
  /** The last read was a large one. */
  #bulk = false;
  #ended: { readonly error: Error | undefined } | undefined;
  /** Set once; told to the handler as soon as there is one. */
  #close: ConnClose | undefined;
  #told = false;
  #wasWritable = true;
  /** Bytes received from and handed to the stream. */
  bytesIn = 0;
  bytesOut = 0;

  constructor(stream: Duplex, options: LinkOptions) {
    this.#options = options;
    this.#establish = Promise.withResolvers();
    this.established = this.#establish.promise;
    // Whoever owns the link may learn of the end by its handler alone.
    this.established.catch(() => {});
    this.#transport = new Transport({
      role: options.role,
      version: options.version,
      algorithms: options.role === "server" ? withHostKeys(options) : options.algorithms,
      ...(options.role === "server" ? { hostKeys: hostKeyBlobs(options.hostKeys) } : firstIgnore(options)),
      extensions: options.extensions,
      ...(options.rekey === undefined ? {} : { rekey: options.rekey }),
      random: options.random,
      now: options.clock.monotonic(),
    });
    this.#stream = byteStreamOf(stream);
    this.#deadline = options.clock.after(options.handshakeMs, () =>
      this.#fail(new linkErrors.PEER_HANDSHAKE_TIMEOUT()),
    );
    this.#stream.start(
      (bytes, start, end) => this.#receive(bytes, start, end),
      (error) => this.#end(error),
    );
    this.#scheduleFlush();
  }

  get sessionId(): Uint8Array {
    return this.#transport.sessionId;
  }

  get peerVersion(): string {
    return this.#transport.peerVersion;
  }

  get extensions(): Extensions {
    return this.#extensions;
  }

  get hostKey(): Uint8Array {
    return this.#transport.hostKey;
  }

  /** As client: the upstream's signature over the session identifier, for agents that ask what they sign for. */
  get hostKeySignature(): Uint8Array | undefined {
    return this.#hostKeySignature;
  }

  /** The kernel asks the peer whether it is there (TCP keepalive). */
  get probed(): boolean {
    return this.#options.probed === true;
  }

  get writable(): boolean {
    return this.#unsentBytes === 0 && !this.#transport.exchanging;
  }

  get rekeying(): boolean {
    return this.#transport.rekeying;
  }

  attach(handler: PacketHandler): void {
    this.#handler = handler;
    if (this.#close !== undefined) {
      queueMicrotask(() => this.#tell());
      return;
    }
    // Not at once: whoever attaches has not finished its own construction.
    queueMicrotask(() => this.resume());
  }

  send(payload: Uint8Array): void {
    if (this.#close !== undefined) return;
    this.#transport.send(payload);
    this.#scheduleFlush();
  }

  forward(packet: PacketView): void {
    if (this.#close !== undefined) return;
    this.#transport.forward(packet);
    this.#scheduleFlush();
  }

  resume(): void {
    this.#pump();
  }

  rekey(): void {
    this.#transport.rekey();
    this.#noteWritable();
    this.#scheduleFlush();
  }

  flush(): void {
    this.#flushing = false;
    // One write at a time: what comes meanwhile gathers in the engine.
    if (this.#unsentBytes > 0 || !this.#transport.pending) return;
    this.#write();
    // Taken at once: nobody else would tell that there is room to read on.
    if (this.#paused && this.#unsentBytes === 0) this.#pump();
  }

  #write(): void {
    const pieces = this.#transport.output();
    let bytes = 0;
    for (const piece of pieces) bytes += piece.length;
    this.bytesOut += bytes;
    const taken = this.#stream.write(pieces, () => this.#written());
    if (taken) {
      for (const piece of pieces) releaseOutput(piece);
    } else {
      this.#unsent = pieces;
      this.#unsentBytes += bytes;
    }
    this.#noteWritable();
  }

  disconnect(reason: number, description: string): void {
    this.#conclude({ kind: "local", reason, description }, reason, description);
  }

  /** Calls back once nothing can be read or written any more, also for who is not its handler. */
  whenClosed(done: () => void): void {
    this.#stream.whenClosed(done);
  }

  destroy(): void {
    this.#closeWith({ kind: "local" });
    this.#drop();
  }

  #receive(bytes: Uint8Array, start: number, end: number): void {
    this.bytesIn += end - start;
    // After the end nothing is looked at any more; reading goes on only so that the peer takes our last words.
    if (this.#close !== undefined) return;
    this.#bulk = end - start >= bulkReadBytes;
    this.#transport.receive(bytes, start, end);
    this.#pump();
    this.#transport.hold();
  }

  /** Shows everything that may be shown now. */
  #pump(): void {
    if (this.#pumping || this.#close !== undefined) return;
    this.#pumping = true;
    try {
      this.#showAll();
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#pumping = false;
    }
    if (this.#close !== undefined) return;
    this.#handler?.shown?.();
    this.#noteWritable();
    this.#scheduleFlush();
    this.#steer();
    if (this.#ended !== undefined && this.#canConclude()) this.#closeEnded(this.#ended.error);
  }

  #showAll(): void {
    while (this.#close === undefined) {
      const event = this.#transport.next(this.#admits());
      if (event === undefined) return;
      if (event.kind === "packet") this.#handler?.packet(event.packet);
      else this.#take(event);
    }
  }

  #admits(): boolean {
    const handler = this.#handler;
    if (handler === undefined || this.#overfull) return false;
    return handler.ready === undefined || handler.ready();
  }

  /** More of our own output waits than may: in the stream, or gathered behind it. */
  get #overfull(): boolean {
    return this.#unsentBytes + this.#transport.pendingBytes > maxUnsentBytes;
  }

  /**
   * Reads on only when what came has been shown: what waits here is then never more than one chunk. Pings and messages that are not
   * known are answered even when nothing is admitted, so too much output stops the reading by itself. Bulk data are left to the
   * kernel as soon as nothing is admitted: a read that cannot be shown must be copied aside.
   */
  #steer(): void {
    const { waiting, unread } = this.#transport;
    const pause = waiting || this.#overfull || ((unread || this.#bulk) && !this.#admits());
    if (pause === this.#paused) return;
    this.#paused = pause;
    if (pause) this.#stream.pause();
    else this.#stream.resume();
  }

  #take(event: Exclude<TransportEvent, { kind: "packet" }>): void {
    switch (event.kind) {
      case "version":
        return;
      case "need-signature":
        this.#sign(event.hostKey, event.algorithm, event.data);
        return;
      case "need-secret":
        this.#later(event.task.run(), (agreement: Agreement) => this.#transport.agreed(agreement));
        return;
      case "need-host-key":
        this.#hostKeySignature ??= event.signature;
        this.#checkHostKey(event.algorithm, event.hostKey);
        return;
      case "kex-done":
        if (event.first) this.#whenEstablished(event.negotiated);
        return;
      case "extensions":
        this.#extensions = event.extensions;
        return;
      case "disconnected": {
        const { reason, description } = event;
        this.#closeWith({ kind: "disconnected", reason, description });
        this.#finish();
      }
    }
  }

  #whenEstablished(negotiated: Negotiated): void {
    this.#deadline?.[Symbol.dispose]();
    this.#deadline = undefined;
    const { ms } = this.#options.rekey ?? defaultRekeyLimits;
    const lookMs = Math.max(minLookMs, Math.ceil(ms / looksPerKeys));
    this.#ticker = Rounds.of(this.#options.clock, lookMs).join(() => this.#tick());
    this.#establish.resolve({
      sessionId: this.#transport.sessionId,
      peerVersion: this.#transport.peerVersion,
      hostKey: this.#transport.hostKey,
      negotiated,
      bulkCipher: this.#transport.bulkCipher,
    });
  }

  #sign(hostKey: Uint8Array, algorithm: string, data: Uint8Array): void {
    if (this.#options.role !== "server") return;
    const signer = this.#options.hostKeys.find((key) => key.blob === hostKey);
    const signature = signer?.sign(algorithm, data);
    if (signature === undefined) return;
    if (signature instanceof Uint8Array) this.#transport.signed(signature);
    else {
      const signing = signature instanceof Slow ? signature.run() : signature;
      this.#later(signing, (bytes: Uint8Array) => this.#transport.signed(bytes));
    }
  }

  #checkHostKey(algorithm: string, blob: Uint8Array): void {
    if (this.#options.role !== "client") return;
    // A rekey must show the key that was checked at first; asking again is not needed (and the answer might have changed).
    const known = this.#checkedHostKey;
    if (known !== undefined && Buffer.compare(known, blob) === 0) {
      this.#transport.hostKeyAccepted();
      return;
    }
    const checking = this.#options.checkHostKey(algorithm, blob);
    const accept = (): void => {
      this.#checkedHostKey = blob;
      this.#transport.hostKeyAccepted();
    };
    if (checking === undefined) accept();
    else this.#later(checking, accept);
  }

  #checkedHostKey: Uint8Array | undefined;

  #later<T>(work: Promise<T>, then: (result: T) => void): void {
    work.then(
      (result) => {
        if (this.#close !== undefined) return;
        try {
          then(result);
        } catch (error) {
          this.#fail(error);
          return;
        }
        this.#pump();
      },
      (error: unknown) => this.#fail(error),
    );
  }

  #tick(): void {
    this.#transport.tick(this.#options.clock.monotonic());
    this.#rekeyIfDue();
  }

  #rekeyIfDue(): void {
    if (!this.#transport.rekeyDue) return;
    if (this.#handler?.mayRekey?.() === false) return;
    this.rekey();
  }

  #scheduleFlush(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    process.nextTick(() => {
      this.#rekeyIfDue();
      this.flush();
    });
  }

  #written(): void {
    for (const piece of this.#unsent) releaseOutput(piece);
    this.#unsent = [];
    this.#unsentBytes = 0;
    this.flush();
    this.#noteWritable();
    // Reading may have stopped because too much was unsent.
    this.#pump();
  }

  /** Tells the handler when `writable` becomes true again. */
  #noteWritable(): void {
    const writable = this.writable;
    const became = writable && !this.#wasWritable;
    this.#wasWritable = writable;
    if (became && this.#close === undefined) this.#handler?.drain?.();
  }

  #end(error: Error | undefined): void {
    const closed = this.#close !== undefined;
    this.#ended = { error };
    if (closed) {
      // A peer that ended its direction may still read our last words: then `#finish` drops the stream when they are out.
      if (error !== undefined || this.#unsentBytes === 0) this.#drop();
      return;
    }
    this.#pump();
    if (this.#ended !== undefined && this.#canConclude()) this.#closeEnded(error);
  }

  /** Whether all that came before the end has been shown; an unfinished packet at the end does not count. */
  #canConclude(): boolean {
    return !this.#transport.waiting && (!this.#transport.unread || this.#admits());
  }

  #closeEnded(error: Error | undefined): void {
    this.#closeWith(error === undefined ? { kind: "ended" } : { kind: "failed", error });
    this.#drop();
  }

  /** Every error ends here: the peer is told what its blame allows. */
  #fail(error: unknown): void {
    const known =
      error instanceof PosternError
        ? error
        : new linkErrors.BUG_UNEXPECTED_THROW(undefined, { cause: error });
    this.#conclude({ kind: "failed", error: known }, known.disconnect, known.user);
  }

  /** Last words, then a half-close: dropping at once would make the kernel throw away what the peer has not read yet. */
  #conclude(close: ConnClose, reason: number, description: string): void {
    if (this.#close !== undefined) return;
    this.#transport.disconnect(reason, description);
    this.#closeWith(close);
    this.#finish();
  }

  #finish(): void {
    if (this.#transport.pending) this.#write();
    this.#deadline = this.#options.clock.after(lastWordsMs, () => this.#drop());
    this.#stream.resume();
    this.#stream.finish(() => {
      this.#deadline?.[Symbol.dispose]();
      if (this.#ended !== undefined) this.#drop();
      else this.#deadline = this.#options.clock.after(lingerMs, () => this.#drop());
    });
  }

  #drop(): void {
    this.#deadline?.[Symbol.dispose]();
    this.#stream.destroy();
  }

  #closeWith(close: ConnClose): void {
    if (this.#close !== undefined) return;
    this.#close = close;
    this.#deadline?.[Symbol.dispose]();
    this.#ticker?.[Symbol.dispose]();
    this.#transport.close();
    this.#establish.reject(whyNot(close));
    this.#tell();
  }

  #tell(): void {
    const handler = this.#handler;
    if (handler === undefined || this.#close === undefined || this.#told) return;
    this.#told = true;
    handler.closed(this.#close);
  }
}

function firstIgnore({ firstIgnore: data }: LinkOptions & { role: "client" }): { firstIgnore?: Uint8Array } {
  return data === undefined ? {} : { firstIgnore: data };
}

function whyNot(close: ConnClose): unknown {
  switch (close.kind) {
    case "failed":
      return close.error;
    case "disconnected":
      return new linkErrors.PEER_DISCONNECTED(
        `reason ${close.reason ?? DISCONNECT.BY_APPLICATION}: ${close.description ?? ""}`,
      );
    case "ended":
    case "local":
      return new linkErrors.PEER_STREAM_ENDED();
  }
}
