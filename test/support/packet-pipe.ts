import { PosternError } from "#base";
import type { Extensions } from "#ssh/messages";
import type { ConnClose, PacketConn, PacketHandler, PacketView } from "#ssh/transport";

export interface PacketPipeOptions {
  /** When a payload reaches the other end: within `send`, or in a microtask of its own. Default: microtask. */
  readonly delivery?: "sync" | "microtask";
  /** Payloads left unread at one end from which on the other is not `writable`. Default: no bound. */
  readonly maxUnread?: number;
  readonly sessionId?: Uint8Array;
  readonly hostKey?: Uint8Array;
  /** What each end shows as its peer's EXT_INFO. */
  readonly extensions?: readonly [Extensions, Extensions];
}

/** Bytes shown to a handler are overwritten with this after the call: who kept a view finds out. */
const scribble = 0xdb;

type Item = Uint8Array | ConnClose;

/** One end of a pair: a PacketConn without transport, with handles for tests. */
export class PipeEnd implements PacketConn {
  readonly sessionId: Uint8Array;
  readonly hostKey: Uint8Array;
  readonly extensions: Extensions;
  readonly peerVersion = "SSH-2.0-packetPipe";
  /** Message numbers of all payloads sent, in order. */
  readonly sentNumbers: number[] = [];
  sentBytes = 0;
  rekeys = 0;
  readonly rekeying = false;
  bytesIn = 0;
  /** How this end was closed. */
  close: ConnClose | undefined;

  readonly #options: PacketPipeOptions;
  #peer: PipeEnd | undefined;
  #handler: PacketHandler | undefined;
  /** What was sent and is held back. */
  readonly #outbox: Item[] = [];
  /** What has come and was not read. */
  readonly #inbox: Item[] = [];
  #held = false;
  #toldFull = false;
  #pumping = false;

  constructor(options: PacketPipeOptions, side: 0 | 1) {
    this.#options = options;
    this.sessionId = options.sessionId ?? new Uint8Array(32).fill(7);
    this.hostKey = options.hostKey ?? Uint8Array.of(0, 0, 0, 0);
    this.extensions = options.extensions?.[side] ?? new Map();
  }

  get bytesOut(): number {
    return this.sentBytes;
  }

  join(peer: PipeEnd): void {
    this.#peer = peer;
  }

  /** As a socket that takes no more: `writable` is false, and nothing that is sent arrives before `release`. */
  hold(): void {
    this.#held = true;
    this.#toldFull = true;
  }

  release(): void {
    this.#held = false;
    this.#deliver();
    this.noticeRoom();
  }

  /** Payloads sent and held back. */
  get waiting(): number {
    return this.#outbox.length;
  }

  /** Payloads that have come and were not read. */
  get unread(): number {
    return this.#inbox.length;
  }

  get writable(): boolean {
    if (this.close !== undefined) return false;
    const writable = !this.#held && (this.#peer?.unread ?? 0) < (this.#options.maxUnread ?? Infinity);
    if (!writable) this.#toldFull = true;
    return writable;
  }

  attach(handler: PacketHandler): void {
    this.#handler = handler;
    queueMicrotask(() => this.#pump());
  }

  send(payload: Uint8Array): void {
    if (this.close !== undefined) return;
    this.sentNumbers.push(payload[0] ?? 0);
    this.sentBytes += payload.length;
    this.#outbox.push(Uint8Array.from(payload));
    this.#deliver();
  }

  forward(packet: PacketView): void {
    this.send(packet.bytes.subarray(packet.start, packet.end));
  }

  resume(): void {
    if (this.#options.delivery === "sync") this.#pump();
    else queueMicrotask(() => this.#pump());
  }

  flush(): void {}

  rekey(): void {
    this.rekeys++;
  }

  disconnect(reason: number, description: string): void {
    if (this.close !== undefined) return;
    this.#outbox.push({ kind: "disconnected", reason, description });
    this.#deliver();
    this.#end({ kind: "local", reason, description });
  }

  destroy(): void {
    if (this.close !== undefined) return;
    this.#outbox.push({ kind: "ended" });
    this.#deliver();
    this.#end({ kind: "local" });
  }

  /** The other end has read on, or this one was released. */
  noticeRoom(): void {
    if (!this.#toldFull || this.close !== undefined || !this.writable) return;
    this.#toldFull = false;
    this.#handler?.drain?.();
  }

  take(item: Item): void {
    if (this.close !== undefined) return;
    this.#inbox.push(item);
    if (this.#options.delivery === "sync") this.#pump();
    else queueMicrotask(() => this.#pump());
  }

  #deliver(): void {
    if (this.#held) return;
    for (const item of this.#outbox.splice(0)) this.#peer?.take(item);
  }

  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    while (this.close === undefined && this.#handler !== undefined) {
      const [item] = this.#inbox;
      if (item === undefined) break;
      if (!(item instanceof Uint8Array)) {
        this.#end(item);
        break;
      }
      if (this.#handler.ready?.() === false) break;
      this.#inbox.shift();
      this.bytesIn += item.length;
      this.#show(this.#handler, item);
      this.#peer?.noticeRoom();
    }
    this.#pumping = false;
  }

  #show(handler: PacketHandler, payload: Uint8Array): void {
    // As out of a packet: the payload lies somewhere in the middle of other bytes.
    const bytes = new Uint8Array(payload.length + 16).fill(scribble);
    bytes.set(payload, 5);
    try {
      handler.packet({ bytes, start: 5, end: 5 + payload.length, padding: 11 });
    } catch (error) {
      const known = error instanceof PosternError;
      this.#outbox.push({
        kind: "disconnected",
        reason: known ? error.disconnect : 11,
        description: known ? error.user : "internal error",
      });
      this.#deliver();
      this.#end({ kind: "failed", error });
    }
    bytes.fill(scribble);
  }

  #end(close: ConnClose): void {
    if (this.close !== undefined) return;
    this.close = close;
    this.#inbox.length = 0;
    this.#handler?.closed(close);
  }
}

/** Two PacketConns joined in memory. */
export function packetPipe(options: PacketPipeOptions = {}): [PipeEnd, PipeEnd] {
  const first = new PipeEnd(options, 0);
  const second = new PipeEnd(options, 1);
  first.join(second);
  second.join(first);
  return [first, second];
}
