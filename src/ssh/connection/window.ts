import { connectionErrors } from "./errors.ts";

/** RFC 4254, section 5.2: a window never exceeds this. */
const maxWindowBytes = 0xffff_ffff;

/**
 * The part of a window whose room is worth a message. On a long way the sender stands still for as much as this in every round trip:
 * with half the window it reached half the speed.
 */
const creditPart = 16;

/** How much the peer may still send on a channel. */
export class ReceiveWindow {
  readonly #sizeBytes: number;
  #leftBytes: number;
  #creditBytes = 0;

  constructor(sizeBytes: number) {
    this.#sizeBytes = sizeBytes;
    this.#leftBytes = sizeBytes;
  }

  get leftBytes(): number {
    return this.#leftBytes;
  }

  /** Data have come. Throws PEER_WINDOW_EXCEEDED. */
  take(bytes: number): void {
    if (bytes > this.#leftBytes) {
      throw new connectionErrors.PEER_WINDOW_EXCEEDED(`${bytes} bytes, ${this.#leftBytes} allowed`);
    }
    this.#leftBytes -= bytes;
  }

  /** The reader has consumed data. Returns the bytes to adjust the window by now; 0 while it is not worth a message. */
  consume(bytes: number): number {
    this.#creditBytes += bytes;
    if (this.#creditBytes * creditPart < this.#sizeBytes) return 0;
    const credit = this.#creditBytes;
    this.#creditBytes = 0;
    this.#leftBytes += credit;
    return credit;
  }
}

/** How much we may still send on a channel. */
export class SendWindow {
  #leftBytes: number;

  constructor(leftBytes: number) {
    this.#leftBytes = leftBytes;
  }

  get leftBytes(): number {
    return this.#leftBytes;
  }

  /** WINDOW_ADJUST has come. Throws PEER_WINDOW_OVERFLOW. */
  adjust(bytes: number): void {
    if (this.#leftBytes + bytes > maxWindowBytes) {
      throw new connectionErrors.PEER_WINDOW_OVERFLOW(`${this.#leftBytes} + ${bytes} bytes`);
    }
    this.#leftBytes += bytes;
  }

  take(bytes: number): void {
    this.#leftBytes -= bytes;
  }
}
