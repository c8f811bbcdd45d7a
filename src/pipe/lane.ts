import { messageName, MSG } from "#ssh/messages";
import {
  type ConnClose,
  type PacketConn,
  type PacketHandler,
  type PacketView,
  transportErrors,
} from "#ssh/transport";
import { passing, type TapTable, type TapVerdict } from "./taps.ts";

export interface LaneOptions {
  readonly near: PacketConn;
  readonly far: PacketConn;
  readonly taps: TapTable;
  /** Takes global requests and their answers, numbers 80 to 82, and what taps say of them; true: it is dealt with and goes no further. */
  global(packet: PacketView, number: number, verdict: TapVerdict): boolean;
  closed(close: ConnClose): void;
  /** The near side takes more packets again. */
  drained?(): void;
}

/**
 * One direction of a pipe: what the near side sends goes to the far side, packet by packet, in the turn in which it came. No
 * promise, no queue: when the far side is full or exchanging keys, the near side is left unread.
 */
export class Lane implements PacketHandler {
  readonly #options: LaneOptions;

  constructor(options: LaneOptions) {
    this.#options = options;
  }

  ready(): boolean {
    return this.#options.far.writable;
  }

  /** One write for each read, at once: whether the far side takes more is then known before the near one is read again. */
  shown(): void {
    this.#options.far.flush();
  }

  /**
   * Both sides exchanging keys on our account at once could wait for each other: each needs the other writable to get at what
   * was sent before the peer saw our KEXINIT. Begun by the peers, they cannot: a peer that sent KEXINIT sends nothing else.
   */
  mayRekey(): boolean {
    return !this.#options.far.rekeying;
  }

  drain(): void {
    this.#options.drained?.();
    this.#options.far.resume();
  }

  packet(packet: PacketView): void {
    const { near, far, taps } = this.#options;
    const number = packet.bytes[packet.start] ?? 0;
    if (number < MSG.GLOBAL_REQUEST) {
      this.#late(number);
      return;
    }
    const verdict = taps.see(number, packet);
    if (number <= MSG.REQUEST_FAILURE && this.#options.global(packet, number, verdict)) return;
    if (verdict === passing || verdict.kind === "pass") far.forward(packet);
    else {
      const to = verdict.kind === "reply" ? near : far;
      for (const payload of verdict.payloads) to.send(payload);
    }
  }

  closed(close: ConnClose): void {
    this.#options.closed(close);
  }

  /** RFC 4252, section 5.1: requests after success are ignored; a banner is of no more use. Nothing else is due. */
  #late(number: number): void {
    if (number === MSG.USERAUTH_REQUEST || number === MSG.USERAUTH_BANNER) return;
    throw new transportErrors.PEER_UNEXPECTED_MESSAGE(`${messageName(number)} after authentication`);
  }
}
