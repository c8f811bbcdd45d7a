import { Buffer } from "node:buffer";
import { encodeChannelData, encodeChannelSignal, encodeWindowAdjust, MSG } from "#ssh/messages";

/** One side of a session, as far as we speak to it ourselves. */
export interface Speaking {
  readonly writable: boolean;
  send(payload: Uint8Array): void;
}

/**
 * Bytes of each direction of an SFTP channel that may be here, and so the window that its sender is given: half of it is what OpenSSH
 * has on its way.
 */
export const fileWindowBytes: number = 2 * 1024 * 1024;

/** What a sender may have on its way while a packet that must be seen whole is not: more than any of them. */
const leastBytes = fileWindowBytes / 4;

/** A sender that has less than this is given more as soon as there is as much. */
const lowBytes = 32 * 1024;

interface Piece {
  readonly bytes: Uint8Array;
  readonly dataType: number | undefined;
}

/** One end of a channel: its own number of it, what it takes, and how it is spoken to. */
export interface WayEnd {
  readonly number: number;
  /** Bytes that it has yet to let us send. */
  readonly windowBytes: number;
  readonly maxPacketBytes: number;
  readonly speaking: Speaking;
}

/**
 * One direction of an SFTP channel, whose two windows are ours: what the sender may send us, and what we may send the receiver.
 * They differ, because what comes in is not what goes out.
 */
export class FileWay {
  readonly #from: WayEnd;
  readonly #to: WayEnd;
  /** What else is kept of this direction. */
  readonly #held: () => number;
  /** Whether more is going to come of that by itself. */
  readonly #waiting: () => boolean;
  #grantedBytes: number;
  #windowBytes: number;
  /** A sender is given window again when so much of it is gone. */
  readonly #stepBytes: number;
  #queue: Piece[] = [];
  #queuedBytes = 0;
  /** To be sent when nothing is left: EOF, CLOSE. */
  #last: Parameters<typeof encodeChannelSignal>[0][] = [];
  #closed = false;

  constructor(from: WayEnd, to: WayEnd, grantedBytes: number, held: () => number, waiting: () => boolean) {
    this.#waiting = waiting;
    this.#from = from;
    this.#to = to;
    this.#held = held;
    this.#grantedBytes = grantedBytes;
    this.#windowBytes = to.windowBytes;
    this.#stepBytes = Math.max(1, Math.min(fileWindowBytes, to.windowBytes) >> 2);
  }

  /** CLOSE went out. */
  get closed(): boolean {
    return this.#closed;
  }

  received(bytes: number): void {
    this.#grantedBytes -= bytes;
  }

  /** Whether so many bytes may go on at once, in the packet that they came in; then they are counted. */
  passes(bytes: number): boolean {
    if (this.#queue.length > 0 || bytes > this.#windowBytes || bytes > this.#to.maxPacketBytes) return false;
    this.#windowBytes -= bytes;
    return true;
  }

  /** Sends bytes, or a copy of them as soon as may be. */
  put(bytes: Uint8Array, dataType?: number): void {
    if (this.#closed) return;
    let at = 0;
    while (at < bytes.length && this.#queue.length === 0 && this.#open) {
      const size = Math.min(bytes.length - at, this.#windowBytes, this.#to.maxPacketBytes);
      this.#send(bytes.subarray(at, at + size), dataType);
      at += size;
    }
    if (at === bytes.length) return;
    this.#queue.push({ bytes: Buffer.from(bytes.subarray(at)), dataType });
    this.#queuedBytes += bytes.length - at;
  }

  /** The receiver takes more. */
  adjust(bytes: number): void {
    this.#windowBytes += bytes;
    this.flush();
  }

  /** Sends what waits, as far as it may be. */
  flush(): void {
    let piece = this.#queue[0];
    while (piece !== undefined && this.#open) {
      const size = Math.min(piece.bytes.length, this.#windowBytes, this.#to.maxPacketBytes);
      this.#send(piece.bytes.subarray(0, size), piece.dataType);
      this.#queuedBytes -= size;
      if (size === piece.bytes.length) this.#queue.shift();
      else this.#queue[0] = { bytes: piece.bytes.subarray(size), dataType: piece.dataType };
      piece = this.#queue[0];
    }
    this.settle();
  }

  /** Gives the sender window for what has gone, and ends when there is nothing left. */
  settle(): void {
    if (this.#closed) return;
    if (this.#queue.length === 0 && !this.#waiting()) this.#sendLast();
    if (this.#last.length > 0 || this.#closed) return;
    const bytes = this.#due();
    const granted = this.#grantedBytes;
    const worth =
      granted <= 0 ? 1 : granted < lowBytes ? Math.min(lowBytes, this.#stepBytes) : this.#stepBytes;
    if (bytes < worth) return;
    this.#grantedBytes += bytes;
    this.#from.speaking.send(encodeWindowAdjust({ recipient: this.#from.number, bytes }));
  }

  /**
   * No more than the receiver takes: what then comes can go on as it is, and need not wait here. But a packet that must be seen
   * whole may be longer than what the receiver takes at once.
   */
  #due(): number {
    const held = this.#held();
    const room = held > 0 ? Math.max(leastBytes, this.#windowBytes) : this.#windowBytes;
    return Math.min(fileWindowBytes, room) - this.#queuedBytes - held - this.#grantedBytes;
  }

  /** Bytes that wait here for the receiver. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Gives the sender so much, whatever the receiver takes. */
  atLeast(bytes: number): void {
    const more = bytes - Math.max(0, this.#grantedBytes);
    if (more <= 0 || this.#closed) return;
    this.#grantedBytes += more;
    this.#from.speaking.send(encodeWindowAdjust({ recipient: this.#from.number, bytes: more }));
  }

  /** EOF or CLOSE of the sender: it goes on behind all that is left. */
  end(number: typeof MSG.CHANNEL_EOF | typeof MSG.CHANNEL_CLOSE): void {
    if (this.#closed) return;
    this.#last.push(number);
    this.settle();
  }

  /** Sends CLOSE now, unless it went out; what waits is dropped. */
  close(): void {
    if (this.#closed) return;
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#last = [MSG.CHANNEL_CLOSE];
    this.#sendLast();
  }

  get #open(): boolean {
    // Who takes messages of no bytes takes nothing, however large the window.
    return this.#windowBytes > 0 && this.#to.maxPacketBytes > 0 && this.#to.speaking.writable;
  }

  #send(data: Uint8Array, dataType: number | undefined): void {
    this.#windowBytes -= data.length;
    const message = { recipient: this.#to.number, data };
    this.#to.speaking.send(encodeChannelData(dataType === undefined ? message : { ...message, dataType }));
  }

  #sendLast(): void {
    for (const number of this.#last.splice(0)) {
      if (this.#closed) return;
      this.#closed = number === MSG.CHANNEL_CLOSE;
      this.#to.speaking.send(encodeChannelSignal(number, this.#to.number));
    }
  }
}
