import { Buffer } from "node:buffer";
import {
  createPacketBatch,
  type PacketBatch,
  type PacketOpener,
  type PacketSealer,
  plainOpener,
  plainSealer,
  type RandomBytes,
} from "#ssh/algorithms";
import { heldArenas, largeArenas, smallArenas } from "./arena.ts";
import { transportErrors } from "./errors.ts";
import type { Borrower, Lender, PacketView } from "./packet-conn.ts";

/** Packets opened by one call of the cipher. */
const batchPackets = 64;

/** The sequence number after which keys must not be used: AEAD nonces would come again (RFC 4344, section 3.1; RFC 5647). */
const maxPacketsPerKeys = 0xffff_ffff;

/**
 * Inbound half of the binary packet protocol (RFC 4253, section 6): chunks in, opened packets out.
 *
 * Bytes are opened where they lie. Between turns, what is left of them is copied aside by `hold()`, so that the caller's buffer
 * can be reused at once.
 */
export class InboundFramer implements Lender {
  #opener: PacketOpener = plainOpener();
  #bytes: Uint8Array = new Uint8Array(0);
  #start = 0;
  #end = 0;
  #held = false;
  /** Lent by the pool while `#bytes` lies in it. */
  #arena: Uint8Array | undefined;
  readonly #batch: PacketBatch = createPacketBatch();
  #taken = 0;
  /** Reads packets that were shown, until it is told to be done with them. */
  #borrower: Borrower | undefined;
  /** Packets and bytes since the keys last changed. */
  packets = 0;
  bytes = 0;
  /** Sequence number of the packet last shown. */
  sequence = 0;

  /**
   * Adds `bytes[start, end)`. What lies before `start` may be overwritten: a caller that leaves enough room there saves a copy of
   * the whole chunk whenever a packet is split between two.
   */
  receive(bytes: Uint8Array, start: number, end: number): void {
    this.#settle();
    const left = this.#end - this.#start;
    if (left === 0) {
      this.#bytes = bytes;
      this.#start = start;
      this.#end = end;
    } else if (left <= start) {
      bytes.set(this.#bytes.subarray(this.#start, this.#end), start - left);
      this.#bytes = bytes;
      this.#start = start - left;
      this.#end = end;
    } else {
      const joined = Buffer.allocUnsafe(left + end - start);
      joined.set(this.#bytes.subarray(this.#start, this.#end));
      joined.set(bytes.subarray(start, end), left);
      this.#bytes = joined;
      this.#start = 0;
      this.#end = joined.length;
    }
    this.#releaseArena();
    this.#held = false;
  }

  /** Unopened bytes, for the version exchange, which comes before any packet. */
  takeRaw(read: (bytes: Uint8Array, start: number, end: number) => number): void {
    this.#start = read(this.#bytes, this.#start, this.#end);
  }

  /** Opens the next packet into `view`; false when there is no whole one. `one`: keys may change after it, so open no further. */
  next(view: PacketView, one: boolean): boolean {
    if (this.#taken === this.#batch.count && !this.#openBatch(one)) return false;
    const n = this.#taken++;
    const bytes = this.#batch.bytes[n];
    const start = this.#batch.start[n];
    const end = this.#batch.end[n];
    if (bytes === undefined || start === undefined || end === undefined)
      throw new transportErrors.BUG_ENGINE_MISUSED();
    this.packets++;
    this.bytes += end - start;
    const padding = bytes[start] ?? 0;
    view.bytes = bytes;
    view.start = start + 1;
    view.end = end - padding;
    view.padding = padding;
    this.sequence = (this.#opener.sequence - (this.#batch.count - n)) >>> 0;
    // RFC 4253, section 6: four bytes of padding at least; and every payload has a number.
    if (padding < 4 || view.end <= view.start)
      throw new transportErrors.PEER_UNEXPECTED_MESSAGE("empty packet");
    return true;
  }

  /** Puts the packet last shown back, to be shown again. */
  putBack(): void {
    this.#taken--;
    this.packets--;
    this.bytes -= (this.#batch.end[this.#taken] ?? 0) - (this.#batch.start[this.#taken] ?? 0);
  }

  /** Whether bytes or opened packets wait. */
  get waiting(): boolean {
    return this.#taken < this.#batch.count || this.#start < this.#end;
  }

  /** New keys from the next packet on; `reset`: strict key exchange starts the sequence at 0. */
  install(opener: PacketOpener, reset: boolean): void {
    // Sent together with its KEXINIT, before it could know the new keys; what lies behind was under the old ones.
    if (this.#taken < this.#batch.count)
      throw new transportErrors.PEER_UNEXPECTED_MESSAGE("after NEWKEYS, under the keys before");
    opener.sequence = reset ? 0 : this.#opener.sequence;
    this.#opener.wipe();
    this.#opener = opener;
    this.packets = 0;
    this.bytes = 0;
  }

  /** What was shown is read until the bytes go. There is one borrower at a time, as there is one far side. */
  lendTo(borrower: Borrower): void {
    if (this.#borrower !== borrower) this.#settle();
    this.#borrower = borrower;
  }

  /** Copies aside what is left of the caller's bytes. */
  hold(): void {
    this.#settle();
    if (this.#held) return;
    this.#held = true;
    const lent = this.#bytes;
    for (let n = this.#taken; n < this.#batch.count; n++) {
      const bytes = this.#batch.bytes[n];
      if (bytes === undefined || bytes.buffer !== lent.buffer) continue;
      const copy = Buffer.from(bytes.subarray(this.#batch.start[n], this.#batch.end[n]));
      this.#batch.bytes[n] = copy;
      this.#batch.start[n] = 0;
      this.#batch.end[n] = copy.length;
    }
    if (this.#taken === this.#batch.count) this.#batch.bytes.length = 0;
    const left = lent.subarray(this.#start, this.#end);
    this.#bytes = left.length === 0 ? empty : this.#keep(left);
    this.#end -= this.#start;
    this.#start = 0;
  }

  /**
   * A copy. Bulk data leave part of a packet after every read: made anew each time, the memory for it would cost more than
   * opening the packets, as the collector marks the whole heap ever again.
   */
  #keep(bytes: Uint8Array): Uint8Array {
    this.#releaseArena();
    if (bytes.length < pooledBytes || bytes.length > heldArenas.bytes) return Buffer.from(bytes);
    this.#arena = heldArenas.take();
    this.#arena.set(bytes);
    return this.#arena;
  }

  #releaseArena(): void {
    // Packets that were opened in it and not shown yet stay where they are.
    if (this.#arena !== undefined && this.#taken === this.#batch.count) heldArenas.give(this.#arena);
    this.#arena = undefined;
  }

  wipe(): void {
    this.#settle();
    this.#opener.wipe();
    this.#batch.count = 0;
    this.#batch.bytes.length = 0;
    this.#taken = 0;
    this.#bytes = empty;
    this.#start = 0;
    this.#end = 0;
    this.#releaseArena();
  }

  #settle(): void {
    this.#borrower?.settle();
    this.#borrower = undefined;
  }

  #openBatch(one: boolean): boolean {
    this.#batch.count = 0;
    this.#taken = 0;
    if (this.#start === this.#end) return false;
    if (this.packets >= maxPacketsPerKeys) throw new transportErrors.PEER_KEYS_WORN_OUT();
    this.#start = this.#opener.open(this.#bytes, this.#start, this.#end, this.#batch, one ? 1 : batchPackets);
    return this.#batch.count > 0;
  }
}

const empty = new Uint8Array(0);

/** Smaller pieces come cheaply out of Node's own pool. */
const pooledBytes = 4096;

/** Random bytes for padding, drawn in bulk: a call for each packet would cost more than the rest of the framing. */
class PaddingSource {
  readonly #random: RandomBytes;
  #bytes: Uint8Array = empty;
  #at = 0;

  constructor(random: RandomBytes) {
    this.#random = random;
  }

  fill(out: Uint8Array, at: number, count: number): void {
    if (this.#at + count > this.#bytes.length) {
      this.#bytes = this.#random(1024);
      this.#at = 0;
    }
    for (let n = 0; n < count; n++) out[at + n] = this.#bytes[this.#at + n] ?? 0;
    this.#at += count;
  }
}

const paddingSources = new WeakMap<RandomBytes, PaddingSource>();

/** One for all that draw from the same randomness: the most of many connections are idle, and each would hold a supply. */
function paddingOf(random: RandomBytes): PaddingSource {
  let source = paddingSources.get(random);
  if (source === undefined) {
    source = new PaddingSource(random);
    paddingSources.set(random, source);
  }
  return source;
}

/** Outbound half of the binary packet protocol: payloads in, sealed bytes out, gathered until they are taken. */
export class OutboundFramer implements Borrower {
  #sealer: PacketSealer = plainSealer();
  #arena: Uint8Array | undefined;
  #at = 0;
  #full: Uint8Array[] = [];
  #fullBytes = 0;
  readonly #random: RandomBytes;
  packets = 0;
  bytes = 0;

  constructor(random: RandomBytes) {
    this.#random = random;
  }

  /** Whether there are bytes to take. */
  get pending(): boolean {
    return this.#at > 0 || this.#full.length > 0;
  }

  /** How many bytes there are to take. */
  get pendingBytes(): number {
    return this.#fullBytes + this.#at;
  }

  /** Bytes that are not packets: the version line, before any key. */
  raw(bytes: Uint8Array): void {
    const arena = this.#room(bytes.length);
    arena.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** Seals `input[start, end)` as the payload of one packet. */
  payload(input: Uint8Array, start: number, end: number): void {
    const length = end - start;
    const sealer = this.#sealer;
    const padded = 1 + length + (sealer.lengthIsPadded ? 4 : 0);
    let padding = sealer.blockBytes - (padded % sealer.blockBytes);
    if (padding < 4) padding += sealer.blockBytes;
    const body = 1 + length + padding;
    const arena = this.#room(4 + body + sealer.tagBytes);
    const at = this.#at + 4;
    arena[at] = padding;
    arena.set(input.subarray(start, end), at + 1);
    paddingOf(this.#random).fill(arena, at + 1 + length, padding);
    this.#at = sealer.seal(arena, at, at + body, arena, this.#at);
    this.#count(body);
  }

  /**
   * Seals a packet that was opened elsewhere, with its own padding where our cipher's alignment allows. Lent bytes are read where
   * they lie, many packets at once, so that nothing is copied but by the cipher.
   */
  forward(packet: PacketView): void {
    const sealer = this.#sealer;
    const body = 1 + packet.end - packet.start + packet.padding;
    const padded = body + (sealer.lengthIsPadded ? 4 : 0);
    if (packet.padding < 4 || padded % sealer.blockBytes !== 0) {
      this.payload(packet.bytes, packet.start, packet.end);
      return;
    }
    const arena = this.#room(4 + body + sealer.tagBytes);
    const from = packet.start - 1;
    if (packet.lender === undefined) {
      const at = this.#at + 4;
      arena.set(packet.bytes.subarray(from, from + body), at);
      this.#at = sealer.seal(arena, at, at + body, arena, this.#at);
    } else {
      packet.lender.lendTo(this);
      this.#at = sealer.seal(packet.bytes, from, from + body, arena, this.#at);
    }
    this.#count(body);
  }

  /** A cipher that failed says so again when its output is taken, to whom that belongs. */
  settle(): void {
    try {
      this.#sealer.finish();
    } catch {}
  }

  /** New keys from the next packet on. */
  install(sealer: PacketSealer, reset: boolean): void {
    this.#sealer.finish();
    sealer.sequence = reset ? 0 : this.#sealer.sequence;
    this.#sealer.wipe();
    this.#sealer = sealer;
    this.packets = 0;
    this.bytes = 0;
  }

  /** Takes what was gathered. Each piece goes back by `release` when the kernel has it. */
  take(): Uint8Array[] {
    this.#sealer.finish();
    const pieces = this.#full;
    this.#full = [];
    this.#fullBytes = 0;
    if (this.#arena !== undefined && this.#at > 0) pieces.push(this.#arena.subarray(0, this.#at));
    this.#arena = undefined;
    this.#at = 0;
    return pieces;
  }

  wipe(): void {
    this.#sealer.wipe();
    for (const piece of this.take()) releaseOutput(piece);
  }

  #count(body: number): void {
    if (++this.packets >= maxPacketsPerKeys) throw new transportErrors.PEER_KEYS_WORN_OUT();
    this.bytes += body;
  }

  /** An arena with `more` bytes free at `#at`: first a small one, then a large one, then another large one. */
  #room(more: number): Uint8Array {
    const arena = this.#arena;
    if (arena !== undefined && this.#at + more <= arena.length) return arena;
    if (arena === undefined) {
      this.#arena = more <= smallArenas.bytes ? smallArenas.take() : largeArenas.take();
      return this.#arena;
    }
    const large = largeArenas.take();
    this.#sealer.finish();
    if (arena.length === smallArenas.bytes && this.#at + more <= large.length) {
      large.set(arena.subarray(0, this.#at));
      smallArenas.give(arena);
    } else {
      this.#full.push(arena.subarray(0, this.#at));
      this.#fullBytes += this.#at;
      this.#at = 0;
    }
    this.#arena = large;
    return large;
  }
}

/** Gives back a piece that `take()` gave out. */
export function releaseOutput(piece: Uint8Array): void {
  const whole = Buffer.from(piece.buffer, piece.byteOffset, piece.buffer.byteLength - piece.byteOffset);
  if (whole.length >= largeArenas.bytes) largeArenas.give(whole.subarray(0, largeArenas.bytes));
  else if (whole.length === smallArenas.bytes) smallArenas.give(whole);
}
